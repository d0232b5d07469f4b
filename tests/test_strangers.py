"""A receiver is there for its sender, whoever else connects, and whatever they say."""

import contextlib
import json
import shutil
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reference import frame, stream_header
from reference_v3 import (
    ACCEPT,
    BIND,
    FRAME_KIND,
    PREAMBLE,
    REFUSE,
    description,
    end,
    greet,
    message,
    receive_message,
    result_of,
    stream,
)
from reference_v3 import (
    frame as frame_v3,
)
from support import Command, connect, receiver, receiver_command

HALF = stream_header()[:14]


def reset(connection: socket.socket) -> None:
    """Close a connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("2i", 1, 0))
    connection.close()


def send_by_version_2(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(stream_header() + frame(b"whole"))


def send_by_version_3(port: int) -> None:
    with connect(port) as connection, greet(connection, port) as control:
        connection.sendall(frame_v3(b"whole") + end(1, 1))
        assert result_of(control) == (1, 0, 0, "")


def took_one_frame(command: Command, dump: Path, report: Path) -> None:
    """Assert that the stream was taken as if nobody else had been there."""
    assert command.wait() == 0, command.stderr
    assert dump.read_bytes() == b"whole"
    result = json.loads(report.read_text())
    assert (result["outcome"], result["error"]) == ("complete", None)
    assert (result["summary"]["frames"], result["summary"]["error_frames"]) == (1, 0)


@pytest.mark.parametrize("send", [send_by_version_2, send_by_version_3])
@pytest.mark.parametrize(
    ("hello", "told"),
    [
        (b"", "it closed the connection after 0 bytes"),
        (b"V4L", "it closed the connection after 3 bytes"),
        (HALF, "it closed the connection after 14 bytes"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 'it began with "GET " instead of "V4LB"'),
        (b"\x16\x03\x01\x02\x00\x01", r'it began with "\x16'),
        (PREAMBLE, "it closed the connection after 8 bytes"),
        (PREAMBLE + message(77) * 10, "it closed the connection"),
        (PREAMBLE + message(BIND, b"0123456789abcdef"), "it names a stream that there is not"),
        (PREAMBLE + message(BIND), "it names a stream that there is not"),
        (PREAMBLE + message(FRAME_KIND, b"x" * 72), "it offers no stream"),
        (PREAMBLE + struct.pack(">2I", 99, 1 << 20), "it offers no stream"),
    ],
)
def test_a_stranger_is_turned_away_and_the_sender_is_taken(
    port: int, tmp_path: Path, hello: bytes, told: str, send: object
) -> None:
    dump, report = tmp_path / "dump", tmp_path / "report"
    with receiver_command(port, "-o", dump, "--report", report) as command:
        with connect(port) as stranger:
            stranger.sendall(hello)
            # It may be turned away by now, with a reset if it had said more than is read.
            with contextlib.suppress(OSError):
                stranger.shutdown(socket.SHUT_WR)
                assert stranger.recv(1) == b"", "a stranger is told nothing"
        assert callable(send)
        send(port)
        took_one_frame(command, dump, report)
    (line,) = [line for line in command.stderr.splitlines() if "turned away" in line]
    assert " warning: " in line
    assert told in line


def test_a_stranger_s_reset_is_no_concern_of_the_run(port: int, tmp_path: Path) -> None:
    dump, report = tmp_path / "dump", tmp_path / "report"
    with receiver_command(port, "-o", dump, "--report", report) as command:
        for hello in (b"", b"V", HALF, PREAMBLE):
            stranger = connect(port)
            stranger.sendall(hello)
            reset(stranger)
        send_by_version_2(port)
        took_one_frame(command, dump, report)


def test_the_sender_waits_for_none_of_those_who_say_nothing(port: int, tmp_path: Path) -> None:
    """They are more than are heard at once, too."""
    dump, report = tmp_path / "dump", tmp_path / "report"
    with contextlib.ExitStack() as stack:
        command = stack.enter_context(receiver_command(port, "-o", dump, "--report", report))
        for number in range(200):
            stranger = stack.enter_context(connect(port))
            stranger.sendall(HALF[: number % 2 * 14])
        begun = time.monotonic()
        send_by_version_3(port)
        assert time.monotonic() - begun < 8, "the sender waited for the time of the silent"
        took_one_frame(command, dump, report)
    lines = [line for line in command.stderr.splitlines() if "turned away" in line]
    assert 1 <= len(lines) <= 10, "200 strangers fill no log"
    assert any(" more, the last: " in line for line in lines), lines


def test_strangers_leave_a_stream_the_descriptors_that_it_needs(port: int, tmp_path: Path) -> None:
    prlimit = shutil.which("prlimit")
    assert prlimit is not None
    dump, report = tmp_path / "dump", tmp_path / "report"
    arguments = ("-o", dump, "--report", report)
    with contextlib.ExitStack() as stack:
        command = stack.enter_context(
            receiver_command(port, *arguments, wrapper=[prlimit, "--nofile=64"])
        )
        for _ in range(100):
            stack.enter_context(connect(port))
        send_by_version_3(port)
        took_one_frame(command, dump, report)


def test_silence_ends_in_being_turned_away_and_so_does_dribbling(port: int) -> None:
    with (
        receiver_command(port, "--peer-timeout", "0.5") as command,
        connect(port) as silent,
        connect(port) as dribbling,
        connect(port) as talking,
    ):
        talking.sendall(PREAMBLE)
        deadline = time.monotonic() + 20
        lines: list[str] = []
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline and len(lines) < 3:
                lines = [line for line in command.stderr.splitlines() if "turned away" in line]
                for connection, text in ((dribbling, b"V"), (talking, message(77, b"and so on"))):
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(text)
                time.sleep(0.1)
        assert len(lines) == 3, command.stderr
        assert silent.recv(1) == b""
        assert "it did not say what it sends within 0.5 s" in command.stderr
        send_by_version_2(port)
        assert command.wait() == 0, command.stderr


@contextlib.contextmanager
def dribbling(port: int) -> Iterator[None]:
    """Have some who say a byte at a time, and connect anew when they are turned away."""
    done = threading.Event()

    def dribble() -> None:
        while not done.is_set():
            with contextlib.suppress(ConnectionError), connect(port) as connection:
                for byte in stream_header()[:20]:
                    connection.sendall(bytes([byte]))
                    if done.wait(0.05):
                        return

    threads = [threading.Thread(target=dribble) for _ in range(5)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_stop_is_heeded_beside_strangers(port: int) -> None:
    with receiver_command(port) as command, dribbling(port):
        time.sleep(0.3)
        begun = time.monotonic()
        command.process.terminate()
        assert command.wait() == 0, command.stderr
        assert time.monotonic() - begun < 5, "the strangers held up the stop"


def test_strangers_come_between_an_offer_and_its_control_connection(port: int) -> None:
    with receiver_command(port) as command, connect(port) as connection:
        connection.sendall(stream(description()))
        answer = receive_message(connection)
        assert answer is not None
        kind, name = answer
        assert kind == ACCEPT
        with contextlib.ExitStack() as stack:
            for hello in (b"", b"GET / HTTP/1.1\r\n\r\n", PREAMBLE + message(BIND, b"x" * 16)):
                stranger = stack.enter_context(connect(port))
                stranger.sendall(hello)
            # A later sender may say more than ours, even here.
            connection.sendall(message(1000, b"of a later time"))
            control = stack.enter_context(connect(port))
            control.sendall(PREAMBLE + message(BIND, name))
            assert receive_message(control) is not None
            connection.sendall(frame_v3(b"x") + end(1, 1))
            assert result_of(control)[0] == 1
        assert command.wait() == 0, command.stderr


def test_strangers_come_and_go_during_a_stream(port: int, tmp_path: Path) -> None:
    dump, report = tmp_path / "dump", tmp_path / "report"
    with (
        receiver_command(port, "-o", dump, "--report", report) as command,
        connect(port) as connection,
        greet(connection, port) as control,
    ):
        connection.sendall(frame_v3(b"who")[:-1])
        for hello in (b"", b"SSH-2.0-x\r\n", PREAMBLE + message(BIND, b"x" * 16)):
            with connect(port) as stranger:
                stranger.sendall(hello)
        command.wait_for("SSH-")
        connection.sendall(b"ole"[:1])
        connection.sendall(end(1, 1))
        assert result_of(control) == (1, 0, 0, "")
        assert command.wait() == 0, command.stderr
    assert dump.read_bytes() == b"who"


@pytest.mark.parametrize("first", [2, 3])
def test_of_two_streams_the_first_is_taken_and_the_other_told(
    port: int, tmp_path: Path, first: int
) -> None:
    dump, report = tmp_path / "dump", tmp_path / "report"
    with (
        receiver_command(port, "-o", dump, "--report", report) as command,
        connect(port) as connection,
    ):
        if first == 2:
            connection.sendall(stream_header())
        else:
            control = greet(connection, port)
        command.wait_for("stream of")
        with connect(port) as second:
            second.sendall(stream(description()))
            answer = receive_message(second)
            assert answer is not None
            assert answer[0] == REFUSE
            assert b"it is receiving another stream" in answer[1]
            assert second.recv(1) == b""
        with connect(port) as third:
            third.sendall(stream_header())
            assert third.recv(1) == b""
        # What describes no stream doesn't end the one that is taken, either.
        with connect(port) as fourth:
            fourth.sendall(stream_header(version=9))
        if first == 2:
            connection.sendall(frame(b"whole"))
            connection.close()
        else:
            connection.sendall(frame_v3(b"whole") + end(1, 1))
            assert result_of(control) == (1, 0, 0, "")
            control.close()
        took_one_frame(command, dump, report)
    assert "another one is being received" in command.stderr


def test_strangers_are_turned_away_in_the_api_too(port: int) -> None:
    with receiver(port) as ours:
        # These wait before the run begins to hear them.
        for hello in (b"", b"GET / HTTP/1.1\r\n\r\n", HALF):
            with connect(port) as stranger:
                stranger.sendall(hello)
        with connect(port), connect(port) as connection:
            connection.sendall(stream_header() + frame(b"whole"))
            connection.close()
            report = ours.run()
    assert (report.frames, report.bytes) == (1, 5)


@pytest.mark.parametrize("talk", [message(1000, b"x" * 50_000), message(1000)])
def test_a_stop_is_heeded_while_a_peer_talks_and_sends_no_frame(port: int, talk: bytes) -> None:
    with (
        receiver_command(port) as command,
        connect(port) as connection,
        greet(connection, port),
    ):
        done = threading.Event()

        def talk_on() -> None:
            with contextlib.suppress(ConnectionError):
                while not done.is_set():
                    connection.sendall(talk * 10)

        thread = threading.Thread(target=talk_on)
        thread.start()
        try:
            command.wait_for("stream of")
            begun = time.monotonic()
            command.process.terminate()
            assert command.wait() == 0, command.stderr
            assert time.monotonic() - begun < 8, "talk held up the stop"
        finally:
            done.set()
            thread.join()


def test_a_stop_is_heeded_while_a_header_dribbles_in(port: int) -> None:
    with receiver_command(port) as command, connect(port) as connection:
        connection.sendall(stream_header() + frame(b"whole") + frame(b"x")[:30])
        command.wait_for("stream of")
        time.sleep(0.2)
        begun = time.monotonic()
        command.process.terminate()
        assert command.wait() == 0, command.stderr
        assert time.monotonic() - begun < 8, "it waited for a header that had begun"
    assert "received 1 frames" in command.stderr


def test_after_a_stop_a_frame_that_trickles_in_has_its_time(port: int) -> None:
    with (
        receiver_command(port, "--peer-timeout", "1") as command,
        connect(port) as connection,
    ):
        connection.sendall(stream_header() + frame(b"", bytesused=1000))
        command.wait_for("stream of")
        time.sleep(0.2)
        command.process.terminate()
        deadline = time.monotonic() + 20
        with contextlib.suppress(ConnectionError):
            while command.process.poll() is None and time.monotonic() < deadline:
                connection.sendall(b"x")
                time.sleep(0.05)
        assert "of the payload of frame 1 are missing" in command.error(status=3)
