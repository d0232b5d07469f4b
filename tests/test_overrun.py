"""A network slower than the source: who drops which frames, and that none is lost silently."""

import signal
import socket
import threading
import time
from typing import Any

import pytest

from reference import STREAM, ReceivedFrame, pattern, receive_exactly, receive_frames
from support import LOCALHOST, Command, listening, receiver_command, transfer
from v4l_dmabuf import Report, Sender

WIDTH, HEIGHT = 640, 480
SIZE = WIDTH * HEIGHT * 2


def slowly(port: int, on_overrun: Any, zero_copy: Any) -> tuple[Report, list[ReceivedFrame]]:
    """Send at 90 frames a second to a receiver that takes 30."""
    reports: list[Report] = []
    sender = Sender(
        device="test",
        heap="memfd",
        address=LOCALHOST,
        port=port,
        fps=90,
        on_overrun=on_overrun,
        zero_copy=zero_copy,
        protocol=2,
    )
    frames = []
    with listening(port) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        thread = threading.Thread(target=lambda: reports.append(sender.run(frames=20)))
        thread.start()
        connection, _ = server.accept()
        with connection:
            receive_exactly(connection, STREAM.size)
            for frame in receive_frames(connection):
                frames.append(frame)
                time.sleep(1 / 30)
        thread.join()
    return reports[0], frames


@pytest.mark.parametrize("zero_copy", ["on", "off"])
@pytest.mark.parametrize("on_overrun", ["block", "drop-oldest", "drop-newest"])
def test_every_loss_is_counted_where_it_happened(
    port: int, on_overrun: Any, zero_copy: Any
) -> None:
    report, frames = slowly(port, on_overrun, zero_copy)
    assert report.frames == len(frames) == 20
    assert report.drops == 0, "the built-in source drops nothing"
    numbers = [frame.sequence for frame in frames]
    gaps = numbers[-1] + 1 - len(numbers)
    assert report.sender_drops is not None
    if on_overrun == "block":
        assert gaps == report.sender_drops == 0
    else:
        assert 0 < gaps <= report.sender_drops
    for frame in frames:
        assert frame.payload == pattern(frame.sequence, SIZE, HEIGHT), frame.sequence


@pytest.mark.parametrize("on_overrun", ["drop-oldest", "drop-newest"])
def test_a_source_without_a_pace_is_sent_and_stopped(port: int, on_overrun: Any) -> None:
    """It always has another frame, and must not keep the sender from all else."""
    options = ("-d", "test", "-e", "memfd", "-a", LOCALHOST, "-p", port)
    with (
        receiver_command(port) as receiver,
        Command("sender", *options, "--on-overrun", on_overrun) as sender,
    ):
        sender.wait_for("sending")
        time.sleep(1)
        sender.process.send_signal(signal.SIGINT)
        assert sender.wait() == 0, sender.stderr
        assert receiver.wait() == 0, receiver.stderr
    assert "received 0 frames" not in receiver.stderr, receiver.stderr
    assert "received " in receiver.stderr, receiver.stderr


def test_both_sides_tell_of_the_same_frames_in_a_row(port: int) -> None:
    sender = Sender(
        device="test", heap="memfd", address=LOCALHOST, port=port, on_overrun="drop-oldest"
    )
    sent, received = transfer(sender, 50, port)
    assert sent.missing_bursts is not None
    assert sent.missing_bursts == received.missing_bursts == received.bursts
