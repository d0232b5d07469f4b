"""A program as the source: its frames arrive as it made them, or as it got them."""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from frames_support import HEIGHT, SIZE, WIDTH, capture, is_whole, sending
from reference import pattern
from support import LOCALHOST, free_port, receiver
from v4l_dmabuf import Feed, Frame, Sender, Slot
from v4l_dmabuf.errors import Error, FormatError, NoFrameError, StreamEndedError

GIVEN: dict[str, Any] = {"address": LOCALHOST, "heap": "memfd", "width": WIDTH, "height": HEIGHT}


@contextmanager
def taking(port: int, *, is_cut: bool = False) -> Iterator[list[Frame]]:
    """Take copies of the frames that come beside a block, and wait for the stream's end.

    A stream that ``is_cut`` may have ended in whatever way, or not begun.
    """

    def take() -> None:
        try:
            taken.extend(frame.copy() for frame in end)
        except Error:
            if not is_cut:
                raise

    taken: list[Frame] = []
    with receiver(port) as end:
        thread = threading.Thread(target=take)
        thread.start()
        yield taken
        if is_cut:
            end.stop()
        thread.join(20)
        assert not thread.is_alive(), "the stream did not end"


def send_on(feed: Feed) -> None:
    """Send frames until that fails."""
    while True:
        feed.submit(feed.acquire(timeout=10))


def test_a_callable_draws_each_frame_in_the_thread_that_runs(port: int) -> None:
    def draw(slot: Slot) -> None:
        drawn.append(threading.current_thread())
        slot.array()[:] = len(drawn)

    drawn: list[threading.Thread] = []
    with taking(port) as taken:
        report = Sender(**GIVEN, port=port, source=draw).run(frames=20)
    assert set(drawn) == {threading.current_thread()}
    assert (report.sent, report.received) == (20, 20)
    assert [set(bytes(frame)) for frame in taken] == [{n} for n in range(1, 21)]
    assert [frame.sequence for frame in taken] == list(range(20))


def test_a_callable_ends_the_stream_by_false_and_with_what_it_raises(port: int) -> None:
    count = itertools.count()
    with taking(port) as taken:
        report = Sender(**GIVEN, port=port, source=lambda _: next(count) < 3).run()
    assert report.received == len(taken) == 3

    def fail(slot: Slot) -> None:
        raise ZeroDivisionError(slot.width)

    with taking(port, is_cut=True) as taken, pytest.raises(ZeroDivisionError):
        Sender(**GIVEN, port=port, source=fail).run()
    assert taken == []


def test_an_iterable_gives_buffers_that_are_copied_in(port: int) -> None:
    pictures = [
        pattern(0, SIZE, HEIGHT),
        bytearray(pattern(1, SIZE, HEIGHT)),
        np.frombuffer(pattern(2, SIZE, HEIGHT), np.uint8).reshape(HEIGHT, WIDTH, 2),
    ]
    with taking(port) as taken:
        Sender(**GIVEN, port=port, source=pictures).run()
    assert all(is_whole(frame, frame) for frame in taken)
    assert len(taken) == 3
    too_long = Sender(**GIVEN, port=port, source=[bytes(SIZE + 1)])
    with (
        taking(port, is_cut=True),
        pytest.raises(ValueError, match="1024 bytes at most, not 1025"),
    ):
        too_long.run()


def test_a_feed_s_slots_have_times_and_numbers_of_their_own(port: int) -> None:
    with taking(port) as taken:
        sender = Sender(**GIVEN, port=port, device="feed", format="GREY")
        with sender.feed() as feed:
            for number in (5, 6, 9):
                slot = feed.acquire(timeout=10)
                slot.array()[:] = number
                slot.sequence = number
                feed.submit(slot, timestamp_ns=number * 1_000_000_000)
                with pytest.raises(ValueError, match="acquire another"):
                    feed.submit(slot)
            feed.submit(feed.acquire())
    assert [frame.sequence for frame in taken] == [5, 6, 9, 10]
    assert [frame.timestamp_ns for frame in taken[:3]] == [5 * 10**9, 6 * 10**9, 9 * 10**9]
    assert [frame.gap for frame in taken] == [0, 0, 2, 0]
    assert sender.report is not None
    assert sender.report.received == 4


def test_slots_of_several_memory_planes(port: int) -> None:
    luma, chroma = WIDTH * HEIGHT, WIDTH * HEIGHT // 2
    with taking(port) as taken:
        sender = Sender(**GIVEN, port=port, device="feed", format="NM12")
        with sender.feed() as feed:
            slot = feed.acquire(timeout=10)
            assert [plane.length for plane in slot.planes] == [luma, chroma]
            with pytest.raises(BufferError, match=r"slot\.planes"):
                memoryview(slot)
            for number, plane in enumerate(slot.arrays(), 1):
                plane[:] = number
            del plane
            with memoryview(slot.planes[1]), pytest.raises(BufferError, match="views"):
                feed.submit(slot)
            with pytest.raises(ValueError, match="has 2"):
                slot.bytesused = 10
            with pytest.raises(ValueError, match=f"{chroma} at most"):
                feed.submit(slot, bytesused=[luma, chroma + 1])
            slot.bytesused = [luma, 10]
            assert slot.bytesused == (luma, 10)
            slot.bytesused = None
            feed.submit(slot)
            # One after the other, as in a dump.
            feed.send(bytes(luma) + bytes(range(256)))
    sent_on = taken[0]
    assert [bytes(plane) for plane in sent_on.planes] == [b"\1" * luma, b"\2" * chroma]
    assert [bytes(plane) for plane in taken[1].planes] == [bytes(luma), bytes(range(256))]
    other = free_port()
    with (
        taking(other) as again,
        Sender(**GIVEN | {"format": "NM12"}, port=other, device="feed").feed() as feed,
    ):
        feed.acquire(timeout=10).release()
        feed.submit(sent_on)
    assert [bytes(plane) for plane in again[0].planes] == [b"\1" * luma, b"\2" * chroma]


def test_a_compressed_slot_says_how_much_it_has(port: int) -> None:
    pictures = [bytes([number]) * (100 + number) for number in range(3)]
    with taking(port) as taken:
        sender = Sender(**GIVEN, port=port, device="feed", format="MJPG")
        with sender.feed() as feed:
            slot = feed.acquire(timeout=10)
            with pytest.raises(ValueError, match="give bytesused"):
                feed.submit(slot)
            slot.array()[:100] = 0
            feed.submit(slot, bytesused=100)
            for picture in pictures[1:]:
                feed.send(picture)
    assert [bytes(frame) for frame in taken] == pictures
    assert {frame.format for frame in taken} == {"MJPG"}


def test_a_feed_that_is_dropped_gives_no_more(port: int) -> None:
    sender = Sender(**GIVEN, port=port, device="feed")
    with taking(port) as taken:
        feed = sender.feed()
        for _ in range(3):
            feed.submit(feed.acquire(timeout=10))
        del feed
    assert len(taken) == 3


def test_what_could_change_in_flight_is_not_sent(port: int) -> None:
    with taking(port) as taken, Sender(**GIVEN, port=port, device="feed").feed() as feed:
        slot = feed.acquire()
        view = slot.array()
        with pytest.raises(BufferError, match="views"):
            feed.submit(slot)
        with pytest.raises(BufferError, match="views"):
            slot.release()
        view[:] = 7
        del view
        feed.submit(slot)
    assert set(bytes(taken[0])) == {7}


def test_a_slot_that_is_dropped_or_released_is_free_again(port: int) -> None:
    with taking(port), Sender(**GIVEN, port=port, device="feed", buffers=2).feed() as feed:
        for _ in range(10):
            feed.acquire(timeout=10)
        for _ in range(10):
            feed.acquire(timeout=10).release()
        held = [feed.acquire(timeout=10) for _ in range(2)]
        with pytest.raises(NoFrameError):
            feed.acquire(timeout=0.05)
        for slot in held:
            feed.submit(slot)


def test_a_relay_passes_frames_on_as_they_are(port: int) -> None:
    onward = free_port()
    relay = Sender(address=LOCALHOST, port=onward, device="feed")
    with (
        taking(onward) as taken,
        receiver(port) as end,
        sending(port, 60),
        relay.feed() as feed,
    ):
        for frame in end:
            feed.submit(frame)
            frame.release()
    assert [frame.sequence for frame in taken] == list(range(60))
    assert all(is_whole(frame, frame) for frame in taken)


def test_a_relay_may_tell_otherwise_and_takes_copies(port: int) -> None:
    relay = Sender(address=LOCALHOST, port=port, device="feed")
    with taking(port) as taken, capture(fps=200) as source, relay.feed() as feed:
        frames = [source.get() for _ in range(2)]
        feed.submit(frames[0], sequence=100, timestamp_ns=7)
        feed.submit(frames[1])
        assert frames[0].sequence == 0, "the frame itself stays what it is"
    assert [(frame.sequence, bytes(frame)[:4]) for frame in taken] == [
        (100, pattern(0, SIZE, HEIGHT)[:4]),
        (1, pattern(1, SIZE, HEIGHT)[:4]),
    ]
    assert taken[0].timestamp_ns // 1000 == 0
    with taking(port) as taken:
        sender = Sender(**GIVEN, port=port, source=[frame.copy() for frame in frames])
        assert sender.run().received == 2
    assert [bytes(frame) for frame in taken] == [pattern(n, SIZE, HEIGHT) for n in range(2)]


def test_a_frame_of_another_format_is_refused(port: int) -> None:
    relay = Sender(address=LOCALHOST, port=port, device="feed")
    with (
        capture() as one,
        capture(width=64) as other,
        taking(port) as taken,
        relay.feed() as feed,
    ):
        feed.submit(one.get())
        with pytest.raises(FormatError, match="64x16 YUYV"):
            feed.submit(other.get())
        with pytest.raises(TypeError, match="Slot or a Frame"):
            feed.submit(b"bytes")  # type: ignore[arg-type]
    assert len(taken) == 1


def test_a_receiver_that_has_enough_ends_a_feed(port: int) -> None:
    with receiver(port) as end:
        thread = threading.Thread(target=lambda: end.run(frames=5))
        thread.start()
        feed = Sender(**GIVEN, port=port, device="feed").feed()
        with feed, pytest.raises(StreamEndedError):
            send_on(feed)
        thread.join(10)


def test_a_feed_that_can_t_begin_tells_why(port: int) -> None:
    feed = Sender(**GIVEN, port=port, device="feed").feed()
    with pytest.raises(Error, match="connect"):
        send_on(feed)
    feed.close()


def test_what_means_nothing_with_a_source_is_refused() -> None:
    for name, value in (("device", "test"), ("memory", "mmap"), ("fps", 30.0)):
        fields: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=name):
            Sender(address="::1", port=9000, source=[], **fields)
    with pytest.raises(TypeError, match="callable"):
        Sender(address="::1", port=9000, source=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="feed"):
        Sender(address="::1", port=9000, device="feed").run()
    with pytest.raises(ValueError, match="has a device"):
        Sender(address="::1", port=9000, device="test").feed()


def test_a_program_that_ends_with_a_feed_open_ends(port: int) -> None:
    code = f"""
from v4l_dmabuf import Sender
feed = Sender(address="127.0.0.1", port={port}, device="feed", heap="memfd").feed()
slot = feed.acquire()
view = slot.array()
"""
    with taking(port, is_cut=True):
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "panicked" not in done.stderr
        assert time.monotonic() - begun < 10


def test_dlpack_shares_a_frame_and_holds_it_until_its_consumer_is_done() -> None:
    with capture(buffers=3) as source:
        frame = source.get()
        tensor = np.from_dlpack(frame)
        assert tensor.shape == (HEIGHT, WIDTH, 2)
        assert np.shares_memory(tensor, frame.array())
        assert not tensor.flags.writeable
        assert not frame.release(), "the tensor holds it"
        assert is_whole(frame, tensor.tobytes())
        assert source.held == [0]
        thread = threading.Thread(target=lambda held: held.clear(), args=([tensor],))
        del tensor
        thread.start()
        thread.join()
        del thread
        assert source.held == []
        for frame in source:
            capsule = frame.__dlpack__(max_version=(1, 0))
            frame.release()
            assert len(source.held) == 1
            del capsule
            assert source.held == [], "nobody took the capsule"
            break


def test_dlpack_refuses_who_would_write_and_what_it_can_t_tell() -> None:
    with capture() as source:
        frame = source.get()
        assert frame.__dlpack_device__() == (1, 0)
        with pytest.raises(BufferError, match="version"):
            frame.__dlpack__()
        with pytest.raises(BufferError, match="CPU"):
            frame.__dlpack__(max_version=(1, 0), dl_device=(2, 0))
        copied = np.from_dlpack(frame, copy=True)
        frame.release()
        assert is_whole(frame, copied.tobytes())
        assert source.held == []
        with pytest.raises(BufferError):
            source.get().planes[0].__dlpack__()
        plane = np.from_dlpack(source.get().planes[0])
        assert plane.shape == (HEIGHT, WIDTH, 2)
    with capture(format="Y16 -BE") as source, pytest.raises(BufferError, match="higher byte"):
        np.from_dlpack(source.get())
