"""Wire version 3 in both directions against an independent peer, and against hostile ones."""

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import xxhash

from reference import pattern
from reference_v3 import (
    ACCEPT,
    ACK,
    BIND,
    PREAMBLE,
    REFUSE,
    RESULT,
    STREAM,
    Taken,
    accept,
    answer,
    description,
    end,
    frame,
    greet,
    message,
    receive,
    receive_message,
    result_of,
    stream,
    unwritten,
)
from support import (
    LOCALHOST,
    connect,
    listening,
    receiver,
    receiver_command,
    sender_command,
)
from v4l_dmabuf import Report, Sender
from v4l_dmabuf.errors import Error, RefusedError

AHEAD = 3_600_000_000_000


def sent_by_us(port: int, frames: int, **fields: Any) -> tuple[Report | Error, Taken]:
    """Have our sender send to the independent receiver, whose clock is an hour ahead."""
    told: list[Report | Error] = []
    sender = Sender(
        device="test", heap="memfd", address=LOCALHOST, port=port, width=64, height=32, **fields
    )

    def run() -> None:
        try:
            told.append(sender.run(frames=frames))
        except Error as error:
            told.append(error)

    with listening(port) as server:
        thread = threading.Thread(target=run)
        thread.start()
        connection, control, taken = accept(server)
        with connection, control:
            readings = threading.Thread(target=answer, args=(control, AHEAD))
            readings.start()
            for counter in receive(connection, taken):
                now = time.monotonic_ns() + AHEAD
                control.sendall(message(ACK, struct.pack(">4Q", counter, now, now, now)))
            control.sendall(message(RESULT, struct.pack(">3Q", len(taken.frames), 0, 0)))
            connection.close()
            readings.join(10)
        thread.join(10)
    return told[0], taken


def test_what_the_sender_sends_is_what_the_document_says(port: int) -> None:
    report, taken = sent_by_us(port, 12, fps=50.0, verify=True)
    assert isinstance(report, Report), report
    assert taken.described["width"] == 64
    assert taken.described["planes"] == [{"sizeimage": 4096, "bytesperline": None}]
    assert taken.described["frame_interval"] == [1000, 50000]
    assert taken.described["verify"] is True
    assert taken.described["tool"].startswith("v4l-dmabuf ")
    assert [head[0] for head in taken.frames] == list(range(12))
    assert list(taken.payloads) == [[pattern(n, 4096, 32)] for n in range(12)]
    for head, (payload,) in zip(taken.frames, taken.payloads, strict=True):
        _, _, stamp, _, dequeued, handed, flags, _, checksum, kind, planes = head
        assert (kind, checksum) == (1, xxhash.xxh3_64_intdigest(payload))
        assert stamp // 1000 <= dequeued // 1000 <= handed // 1000
        assert (flags, planes) == (0x2000, 1)
    # The first frames' clock is not settled yet.
    assert taken.frames[0][3] == 0
    assert taken.frames[-1][3] == pytest.approx(taken.frames[-1][2], abs=2000)
    assert taken.end == (12, 12, 0, 0, 0)


def test_the_offset_of_the_clocks_is_found_and_is_in_every_one_way_time(port: int) -> None:
    report, _ = sent_by_us(port, 30, fps=60.0)
    assert isinstance(report, Report), report
    assert report.offset is not None
    assert report.offset_bound is not None
    assert abs(report.offset - AHEAD / 1e9) <= report.offset_bound
    assert report.clock_readings is not None
    assert report.clock_readings >= 32, "a burst before the run and one after it"
    transfer, acknowledged = report.stages["transfer"], report.stages["acknowledged"]
    assert transfer.count == acknowledged.count == 30
    assert 0 <= transfer.least <= transfer.most < 1
    assert transfer.mean <= acknowledged.mean + report.offset_bound
    assert report.stages["end_to_end"].count >= 20
    assert report.stages["end_to_end_corrected"].count >= 20


@pytest.mark.parametrize(
    ("received", "spoiled", "told"),
    [(4, 0, "1 frames were lost in transit"), (6, 0, "6 frames received of 5 sent")],
)
def test_what_the_receiver_tells_has_to_balance(
    port: int, received: int, spoiled: int, told: str
) -> None:
    with listening(port) as server, sender_command(port, "-n", 5) as command:
        connection, control, taken = accept(server)
        with connection, control:
            for _ in receive(connection, taken):
                pass
            control.sendall(message(RESULT, struct.pack(">3Q", received, spoiled, 0)))
            connection.close()
            assert told in command.error(status=3)


def test_a_receiver_that_ends_without_a_word_is_not_success(port: int) -> None:
    with listening(port) as server, sender_command(port, "-n", 2) as command:
        connection, control, taken = accept(server)
        for _ in receive(connection, taken):
            pass
        connection.close()
        control.close()
        assert "did not tell what it received" in command.error(status=3)


def test_a_refusal_reaches_the_sender_s_user(port: int) -> None:
    with (
        receiver_command(port, "--max-memory", "1K") as end_command,
        sender_command(port) as command,
    ):
        assert "raise --max-memory" in command.error()
        assert "raise --max-memory" in end_command.error()


def test_a_refusal_cannot_write_to_the_terminal_what_it_likes(port: int) -> None:
    sender = Sender(device="test", heap="memfd", address=LOCALHOST, port=port)
    with listening(port) as server:
        thread = threading.Thread(target=refuse, args=(server,))
        thread.start()
        with pytest.raises(RefusedError, match=r"refuses: \\x1b\[31mno$"):
            sender.run()
        thread.join()


def refuse(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(100_000)
        connection.sendall(message(REFUSE, b"\x1b[31mno"))


def test_a_receiver_of_version_2_alone_is_named_as_the_likely_cause(port: int) -> None:
    for patience in (0, 0.3):
        with listening(port) as server, sender_command(port, "--peer-timeout", 5) as command:
            connection, _ = server.accept()
            connection.recv(28)
            time.sleep(patience)
            connection.close()
            assert "use --protocol 2" in command.error()


def test_frames_of_several_planes_arrive_and_unknown_messages_are_passed_over(
    port: int, tmp_path: Path
) -> None:
    dump = tmp_path / "dump"
    reports = []
    with receiver(port, output=dump) as ours:
        thread = threading.Thread(target=lambda: reports.append(ours.run()))
        thread.start()
        with connect(port) as connection:
            control = greet(connection, port, description(16, 8, 8, later={"x": 1}))
            with control:
                connection.sendall(message(1000, b"x" * 5000))
                connection.sendall(frame(b"a" * 16, b"b" * 8, b"c" * 3))
                connection.sendall(message(1001) + frame(b"", b"", b"d", counter=1))
                connection.sendall(end(3, 2, left=1))
                assert result_of(control) == (2, 0, 0, "")
        thread.join(10)
    assert dump.read_bytes() == b"a" * 16 + b"b" * 8 + b"c" * 3 + b"d"
    (report,) = reports
    assert (report.frames, report.planes, report.sizeimage, report.protocol) == (2, 3, 32, 3)
    assert (report.captured, report.sent, report.left_over, report.received) == (3, 2, 1, 2)
    assert report.lost == 0


def taken_by_our_command(port: int, sent: bytes, *arguments: object, status: int) -> str:
    """Send what follows a greeting, close, and give the receiver's error."""
    with receiver_command(port, *arguments) as command, connect(port) as connection:
        with greet(connection, port) as control:
            # A receiver that refuses what came first may have closed by now.
            with contextlib.suppress(OSError):
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            while receive_message(control):
                pass
        return command.error(status)


def checksum_of(payload: bytes) -> tuple[int, int]:
    return 1, xxhash.xxh3_64_intdigest(payload)


def checked(payload: bytes) -> bytes:
    return frame(payload, checksum=checksum_of(payload))


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"", "0 frames arrived whole"),
        (frame(b"x"), "1 frames arrived whole"),
        (frame(b"x") + frame(b"yz", counter=1)[:-1], "1 of the 2 bytes of the payload of frame 2"),
        (frame(b"x") + end(1, 1)[:-1], "are missing"),
        (frame(b"x") + end(3, 3), "2 frames were lost in transit"),
        (frame(b"x") + end(2, 1), "2 frames captured are not 1 sent"),
        (frame(b"x") + end(0, 0), "1 frames received of 0 sent"),
        (frame(b"x") + end(1, 1, failure=b"gone"), "the sender failed after 1 frames: gone"),
        (frame(b"x") + frame(b"y", counter=3) + end(4, 4), "2 frames were lost in transit"),
    ],
)
def test_a_stream_that_was_cut_or_does_not_balance_is_status_3(
    port: int, sent: bytes, told: str
) -> None:
    assert told in taken_by_our_command(port, sent, status=3)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (message(17, b"short"), "can't have 5 bytes"),
        (message(16, b"x" * 76)[:8] + b"x" * 100, "kind"),
        (struct.pack(">2I", 99, 1 << 20), "can't have 1048576 bytes"),
        (frame(b"x" * 1025), "bytesused 1025 is more than"),
        (frame(b"x", b"y"), "2 planes came in a stream of 1"),
        (frame(b"x", checksum=(7, 0)), "kind 7"),
    ],
)
def test_a_receiver_refuses_what_breaks_a_rule(port: int, sent: bytes, told: str) -> None:
    assert told in taken_by_our_command(port, sent, status=1)


@pytest.mark.parametrize(
    ("described", "told"),
    [
        (b"", "EOF"),
        (b"{}", "missing field"),
        (b"[" * 60_000, "unusable"),
        (b"\xff\xfe", "unusable"),
        (stream(description(buffers=0))[16:], "nonzero"),
        (stream(description(8192, buffers=1 << 31))[16:], "--max-memory"),
        (stream(description(width=0))[16:], "the width or the height is 0"),
        (stream(description(*[1 << 31] * 8))[16:], "frames of"),
    ],
)
def test_a_description_that_will_not_do_is_refused_with_the_reason(
    port: int, described: bytes, told: str
) -> None:
    limited = ("--max-memory", "255K")
    with receiver_command(port, *limited) as command, connect(port) as connection:
        connection.sendall(PREAMBLE + message(STREAM, described))
        answered = receive_message(connection)
        assert answered is not None
        assert answered[0] == REFUSE
        assert told in answered[1].decode()
        assert told in command.error()


def test_only_the_connection_that_knows_the_stream_s_name_is_its_control(port: int) -> None:
    with receiver_command(port) as command, connect(port) as connection:
        connection.sendall(stream(description()))
        accepted = receive_message(connection)
        assert accepted is not None
        kind, name = accepted
        assert kind == ACCEPT
        strangers = [b"GET / HTTP/1.1\r\n\r\n", PREAMBLE + message(BIND, b"\0" * 16), b""]
        for hello in strangers:
            with connect(port) as stranger:
                stranger.sendall(hello)
                # Closed with bytes unread, a socket sends a reset.
                with contextlib.suppress(ConnectionResetError):
                    assert not hello or stranger.recv(8) == b""
        with connect(port) as control:
            control.sendall(PREAMBLE + message(BIND, name))
            assert receive_message(control) is not None
            connection.sendall(frame(b"x") + end(1, 1))
            assert result_of(control)[0] == 1
        assert command.wait() == 0, command.stderr
        assert "turned away" in command.stderr


def test_a_sender_that_goes_away_before_it_is_bound_is_noticed(port: int) -> None:
    with receiver_command(port) as command:
        with connect(port) as connection:
            connection.sendall(stream(description()))
            receive_message(connection)
        assert "the sender went away" in command.error()


def test_a_spoiled_frame_is_found_and_both_sides_fail(port: int, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    whole, spoiled = checked(b"whole"), checked(b"spoilt")[:-1] + b"x"
    spoiled = spoiled[:8] + struct.pack(">2Q", 1, 1) + spoiled[24:]
    with receiver_command(port, "-o", dump) as command, connect(port) as connection:
        with greet(connection, port, description(verify=True)) as control:
            connection.sendall(whole + spoiled + end(2, 2))
            assert result_of(control) == (2, 1, 0, "")
        assert "1 frames arrived spoiled" in command.error(status=3)
    assert dump.read_bytes() == b"wholespoilx", "what came is kept"


def test_frames_that_the_sender_saw_unwritten_are_not_sound(port: int) -> None:
    frames = [frame(b"x", counter=number, checksum=checksum_of(b"x")) for number in range(3)]
    with receiver_command(port) as command, connect(port) as connection:
        with greet(connection, port, description(verify=True, unwritten=True)) as control:
            told = [unwritten(1) + frames[0], frames[1], unwritten(2) + frames[2]]
            connection.sendall(b"".join(told) + end(3, 3))
            assert result_of(control) == (3, 0, 0, "")
        assert "2 frames were not written by the driver, or not whole" in command.error(status=3)
    assert "all sound" not in command.stderr


@pytest.mark.parametrize(
    ("tells", "said"), [(True, "all sound"), (False, "all as they were sent")]
)
def test_who_is_not_told_of_unwritten_frames_does_not_know(
    port: int, tells: bool, said: str
) -> None:
    described = description(verify=True, unwritten=True) if tells else description(verify=True)
    with receiver_command(port) as command, connect(port) as connection:
        with greet(connection, port, described) as control:
            connection.sendall(checked(b"whole") + end(1, 1))
            assert result_of(control) == (1, 0, 0, "")
        assert command.wait() == 0, command.stderr
    assert said in command.stderr


def test_a_spoiled_frame_fails_the_sender_too(port: int) -> None:
    with listening(port) as server, sender_command(port, "-n", 3, "--verify") as command:
        connection, control, taken = accept(server)
        with connection, control:
            for _ in receive(connection, taken):
                pass
            control.sendall(message(RESULT, struct.pack(">3Q", 3, 1, 0)))
            connection.close()
            assert "1 frames arrived spoiled" in command.error(status=3)


def test_the_sender_learns_why_the_receiver_failed(port: int) -> None:
    with receiver_command(port, "-o", "/dev/full") as end_command, sender_command(port) as command:
        assert "No space left" in end_command.error()
        assert "the receiver failed after " in command.error(status=3)
        assert "No space left" in command.stderr


def test_a_control_connection_that_talks_nonsense_does_not_harm_the_frames(port: int) -> None:
    with (
        receiver_command(port) as command,
        connect(port) as connection,
        greet(connection, port) as control,
    ):
        control.sendall(b"\xff" * 1000)
        connection.sendall(frame(b"x") + end(1, 1))
        connection.shutdown(socket.SHUT_WR)
        assert command.wait() == 0, command.stderr
    assert "unknown times from side to side: " in " ".join(command.stderr.split())
