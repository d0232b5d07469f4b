"""Each thing that may go wrong with a peer, a device, a heap or an output is one clear line."""

import re
import socket
from pathlib import Path

import pytest

from reference import frame, receive_exactly, stream_header
from support import Command, connect, listening, receiver_command, sender_command

GIB = 1 << 30
V2 = ("--protocol", "2")


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (stream_header(version=0), "wire version 0"),
        (stream_header(version=4), "wire version 4"),
        (stream_header(sizeimage=0), "sizeimage is 0"),
        (stream_header(buffer_count=0), "buffer_count is 0"),
        (stream_header(width=0), "the width or the height is 0"),
        (stream_header(height=0), "the width or the height is 0"),
        (stream_header(sizeimage=GIB, buffer_count=2), "--max-memory"),
        (stream_header(sizeimage=0xFFFFFFFF, buffer_count=0xFFFFFFFF), "--max-memory"),
        (stream_header() + frame(b"")[:39], "1 of the 40 bytes of the header of frame 1"),
        (
            stream_header() + frame(b"whole") + frame(b"cut", bytesused=10),
            "7 of the 10 bytes of the payload of frame 2 are missing, 1 frames arrived whole",
        ),
        (stream_header() + frame(b"", bytesused=1025), "bytesused 1025 is more than"),
        (stream_header() + frame(b"", bytesused=0xFFFFFFFF), "bytesused 4294967295"),
        (stream_header() + frame(b"x") + frame(b"y", magic=1), "instead of 0x5652464d"),
    ],
)
def test_a_receiver_refuses(port: int, sent: bytes, told: str) -> None:
    with receiver_command(port) as command:
        with connect(port) as connection:
            connection.sendall(sent)
        # A stream that began and was cut is no stream; others never were one.
        cut = re.search("of the .* of frame", told) is not None
        assert told in command.error(status=3 if cut else 1)


def test_what_was_received_whole_is_kept(port: int, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    with receiver_command(port, "-o", dump) as command:
        with connect(port) as connection:
            connection.sendall(stream_header() + frame(b"whole") + frame(b"cut", bytesused=10))
        command.error(status=3)
        assert "received 1 frames, 5 bytes" in command.stderr
    assert dump.read_bytes() == b"whole"


def test_the_limit_is_for_what_is_allocated(port: int) -> None:
    """That is 32 buffers at most, whatever number the sender says, and whole pages."""
    header = stream_header(sizeimage=1000, buffer_count=100)
    for limit, status in (("127K", 1), ("128K", 0)):
        with receiver_command(port, "--max-memory", limit) as command:
            with connect(port) as connection:
                connection.sendall(header)
            assert command.wait() == status, command.stderr


def test_grants_are_named(port: int) -> None:
    """The reference's other flow begins as a stream does, and waits for answers."""
    for before in (b"", frame(b"a frame")):
        with receiver_command(port) as command, connect(port) as connection:
            connection.sendall(stream_header() + before + b"VHND" + bytes(40 if before else 4))
            error = command.error()
        assert "sender_zc" in error, error
        assert "use the reference's sender" in error, error


def test_a_reset_connection_is_an_error(port: int) -> None:
    with receiver_command(port) as command:
        connection = connect(port)
        connection.sendall(stream_header() + frame(b"cut", bytesused=10))
        command.wait_for("stream of")
        # Closed with this, a socket sends a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        command.error(status=3)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (stream_header(), "40 of the 40 bytes of the header of frame 1"),
        (stream_header() + frame(b"x")[:20], "20 of the 40 bytes of the header of frame 1"),
        (stream_header() + frame(b"abc", bytesused=5), "2 of the 5 bytes of the payload"),
    ],
)
def test_a_silent_sender_is_given_up(port: int, sent: bytes, told: str) -> None:
    with receiver_command(port, "--peer-timeout", "0.3") as command, connect(port) as connection:
        connection.sendall(sent)
        error = command.error(status=3)
        assert told in error
        assert "--peer-timeout" in error


def test_a_receiver_that_takes_nothing_is_given_up(port: int) -> None:
    with (
        listening(port) as server,
        sender_command(port, *V2, "--width", "1920", "--peer-timeout", "0.5") as command,
    ):
        connection, _ = server.accept()
        with connection:
            error = command.error(status=3)
    assert "took nothing for 0.5 s" in error
    assert "--peer-timeout" in error


def test_a_receiver_that_takes_nothing_of_what_is_in_flight_is_given_up(port: int) -> None:
    with listening(port) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with sender_command(
            port, *V2, "--zero-copy", "on", "-W", 320, "-H", 240, "--peer-timeout", "0.5"
        ) as command:
            connection, _ = server.accept()
            with connection:
                error = command.error(status=3)
    assert "for 0.5 s" in error
    assert "signal" not in command.stderr


def test_a_receiver_that_hangs_up_is_an_error(port: int) -> None:
    for fps in ("1", "1000"):  # noticed while it waits for a frame, and while it sends
        with listening(port) as server, sender_command(port, *V2, "--fps", fps) as command:
            connection, _ = server.accept()
            receive_exactly(connection, 1000)
            connection.close()
            assert "its own output says why" in command.error(status=3)


def test_a_peer_that_answers_is_no_receiver(port: int) -> None:
    with listening(port) as server, sender_command(port, *V2, "--fps", "1") as command:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
            assert "a receiver of versions 1 and 2 never does" in command.error()


def test_a_receiver_that_talks_instead_of_ending_is_given_up(port: int) -> None:
    with (
        listening(port) as server,
        sender_command(port, *V2, "-n", "1", "--peer-timeout", "0.3") as command,
    ):
        connection, _ = server.accept()
        with connection:
            while command.process.poll() is None:
                try:
                    connection.sendall(b"and then ")
                except ConnectionError:
                    break
            command.error(status=3)


def test_a_receiver_that_does_not_take_the_end_is_an_error(port: int) -> None:
    with (
        listening(port) as server,
        sender_command(port, *V2, "-n", "1", "--peer-timeout", "0.3") as command,
    ):
        connection, _ = server.accept()
        with connection:
            assert "did not end the stream" in command.error(status=3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-d", "/dev/video99"], r"open /dev/video99: No such file .*no such device"),
        (["-d", "/dev/null"], r"VIDIOC_QUERYCAP, so it is no V4L2 device"),
        (["-d", "/etc/passwd"], r"capture from /etc/passwd: .*it is not a device"),
        (["-d", "/dev"], r"open /dev: Is a directory .*it is not a device"),
        (
            ["-d", "test", "-e", "/dev/dma_heap/nope"],
            r"dma_heap/nope: No such.*heaps here: .*memfd",
        ),
        (["-d", "test", "-e", "memfd", "-f", "MJPG"], r"compressed or unknown.*YUYV"),
        (["-d", "test", "-e", "memfd", "-W", "4294967295"], r"frame too big"),
        (["-d", "test", "-e", "memfd"], r"Connection refused.*start the receiver first"),
        (["-d", "test", "-e", "memfd", "-a", "no.such.host.invalid"], r"resolve the address"),
    ],
)
def test_a_sender_fails_with_one_line(port: int, arguments: list[str], told: str) -> None:
    with Command("sender", "-a", "127.0.0.1", "-p", port, *arguments) as command:
        error = command.error()
    assert re.search(told, error), error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-e", "/dev/dma_heap/nope"], r"heaps here: .*memfd"),
        (["-e", "memfd", "-o", "/nowhere/dump"], r"open /nowhere/dump: No such file"),
        (["-e", "memfd", "-o", "/dev"], r"open /dev: Is a directory"),
        (
            ["-e", "memfd", "-l", "192.0.2.1"],
            r"listen on 192.0.2.1.*the address is not this machine",
        ),
    ],
)
def test_a_receiver_fails_before_it_waits(port: int, arguments: list[str], told: str) -> None:
    with Command("receiver", "-p", port, *arguments) as command:
        error = command.error()
    assert re.search(told, error), error


def test_a_port_that_is_taken_is_named(port: int) -> None:
    with listening(port), Command("receiver", "-e", "memfd", "-p", port) as command:
        assert "another program listens there" in command.error()


@pytest.mark.parametrize(
    "arguments",
    [
        ["sender"],
        ["sender", "-a", "::1", "-p", "0"],
        ["sender", "-a", "::1", "-p", "x"],
        ["sender", "-a", "::1", "-p", "1", "-f", "YUY"],
        ["sender", "-a", "::1", "-p", "1", "-b", "0"],
        ["sender", "-a", "::1", "-p", "1", "-W", "0"],
        ["sender", "-a", "::1", "-p", "1", "-n", "0"],
        ["sender", "-a", "::1", "-p", "1", "-e", "nope"],
        ["receiver"],
        ["receiver", "-p", "65536"],
        ["receiver", "-p", "1", "-q", "-v"],
        ["receiver", "-p", "1", "--max-memory", "1T"],
    ],
    ids=" ".join,
)
def test_usage_is_exit_status_2(arguments: list[str]) -> None:
    with Command(*arguments) as command:
        assert command.wait() == 2, command.stderr
        assert "Traceback" not in command.stderr
