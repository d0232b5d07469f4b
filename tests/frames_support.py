"""What the tests of frames in Python need."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import reference_v3
from reference import pattern
from support import LOCALHOST, connect
from v4l_dmabuf import Capture, Error, Frame, Receiver, Sender

WIDTH, HEIGHT = 32, 16
SIZE = WIDTH * HEIGHT * 2


GIVEN: dict[str, Any] = {"device": "test", "heap": "memfd", "width": WIDTH, "height": HEIGHT}


def capture(**fields: Any) -> Capture:
    return Capture(**GIVEN | fields)


def is_whole(frame: Frame, view: Any) -> bool:
    """Tell whether the bytes are those that the built-in source draws for this frame."""
    return bytes(view) == pattern(frame.sequence, SIZE, HEIGHT)


def mappings() -> int:
    """Count the mappings of frames' memory in this process."""
    return Path("/proc/self/maps").read_text().count("memfd:v4l-dmabuf")


@contextmanager
def sending(port: int, frames: int | None = None, **fields: Any) -> Iterator[Sender]:
    """Send the built-in source's frames beside a block, to a receiver that listens."""
    sender = Sender(**GIVEN | {"address": LOCALHOST, "port": port} | fields)

    def run() -> None:
        try:
            sender.run(frames=frames)
        except Error as error:
            ended.append(error)

    ended: list[Error] = []
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sender
    finally:
        sender.stop()
        thread.join(30)
        assert not thread.is_alive(), "the sender did not end"


@contextmanager
def given(
    port: int, described: dict[str, Any], frames: Sequence[Sequence[bytes]]
) -> Iterator[Any]:
    """Give a receiver, and send it frames of such planes as an independent sender does."""
    with Receiver(port=port, listen=LOCALHOST, heap="memfd", buffers=len(frames) + 1) as receiver:

        def send() -> None:
            with (
                connect(port) as connection,
                reference_v3.greet(connection, port, described) as control,
            ):
                for number, planes in enumerate(frames):
                    connection.sendall(reference_v3.frame(*planes, counter=number))
                connection.sendall(reference_v3.end(len(frames), len(frames)))
                reference_v3.result_of(control)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.close()
            thread.join(30)
