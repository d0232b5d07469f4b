"""Frames for other processes: the protocol of GStreamer's unixfdsrc, by a peer of its own."""

import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reference import pattern
from streams import Ends, streaming
from support import LOCALHOST, free_port, receiver, receiver_command, sender_command
from unixfd_peer import CAPS, DISCONT, NEW_BUFFER, RELEASE_BUFFER, Client
from v4l_dmabuf import Report, Sender, errors

WIDTH, HEIGHT = 64, 48
HOLDS = 4
"""Frames that clients may have together."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "frames"


@contextmanager
def handing(path: Path, frames: int = 100_000, **fields: Any) -> Iterator[Ends]:
    """Hand a stream of the built-in source on, beside a block."""
    port = free_port()
    names = ("buffers", "output", "receiver_heap")
    of_receiver = {
        name.removeprefix("receiver_"): fields.pop(name) for name in names if name in fields
    }
    own: dict[str, Any] = {"device": "test", "heap": "memfd", "width": WIDTH, "height": HEIGHT}
    sender = Sender(address=LOCALHOST, port=port, **own | {"fps": 100.0} | fields)
    with streaming(receiver(port, unixfd=path, **of_receiver), sender, frames) as ends:
        yield ends


def counts(report: Report | None) -> tuple[int, int, int]:
    """Give the frames that were given, dropped and unclaimed, having checked their sum."""
    assert report is not None
    given, drops, unclaimed = report.unixfd_given, report.unixfd_drops, report.unixfd_unclaimed
    assert given is not None
    assert drops is not None
    assert unclaimed is not None
    assert given + drops + unclaimed == report.frames
    return given, drops, unclaimed


@pytest.mark.parametrize(
    ("pixel_format", "name", "bytes_a_pixel"),
    [
        ("YUYV", "YUY2", 2),
        ("NV12", "NV12", 1.5),
        ("YU12", "I420", 1.5),
        ("RGB3", "RGB", 3),
        ("XR24", "BGRx", 4),
        ("GREY", "GRAY8", 1),
        ("Y16 ", "GRAY16_LE", 2),
    ],
)
def test_a_client_gets_the_bytes_of_each_frame(
    path: Path, pixel_format: str, name: str, bytes_a_pixel: float
) -> None:
    with handing(path, format=pixel_format) as ends, Client(path) as client:
        caps = client.caps()
        assert caps["media"] == "video/x-raw"
        assert caps["format"] == f"(string){name}"
        assert caps["width"] == f"(int){WIDTH}"
        assert caps["height"] == f"(int){HEIGHT}"
        assert caps["framerate"] == "(fraction)100/1"
        for _ in range(12):
            buffer = client.buffer()
            assert buffer.type == 0, "plain memory is told as such"
            assert buffer.duration == 10_000_000
            expected = pattern(buffer.offset, int(WIDTH * HEIGHT * bytes_a_pixel), HEIGHT)
            assert buffer.read() == expected, f"frame {buffer.offset}"
            client.release(buffer)
    given, _, _ = counts(ends.report)
    assert given >= 12
    assert ends.report is not None
    assert ends.report.unixfd_clients == 1


def test_times_are_the_capture_s_by_this_machine_s_clock(path: Path) -> None:
    with handing(path) as ends, Client(path) as client:
        client.caps()
        before = 0
        for number in range(20):
            buffer = client.buffer()
            age = time.monotonic_ns() - buffer.pts
            assert 0 < age < 10**10, f"frame {buffer.offset} is {age} ns old"
            assert buffer.pts > before
            assert bool(buffer.flags & DISCONT) == (number == 0), "only before the first"
            before = buffer.pts
            client.release(buffer)
    assert ends.error is None


def test_a_client_that_keeps_all_has_no_more_than_there_are_for_it(path: Path) -> None:
    with handing(path) as ends, Client(path) as hoarder:
        hoarder.caps()
        hoarded = [hoarder.buffer() for _ in range(HOLDS)]
        kept = [buffer.read() for buffer in hoarded]
        hoarder.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            hoarder.buffer()
        # The stream went on beside it, and what is held is what it was.
        assert [buffer.read() for buffer in hoarded] == kept
        hoarder.socket.settimeout(10)
        hoarder.release(hoarded[0])
        next_one = hoarder.buffer()
        assert next_one.flags & DISCONT, "frames are missing before it"
        assert next_one.offset > hoarded[-1].offset + 10
    given, drops, _ = counts(ends.report)
    assert given == HOLDS + 1
    assert drops > 10


def test_two_buffers_are_kept_back_where_none_are_reserved(path: Path) -> None:
    with handing(path, buffers=4) as ends, Client(path) as hoarder:
        hoarder.caps()
        hoarder.buffer()
        hoarder.buffer()
        hoarder.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            hoarder.buffer()
    given, drops, _ = counts(ends.report)
    assert given == 2
    assert drops > 10


def test_buffers_beyond_the_stream_s_are_for_clients(path: Path) -> None:
    # Four are the sender's, four are reserved, and these are two more.
    with handing(path, buffers=10), Client(path) as hoarder:
        hoarder.caps()
        for _ in range(HOLDS + 2):
            hoarder.buffer()
        hoarder.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            hoarder.buffer()


def test_what_a_client_had_comes_back_when_it_leaves(path: Path) -> None:
    with handing(path) as ends:
        for _ in range(5):
            with Client(path) as client:
                client.caps()
                for _ in range(HOLDS):
                    client.buffer()
        # Ten frames or so, with nobody there.
        time.sleep(0.2)
    given, _, unclaimed = counts(ends.report)
    assert given == 5 * HOLDS
    assert unclaimed > 0
    assert ends.report is not None
    assert ends.report.unixfd_clients == 5


def test_a_client_that_keeps_all_leaves_others_their_part(path: Path) -> None:
    with handing(path) as ends, Client(path) as first, Client(path) as second:
        for client in (first, second):
            client.caps()
        kept = [first.buffer() for _ in range(2)]
        for _ in range(20):
            buffer = second.buffer()
            expected = pattern(buffer.offset, WIDTH * HEIGHT * 2, HEIGHT)
            assert buffer.read() == expected
            second.release(buffer)
        assert len(kept) == 2
    given, _, _ = counts(ends.report)
    assert given >= 20


def test_the_end_is_told_and_what_is_held_stays(path: Path) -> None:
    with handing(path, frames=30) as ends:
        client = Client(path)
        client.caps()
        buffers = list(client.until_the_end())
    counts(ends.report)
    for buffer in buffers:
        assert buffer.read() == pattern(buffer.offset, WIDTH * HEIGHT * 2, HEIGHT)
    assert not path.exists(), "the socket goes with the run"
    client.close()


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (RELEASE_BUFFER, struct.pack("=Q", 77)),
        (RELEASE_BUFFER, b"short"),
        (NEW_BUFFER, bytes(56)),
        (CAPS, b"video/x-raw\0"),
        (99, bytes(8192)),
    ],
    ids=["never given", "short", "a frame", "caps", "endless"],
)
def test_who_says_what_no_client_says_is_turned_away(
    path: Path, kind: int, payload: bytes
) -> None:
    with handing(path) as ends:
        with Client(path) as confused:
            confused.caps()
            confused.buffer()
            confused.say(kind, payload)
            assert confused.is_turned_away()
        with Client(path) as sound:
            sound.caps()
            sound.release(sound.buffer())
    counts(ends.report)
    assert ends.error is None


def test_messages_that_are_not_known_are_passed_over(path: Path) -> None:
    with handing(path), Client(path) as client:
        client.caps()
        for _ in range(10):
            client.say(99, b"some later version's")
            client.release(client.buffer())


def test_who_reads_nothing_changes_no_count_of_the_stream(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "dump"
    with handing(path, frames=100, output=output) as ends:
        clients = [Client(path) for _ in range(HOLDS + 2)]
        deadline = time.monotonic() + 20
        while ends.report is None:
            assert time.monotonic() < deadline, "the stream is to go on"
            time.sleep(0.02)
    counts(ends.report)
    assert ends.report.frames == 100
    assert output.stat().st_size == 100 * WIDTH * HEIGHT * 2
    for client in clients:
        client.close()


def test_the_socket_is_this_user_s_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        with handing(path), Client(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_dead_socket_is_replaced_and_a_living_one_is_not(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with handing(path), Client(path) as client:
        client.caps()
        port = free_port()
        with pytest.raises(errors.AddressError, match="another program listens there"):
            receiver(port, unixfd=path).run()
        client.buffer()


def test_a_listener_that_takes_nobody_in_is_no_dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(path))
            begun = time.monotonic()
            with pytest.raises(errors.AddressError, match="another program listens there"):
                receiver(free_port(), unixfd=path).run()
            assert time.monotonic() - begun < 5
    assert path.exists()


def test_a_file_of_that_name_stays(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(errors.AddressError, match="which is no socket"):
        receiver(free_port(), unixfd=path).run()
    assert path.read_text() == "mine"


def test_a_path_that_no_socket_can_have_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere" / "frames", tmp_path / ("long" * 40)):
        with pytest.raises(errors.AddressError) as caught:
            receiver(free_port(), unixfd=path).run()
        assert caught.value.filename == str(path)


def test_padded_rows_are_refused_with_the_reason(path: Path) -> None:
    with handing(path, format="RGB3", width=642) as ends:
        error = ends.wait_for_error()
    assert isinstance(error, errors.FormatError)
    assert "its rows have 1926 bytes, and those of 642 pixels of RGB3 have 1928" in str(error)


def test_the_command_says_what_became_of_the_frames(path: Path) -> None:
    port = free_port()
    with receiver_command(port, "--unixfd", path) as receiving:
        receiving.wait_for(f"frames for unixfdsrc at {path}")
        with sender_command(port, "-n", "100", "--fps", "50") as sending, Client(path) as client:
            client.caps()
            for _ in range(10):
                client.release(client.buffer())
            client.close()
            assert sending.wait() == 0, sending.stderr
        assert receiving.wait() == 0, receiving.stderr
    assert "1 client of the socket" in receiving.stderr
    assert "given to clients" in receiving.stderr
    assert "with no client there" in receiving.stderr


@pytest.mark.vivid
@pytest.mark.parametrize("heap", ["/dev/dma_heap/system", "/dev/udmabuf"])
def test_frames_are_handed_on_in_the_dmabufs_that_they_came_in(path: Path, heap: str) -> None:
    with handing(path, receiver_heap=heap, format="NV12") as ends, Client(path) as client:
        client.caps()
        for _ in range(12):
            buffer = client.buffer()
            assert buffer.type == 1, "a DMABUF is told as such"
            link = str(Path(f"/proc/self/fd/{buffer.fds[0]}").readlink())
            assert link.startswith("/dmabuf")
            expected = pattern(buffer.offset, WIDTH * HEIGHT * 3 // 2, HEIGHT)
            assert buffer.read() == expected, f"frame {buffer.offset}"
            client.release(buffer)
    assert counts(ends.report)[0] >= 12
