"""A run with a page, and what its pictures should be."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reference import pattern
from streams import Ends, streaming
from support import LOCALHOST, free_port, receiver
from v4l_dmabuf import Feed, Sender

WIDTH, HEIGHT = 64, 48
FORMATS = ("YUYV", "UYVY", "NV12", "RGB3", "GREY", "Y16 ")
SIZES = {"YUYV": 2, "UYVY": 2, "NV12": 1.5, "RGB3": 3, "GREY": 1, "Y16 ": 2}


def rgb(luma: int, u: int, v: int) -> tuple[int, int, int]:
    """Convert by BT.601 in its limited range, in 65,536ths."""
    y, u, v = (luma - 16) * 76309, u - 128, v - 128
    parts = (y + 104597 * v, y - 25675 * u - 53279 * v, y + 132201 * u)
    red, green, blue = (max(0, min(255, (part + 32768) >> 16)) for part in parts)
    return red, green, blue


def pixel(pixel_format: str, frame: bytes, x: int, y: int) -> tuple[int, int, int]:
    """Give a pixel of a frame, without padding, in RGB."""
    at = y * WIDTH + x
    if pixel_format == "GREY":
        return (frame[at],) * 3
    if pixel_format == "Y16 ":
        return (frame[2 * at + 1],) * 3
    if pixel_format == "RGB3":
        red, green, blue = frame[3 * at : 3 * at + 3]
        return red, green, blue
    if pixel_format == "NV12":
        chroma = WIDTH * HEIGHT + y // 2 * WIDTH + x // 2 * 2
        return rgb(frame[at], frame[chroma], frame[chroma + 1])
    pair = 2 * (at - at % 2)
    four = frame[pair : pair + 4]
    if pixel_format == "YUYV":
        return rgb(four[x % 2 * 2], four[1], four[3])
    return rgb(four[x % 2 * 2 + 1], four[0], four[2])


def picture(pixel_format: str, number: int, step: int = 1) -> list[tuple[int, int, int]]:
    """Give the pixels of a picture of the built-in source's frame."""
    frame = pattern(number, int(WIDTH * HEIGHT * SIZES[pixel_format]), HEIGHT)
    return [
        pixel(pixel_format, frame, x, y)
        for y in range(0, HEIGHT - HEIGHT % step, step)
        for x in range(0, WIDTH - WIDTH % step, step)
    ]


class Shown(Ends):
    """A stream that is shown on a page."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.url = f"http://{LOCALHOST}:{port}/"

    def wait(self) -> None:
        """Wait until the page can be had."""
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((LOCALHOST, self.port)).close()
            except OSError:
                assert time.monotonic() < deadline, "the page is not there"
                time.sleep(0.01)
            else:
                return

    def ask(
        self, path: str, method: str = "GET", **fields: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(LOCALHOST, self.port, timeout=10)
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def picture(self, after: str = "") -> tuple[int, int, int, bytes]:
        """Give the picture that comes next: its frame's number, width, height, and pixels."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            status, _, body = self.ask(f"/frame?after={after}")
            if status == 200:
                number, *size = (
                    int.from_bytes(body[at:end], "little")
                    for at, end in ((0, 8), (8, 12), (12, 16))
                )
                return number, size[0], size[1], body[16:]
        raise AssertionError("no picture came")

    def figures(self) -> Any:
        return json.loads(self.ask("/figures")[2])


@contextmanager
def shown(port: int, frames: int = 100_000, **fields: Any) -> Iterator[Shown]:
    """Show a stream of the built-in source beside a block, at the receiver's page."""
    own: dict[str, Any] = {"device": "test", "heap": "memfd", "width": WIDTH, "height": HEIGHT}
    for_page = {
        name: fields.pop(name) for name in [*fields] if name.startswith(("view", "report"))
    }
    sender = Sender(address=LOCALHOST, port=port, **own | {"fps": 60.0} | fields)
    page = Shown(free_port())
    own = {"view": f"{LOCALHOST}:{page.port}", "view_fps": 1000.0}
    with streaming(receiver(port, **own | for_page), sender, frames, page):
        page.wait()
        yield page


@contextmanager
def fed(port: int, pixel_format: str) -> Iterator[tuple[Shown, Feed]]:
    """Show a stream of what a block gives."""
    page = Shown(free_port())
    sender = Sender(address=LOCALHOST, port=port, device="feed", heap="memfd", format=pixel_format)
    end = receiver(port, view=page.port)
    receiving = threading.Thread(target=end.run)
    with end:
        receiving.start()
        page.wait()
        with sender.feed() as feed:
            yield page, feed
        receiving.join(20)
