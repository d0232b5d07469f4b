"""Taking frames: who gets which, when a stream ends, and how."""

import select
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from frames_support import SIZE, capture, is_whole, sending
from reference import frame as wire_frame
from reference import stream_header
from support import LOCALHOST, connect, receiver
from v4l_dmabuf import Capture, Deliveries, Frame, Sender
from v4l_dmabuf.errors import (
    Error,
    FramesHeldError,
    HeapNotFoundError,
    NoFrameError,
    PeerError,
    StreamEndedError,
)


def test_a_receiver_yields_every_frame_as_it_was_sent(port: int) -> None:
    with receiver(port) as end, sending(port, 50):
        numbers = []
        for frame in end:
            assert is_whole(frame, frame)
            numbers.append(frame.sequence)
            frame.release()
    assert numbers == list(range(50))
    assert end.report is not None
    assert end.report.received == 50
    assert end.deliveries == Deliveries(
        received=50, delivered=50, consumer_drops=0, undelivered=0, held=0
    )


def test_a_frame_knows_its_place_and_its_times(port: int) -> None:
    with receiver(port) as end, sending(port, 3, fps=50):
        before = time.monotonic_ns()
        frames = [frame.copy() for frame in end]
    assert [frame.counter for frame in frames] == [0, 1, 2]
    for frame in frames:
        assert frame.received_ns is not None
        assert frame.dequeued_ns is not None
        # Both ends are on this machine, and so on one clock.
        assert before <= frame.timestamp_ns <= frame.dequeued_ns < frame.received_ns
        assert (frame.width, frame.height, frame.format) == (32, 16, "YUYV")
        assert (frame.bytesused, frame.sizeimage, frame.gap) == (SIZE, SIZE, 0)
        assert (frame.clock, frame.field, frame.error) == ("monotonic", None, False)
        (plane,) = frame.planes
        assert (plane.bytesused, plane.data_offset, plane.length) == (SIZE, 0, SIZE)


def test_a_capture_needs_no_network_and_ends_with_its_loop() -> None:
    source = capture(fps=200)
    for frame in source:
        assert is_whole(frame, frame)
        assert frame.received_ns is None
        if frame.sequence == 9:
            break
    assert source.report is not None
    assert source.report.captured == source.report.frames >= 10
    for frame in source:
        assert frame.sequence == 0, "another loop is another stream"
        break


def test_a_loop_inside_with_may_be_left_and_resumed() -> None:
    with capture(fps=500) as source:
        for frame in source:
            if frame.sequence == 4:
                break
        assert next(iter(source)).sequence == 5
        assert source.get().sequence == 6
    with pytest.raises(RuntimeError, match="closed"):
        iter(closed())


def closed() -> Capture:
    source = capture()
    source.close()
    return source


def test_nothing_is_opened_before_the_first_frame_is_asked_for() -> None:
    source = Capture(device="test", heap="/dev/dma_heap/there-is-none")
    assert source.report is None
    with pytest.raises(HeapNotFoundError):
        source.get()
    source.close()


@pytest.mark.parametrize("policy", ["block", "drop-oldest", "drop-newest"])
def test_all_held_is_an_error_that_names_the_frames_and_a_release_resumes(policy: Any) -> None:
    with capture(buffers=4, on_overrun=policy) as source:
        may_hold = 4
        held = [source.get(timeout=10) for _ in range(may_hold)]
        with pytest.raises(FramesHeldError) as caught:
            source.get(timeout=0.2)
        assert isinstance(caught.value, BufferError)
        numbers = [frame.sequence for frame in held]
        assert source.held == numbers
        assert str(numbers) in str(caught.value), caught.value
        threading.Timer(0.2, held[0].release).start()
        assert source.get(timeout=10).sequence > numbers[-1]


def test_a_list_of_a_stream_is_told_that_it_holds_it(port: int) -> None:
    with (
        receiver(port, buffers=4) as end,
        sending(port, 50),
        end,
        pytest.raises(FramesHeldError, match=r"0, 1, 2, 3"),
    ):
        list(end)


def test_get_waits_no_longer_than_it_is_told() -> None:
    with capture(fps=0.1) as source:
        source.get(timeout=10)
        with pytest.raises(NoFrameError) as caught:
            source.get(timeout=0.1)
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(NoFrameError):
            source.get(0)
        for wrong, error in ((-1, ValueError), ("1", TypeError), (float("nan"), ValueError)):
            with pytest.raises(error):
                source.get(wrong)  # type: ignore[arg-type]


def test_frames_come_before_the_error_which_is_told_once(port: int) -> None:
    with receiver(port, buffers=8) as end:
        with connect(port) as connection:
            connection.sendall(stream_header())
            for number in range(3):
                connection.sendall(wire_frame(b"x", sequence=number))
            connection.sendall(wire_frame(b"whole")[:-2])
            assert end.get(timeout=10).sequence == 0
        assert [end.get(timeout=10).sequence for _ in range(2)] == [1, 2]
        with pytest.raises(Error) as caught:
            end.get(timeout=10)
        assert caught.value.report is not None
        assert caught.value.report.frames == 3
        with pytest.raises(StreamEndedError):
            end.get(timeout=10)
        assert list(end) == []


def test_a_stream_that_does_not_add_up_ends_in_an_error(port: int) -> None:
    with receiver(port) as end, sending(port, 5, protocol=2, format="YUYV"):
        assert len([frame.release() for frame in end]) == 5
    with receiver(port) as end, connect(port) as connection:
        connection.sendall(stream_header(pixelformat=0x56595559))
        connection.sendall(wire_frame(b"short"))
        connection.close()
        assert end.get(timeout=10).bytesused == 5
        with pytest.raises(Error, match="incomplete"):
            end.get(timeout=10)


def test_a_subscription_gets_all_frames_beside_another() -> None:
    source = capture()
    every = source.subscribe(depth=60, on_overrun="drop-newest")
    latest = source.subscribe()
    report = source.run(frames=60)
    assert report.captured == 60
    assert [frame.sequence for frame in every] == list(range(60))
    assert [frame.sequence for frame in latest] == [58, 59]
    assert latest.report == Deliveries(
        received=60, delivered=2, consumer_drops=58, undelivered=0, held=0
    )
    with pytest.raises(StreamEndedError):
        latest.get(timeout=1)


def test_a_tap_sees_what_is_sent_and_slows_nothing(port: int) -> None:
    with receiver(port) as end:
        sender = Sender(
            device="test", heap="memfd", width=32, height=16, address=LOCALHOST, port=port
        )
        with pytest.raises(ValueError, match="slow"):
            sender.subscribe(on_overrun="block")
        tap = sender.subscribe(depth=3)
        receiving = threading.Thread(target=end.run)
        receiving.start()
        report = sender.run(frames=100)
        receiving.join(10)
        assert (report.captured, report.sent) == (100, 100)
        assert tap.report.received == 100
        assert [frame.sequence for frame in tap] == [97, 98, 99]


def test_wrong_subscriptions_are_refused() -> None:
    source = capture()
    for depth, error in ((0, ValueError), (1.5, TypeError)):
        with pytest.raises(error):
            source.subscribe(depth=depth)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_overrun"):
        source.subscribe(on_overrun="drop")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        closed().subscribe()


def test_the_policy_decides_what_a_slow_loop_sees() -> None:
    with capture(on_overrun="drop-oldest", fps=500) as source:
        first = source.get().copy()
        time.sleep(0.2)
        late = source.get().copy()
    assert late.gap > 10
    assert late.sequence > first.sequence + 10
    deliveries = source.deliveries
    assert deliveries is not None
    assert deliveries.consumer_drops > 10
    known = deliveries.delivered + deliveries.consumer_drops + deliveries.undelivered
    assert deliveries.received == known


def test_block_slows_the_sender_and_loses_nothing(port: int) -> None:
    with receiver(port) as end, sending(port, 40) as sender:
        for number, frame in enumerate(end):
            assert frame.sequence == number
            time.sleep(0.005)
    assert sender.report is not None
    assert sender.report.received == 40


def test_block_is_no_silence_to_a_sender_that_is_told(port: int) -> None:
    with receiver(port, buffers=2) as end, sending(port, 6, peer_timeout=0.5) as sender:
        held = [end.get(timeout=10) for _ in range(2)]
        # What is sent meanwhile is more than sockets take, or the end, which waits as well.
        time.sleep(1.5)
        for frame in held:
            frame.release()
        rest = [frame.sequence for frame in end if frame.release()]
    assert rest == [2, 3, 4, 5]
    assert sender.report is not None
    assert sender.report.received == 6


def test_block_is_no_silence_in_the_middle_of_a_frame(port: int) -> None:
    size = {"width": 1920, "height": 1080, "buffers": 2}
    with receiver(port, buffers=2) as end, sending(port, 8, peer_timeout=0.5, **size):
        held = [end.get(timeout=10) for _ in range(2)]
        time.sleep(1.5)
        for frame in held:
            frame.release()
        assert sum(1 for frame in end if frame.release()) == 6


def test_a_sender_that_can_t_be_told_is_named_with_what_it_waited_for(port: int) -> None:
    size = {"width": 1920, "height": 1080, "protocol": 2}
    with receiver(port, buffers=2) as end, sending(port, peer_timeout=0.5, **size):
        held = [end.get(timeout=10) for _ in range(2)]
        time.sleep(1.5)
        held.clear()
        with pytest.raises(Error, match=r"had all buffers for 1\.\d s"):
            list(map(Frame.release, end))


def test_fileno_is_readable_when_get_has_something() -> None:
    with capture(fps=20) as source:
        for _ in range(3):
            readable, _, _ = select.select([source], [], [], 10)
            assert readable, "a frame was to come"
            assert source.get(0).width == 32
        assert not select.select([source], [], [], 0)[0]
        source.stop()
        assert select.select([source], [], [], 10)[0], "the end was to be told"
        list(source)
        with pytest.raises(StreamEndedError):
            source.get(0)


def test_who_takes_frames_of_a_run_that_cannot_begin_is_told() -> None:
    source = Capture(device="/dev/there-is-none")
    tap = source.subscribe()
    with pytest.raises(Error):
        source.run()
    assert list(tap) == []


def test_a_peer_that_is_lost_ends_the_loop(port: int) -> None:
    code = "from v4l_dmabuf import Sender; Sender(address='127.0.0.1', port=%d, device='test', "
    code = code % port + "heap='memfd', fps=100).run()"
    with receiver(port) as end, subprocess.Popen([sys.executable, "-c", code]) as process:
        assert end.get(timeout=20).counter == 0
        process.kill()
        with pytest.raises(Error) as caught:
            list(end)
    assert isinstance(caught.value, PeerError | EOFError), caught.value
