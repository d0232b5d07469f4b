"""The page of a stream: what it shows is the newest frame, and what looks on costs nothing."""

import itertools
import json
import logging
import signal
import socket
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from preload import preloaded
from reference import pattern
from support import LOCALHOST, Command, free_port, receiver, receiver_command, sender_command
from v4l_dmabuf import Receiver, Sender
from v4l_dmabuf.errors import AddressError, Error
from view_support import FORMATS, HEIGHT, WIDTH, Shown, fed, picture, shown


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_a_picture_is_the_frame_in_rgb(port: int, pixel_format: str) -> None:
    with shown(port, format=pixel_format) as page:
        number, width, height, pixels = page.picture()
        assert (width, height) == (WIDTH, HEIGHT)
        expected = picture(pixel_format, number)
        assert list(zip(*[iter(pixels)] * 3, strict=True)) == expected


def test_a_wide_frame_s_picture_has_every_so_manieth_pixel(port: int) -> None:
    with shown(port, view_width=20) as page:
        number, width, height, pixels = page.picture()
        assert (width, height) == (16, 12)
        assert list(zip(*[iter(pixels)] * 3, strict=True)) == picture("YUYV", number, 4)
        _, _, whole = page.ask("/frame?whole")
        number, pixels = int.from_bytes(whole[:8], "little"), whole[16:]
        assert list(zip(*[iter(pixels)] * 3, strict=True)) == picture("YUYV", number)


def test_what_follows_is_newer_and_no_more_often_than_asked(port: int) -> None:
    with shown(port, view_fps=5.0) as page:
        begun = time.monotonic()
        numbers = []
        after = ""
        for _ in range(6):
            number, *_ = page.picture(after)
            numbers.append(number)
            after = str(number)
        assert time.monotonic() - begun >= 0.9, "pictures came faster than view_fps"
        steps = [new - old for old, new in itertools.pairwise(numbers)]
        assert all(step > 0 for step in steps), numbers


@pytest.mark.parametrize("fps", [0.1, 1e-300])
def test_a_question_before_its_time_is_answered_within_a_second_or_two(
    port: int, fps: float
) -> None:
    with shown(port, view_fps=fps) as page:
        number, *_ = page.picture()
        begun = time.monotonic()
        assert page.ask(f"/frame?after={number}")[0] == 204
        assert time.monotonic() - begun < 3
        assert page.picture("0" if number else "1")[0] == number


def test_the_newest_frame_is_shown_when_the_source_falls_idle(port: int) -> None:
    with fed(port, "GREY") as (page, feed):
        feed.submit(feed.acquire(timeout=10))
        first, *_ = page.picture()
        assert first == 0
        for value in (1, 2, 3):
            slot = feed.acquire(timeout=10)
            slot.array()[:] = value
            feed.submit(slot)
        deadline = time.monotonic() + 10
        number = first
        while number != 3 and time.monotonic() < deadline:
            number, _, _, pixels = page.picture(str(number))
        assert number == 3
        assert set(pixels) == {3}
        assert page.ask("/frame?after=3")[0] == 204
        status, told, payload = page.ask("/frame.raw")
        assert (status, told["X-Frame-Counter"], set(payload)) == (200, "3", {3})


def test_the_raw_frame_is_the_payload_and_says_what_it_is(port: int) -> None:
    with shown(port) as page:
        _, told, payload = page.ask("/frame.raw")
        number = int(told["X-Frame-Counter"])
        assert payload == pattern(number, WIDTH * HEIGHT * 2, HEIGHT)
        assert told["X-Frame-Format"] == "YUYV"
        assert (told["X-Frame-Width"], told["X-Frame-Height"]) == (str(WIDTH), str(HEIGHT))
        assert json.loads(told["X-Frame-Bytesused"]) == [WIDTH * HEIGHT * 2]


def test_figures_are_the_report_so_far_and_the_final_one(port: int) -> None:
    final: list[Any] = []

    def watch(page: Shown) -> None:
        while not final or final[-1]["state"] != "ended":
            page.picture()
            final.append(page.figures())

    with shown(port, frames=60) as page:
        page.picture()
        running = page.figures()
        assert (running["state"], running["role"]) == ("running", "receiver")
        assert running["report"]["stages"]["into_buffer"]["count"] > 0
        watcher = threading.Thread(target=watch, args=(page,))
        watcher.start()
        watcher.join(20)
    assert page.report is not None
    told = json.loads(json.dumps(asdict(page.report)))
    assert final[-1]["report"] == told
    assert final[-1]["error"] is None


@pytest.mark.parametrize("somebody_looks", [False, True])
def test_frames_are_held_while_somebody_looks_and_accounted_for(
    port: int, tmp_path: Path, somebody_looks: bool
) -> None:
    path = tmp_path / "report.json"
    with shown(port, report=path) as page:
        if somebody_looks:
            for _ in range(5):
                page.picture()
        assert page.figures()["report"] is not None
        time.sleep(0.3)
    consumers = json.loads(path.read_text())["consumers"]
    assert len(consumers) == somebody_looks
    for it in consumers:
        assert it["received"] == it["delivered"] + it["consumer_drops"] + it["undelivered"]
        assert it["delivered"] >= 1


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", {"Host": "example.org"}, 403),
        ("GET", {"Host": "evil.localhost.example:80"}, 403),
        ("GET", {"Host": "["}, 403),
        ("GET", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("GET", {"Host": "localhost:1"}, 200),
        ("GET", {"Host": "[::1]:1"}, 200),
        ("GET", {"Sec_Fetch_Site": "same-origin"}, 200),
        ("POST", {}, 405),
        ("PUT", {}, 405),
        ("HEAD", {}, 405),
        ("OPTIONS", {}, 405),
        ("BREW", {}, 405),
    ],
)
def test_who_is_refused(port: int, method: str, fields: dict[str, str], status: int) -> None:
    with shown(port) as page:
        answered, headers, _ = page.ask("/figures", method, **fields)
        assert answered == status
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert page.ask("/etc/passwd")[0] == 404


def said(page: Shown, *pieces: bytes) -> bytes:
    """Say something in pieces; give what is answered until the connection is closed."""
    with socket.create_connection((LOCALHOST, page.port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((b"\x16\x03\x01\x02\x00\x01\x00",), b"400"),
        ((b"GET /figures SMTP/1.0\r\n\r\n",), b"400"),
        ((b"GET /" + b"x" * 20_000,), b"431"),
        ((b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100 + b"\r\n",), b"431"),
        ((b"GET /figures HT", b"TP/1.0\r\nHost: loc", b"alhost\r\n\r\n"), b"200"),
        ((b"GET /figures HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nGET",), b"200"),
    ],
)
def test_what_is_no_question_ends_its_connection_alone(
    port: int, pieces: tuple[bytes, ...], status: bytes
) -> None:
    with shown(port) as page:
        assert said(page, *pieces).split()[1] == status
        assert page.figures()["state"] == "running"


def test_questions_that_come_at_once_are_answered_in_order(port: int) -> None:
    with shown(port) as page:
        more = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = said(page, more + more + last)
        statuses = [line.split()[1] for line in answer.splitlines() if line.startswith(b"HTTP/")]
        assert statuses == [b"404", b"404", b"200"]


def test_viewers_of_one_frame_are_given_the_same(port: int) -> None:
    with fed(port, "GREY") as (page, feed):
        slot = feed.acquire(timeout=10)
        slot.array()[:] = 7
        feed.submit(slot)
        pictures: list[bytes] = []
        viewers = [
            threading.Thread(target=lambda: pictures.append(page.picture()[3])) for _ in range(8)
        ]
        for viewer in viewers:
            viewer.start()
        for viewer in viewers:
            viewer.join(20)
        assert len(pictures) == 8
        assert all(set(pixels) == {7} for pixels in pictures)


def test_a_run_ends_beside_a_viewer_that_is_in_the_midst_of_its_question(port: int) -> None:
    with shown(port, frames=60) as page:
        stuck = socket.create_connection((LOCALHOST, page.port))
        stuck.sendall(b"GET /fig")
    with stuck:
        stuck.settimeout(5)
        assert stuck.recv(1) == b"", "the connection outlived its view"
    again = socket.create_server((LOCALHOST, page.port))
    again.close()


def test_a_viewer_that_stops_reading_changes_no_count(port: int) -> None:
    stuck = []
    with shown(port, frames=300, fps=100.0, width=640, height=480) as page:
        for _ in range(20):
            connection = socket.create_connection((LOCALHOST, page.port))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            connection.sendall(b"GET /frame.raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
            stuck.append(connection)
        time.sleep(3.5)
    for connection in stuck:
        connection.close()
    report = page.report
    assert report is not None
    assert (report.frames, report.lost, report.sender_drops) == (300, 0, 0)
    assert report.drops == 0


def test_a_format_that_is_not_shown_is_said(port: int) -> None:
    with fed(port, "MJPG") as (page, feed):
        page.ask("/frame")
        feed.send(b"\xff\xd8jpeg")
        deadline = time.monotonic() + 10
        status, body = 204, b""
        while status == 204 and time.monotonic() < deadline:
            status, _, body = page.ask("/frame")
        assert status == 415
        assert b"MJPG is not shown here" in body
        assert page.ask("/frame.raw")[::2] == (200, b"\xff\xd8jpeg")


def test_a_page_that_can_t_be_had_is_said_at_once(port: int, tmp_path: Path) -> None:
    with socket.create_server((LOCALHOST, 0)) as taken:
        address = f"{LOCALHOST}:{taken.getsockname()[1]}"
        end = receiver(port, view=address, report=tmp_path / "report.json")
        with pytest.raises(AddressError, match=f"{address}.*in use.*--view"):
            end.run()
    assert json.loads((tmp_path / "report.json").read_text())["outcome"] == "failed"
    for wrong in ("", "nonsense", "localhost:", ":99999", "80:x"):
        with pytest.raises(ValueError, match="view is"):
            Receiver(port=port, view=wrong)
    with pytest.raises(TypeError, match="view is"):
        Receiver(port=port, view=1.5)  # type: ignore[arg-type]


def test_a_page_for_others_is_warned_of(port: int, caplog: pytest.LogCaptureFixture) -> None:
    page = Shown(free_port())
    end = receiver(port, view=f"0.0.0.0:{page.port}")
    receiving = threading.Thread(target=end.run)
    with caplog.at_level(logging.WARNING):
        receiving.start()
        page.wait()
        end.stop()
        receiving.join(20)
    assert "ssh -L" in caplog.text


def test_a_stop_before_the_run_leaves_the_page_off(port: int) -> None:
    end = receiver(port, view=f"{LOCALHOST}:{free_port()}")
    end.stop()
    report = end.run()
    assert (report.stopped, report.frames) == (True, 0)


SLOW_NAMES = """
#include <netdb.h>
#include <unistd.h>
int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r)
{
    (void)n, (void)s, (void)h, (void)r;
    sleep(20);
    return EAI_AGAIN;
}
"""


def test_a_page_s_name_that_is_long_looked_for_holds_up_no_signal(
    port: int, tmp_path: Path
) -> None:
    slow = f"LD_PRELOAD={preloaded(tmp_path, SLOW_NAMES)}"
    arguments = ("-l", LOCALHOST, "-p", port, "-e", "memfd", "--view", "slow.example:8080")
    with Command("receiver", *arguments, wrapper=("env", slow)) as end:
        time.sleep(1)
        end.process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        assert end.wait() == 0, end.stderr
        assert time.monotonic() - begun < 3


def test_the_commands_have_it_and_end_with_their_stream(port: int) -> None:
    pages = [Shown(free_port()), Shown(free_port())]
    with (
        receiver_command(port, "--view", pages[0].port) as end,
        sender_command(
            port, *("-d", "test", "--fps", 60, "-n", 200, "--view", pages[1].port)
        ) as sender,
    ):
        for page in pages:
            page.wait()
            page.picture()
            assert page.figures()["state"] == "running"
        assert sender.wait() == 0, sender.stderr
        assert end.wait() == 0, end.stderr
        assert f"http://127.0.0.1:{pages[0].port}/" in end.stderr
    for page in pages:
        with pytest.raises(OSError, match="refused"):
            page.figures()


def test_no_error_is_swallowed_that_a_run_ends_with(port: int) -> None:
    page = Shown(free_port())
    sender = Sender(address=LOCALHOST, port=port, device="test", heap="memfd", view=page.port)
    with pytest.raises(Error, match="refused"):
        sender.run()
