"""Signals, exit statuses, and what a person sees."""

import contextlib
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reference import frame, stream_header
from support import (
    BIN,
    LOCALHOST,
    Command,
    connect,
    connect_when_it_listens,
    listening,
    receiver_command,
    sender_command,
)

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@SIGNALS
def test_an_unlimited_run_that_is_interrupted_is_done(port: int, number: signal.Signals) -> None:
    with receiver_command(port) as end, sender_command(port, "--fps", 50) as sender:
        end.wait_for("stream of")
        time.sleep(0.2)
        sender.process.send_signal(number)
        assert sender.wait() == 0, sender.stderr
        assert end.wait() == 0, end.stderr
    assert "sent " in sender.stderr
    assert "received " in end.stderr
    frames = [line.split(" frames")[0].split()[-1] for line in _summaries(sender, end)]
    assert frames[0] == frames[1], "the frame in flight was not finished"


def _summaries(*commands: Command) -> list[str]:
    return [
        line
        for command in commands
        for line in command.stderr.splitlines()
        if " frames, " in line and " bytes" in line and ("sent" in line or "received" in line)
    ]


@SIGNALS
def test_a_limited_run_that_is_interrupted_is_not_done(port: int, number: signal.Signals) -> None:
    with (
        receiver_command(port, "-n", 1000) as end,
        sender_command(port, "--fps", 50, "-n", 1000) as sender,
    ):
        end.wait_for("stream of")
        sender.process.send_signal(number)
        assert sender.wait() == 130, sender.stderr
        assert end.wait() == 1, end.stderr
    assert "of 1000 frames" in end.stderr


def test_a_receiver_that_is_interrupted_finishes_its_frame(port: int) -> None:
    with receiver_command(port) as end, connect(port) as connection:
        whole = frame(b"x" * 1000)
        connection.sendall(stream_header() + whole[:500])
        end.wait_for("stream of")
        end.process.send_signal(signal.SIGINT)
        end.wait_for("once more to end at once")
        connection.sendall(whole[500:])
        assert end.wait() == 0, end.stderr
    assert "received 1 frames" in end.stderr


@pytest.mark.parametrize("zero_copy", ["on", "off"])
def test_a_receiver_that_is_interrupted_has_had_enough(port: int, zero_copy: str) -> None:
    with receiver_command(port) as end, sender_command(port, "--zero-copy", zero_copy) as sender:
        end.wait_for("stream of")
        time.sleep(0.3)
        end.process.send_signal(signal.SIGTERM)
        assert end.wait() == 0, end.stderr
        assert sender.wait() == 0, sender.stderr
    assert "the receiver had enough" in sender.stderr


def test_waiting_ends_at_a_signal(port: int) -> None:
    with receiver_command(port) as end:
        end.process.send_signal(signal.SIGINT)
        assert end.wait() == 0, end.stderr
        assert "nothing received" in end.stderr
    with receiver_command(port, "-n", 1) as end:
        end.process.send_signal(signal.SIGINT)
        assert end.wait() == 130, end.stderr
    with listening(port) as server, sender_command(port, "--fps", "0.001") as sender:
        server.accept()[0].close()
        sender.wait()


def test_a_second_signal_ends_at_once(port: int) -> None:
    with receiver_command(port) as end, connect(port) as connection:
        connection.sendall(stream_header() + frame(b"", bytesused=10))
        end.wait_for("stream of")
        end.process.send_signal(signal.SIGINT)
        end.wait_for("once more to end at once")
        end.process.send_signal(signal.SIGTERM)
        assert end.wait() == 130, end.stderr


@contextlib.contextmanager
def trickling(step: Callable[[], object]) -> Iterator[None]:
    """Take a step again and again, until the peer is gone."""
    done = threading.Event()

    def trickle() -> None:
        with contextlib.suppress(ConnectionError):
            while not done.wait(0.01):
                step()

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_signals_are_heeded_while_a_frame_trickles_in(port: int) -> None:
    with receiver_command(port) as end, connect(port) as connection:
        connection.sendall(stream_header(sizeimage=1 << 20) + frame(b"", bytesused=1 << 20))
        end.wait_for("stream of")
        with trickling(lambda: connection.sendall(b"x")):
            end.process.send_signal(signal.SIGINT)
            end.wait_for("once more to end at once")
            end.process.send_signal(signal.SIGTERM)
            assert end.wait() == 130, end.stderr


def test_signals_are_heeded_while_a_frame_trickles_out(port: int) -> None:
    size = ("-W", 7680, "-H", 4320, "-b", 2)
    with (
        listening(port) as server,
        sender_command(port, "--protocol", 2, "--zero-copy", "off", *size) as end,
        server.accept()[0] as connection,
    ):
        has_begun = threading.Event()
        taken: list[bytes] = []

        def take() -> None:
            # Room comes more often than a wait for it ends.
            taken.append(connection.recv(1 << 19, socket.MSG_WAITALL))
            has_begun.set()

        with trickling(take):
            assert has_begun.wait(10), end.stderr
            end.process.send_signal(signal.SIGINT)
            end.wait_for("once more to end at once")
            assert sum(map(len, taken)) < 7680 * 4320, "the signal waited for the frame's end"
            end.process.send_signal(signal.SIGTERM)
            assert end.wait() == 130, end.stderr


def test_fewer_frames_than_asked_for_is_a_failure(port: int) -> None:
    with receiver_command(port, "-n", 3) as end:
        with connect(port) as connection:
            connection.sendall(stream_header() + frame(b"1") + frame(b"2", sequence=1))
        assert "the stream ended after 2 of 3 frames" in end.error()


def test_a_receiver_stops_after_its_frames_and_the_sender_with_it(port: int) -> None:
    with receiver_command(port, "-n", 2) as end, sender_command(port, "--fps", 20) as sender:
        assert (end.wait(), sender.wait()) == (0, 0), end.stderr + sender.stderr
    assert "received 2 frames" in end.stderr
    assert "the receiver had enough after 2 frames" in sender.stderr


def test_a_sender_that_is_to_send_more_fails_with_it(port: int) -> None:
    with (
        receiver_command(port, "-n", 2) as end,
        sender_command(port, "--fps", 20, "-n", 50) as sender,
    ):
        assert end.wait() == 0, end.stderr
        assert "of 50 frames" in sender.error()


def test_by_version_2_a_sender_can_t_know_that_the_receiver_had_enough(port: int) -> None:
    with (
        receiver_command(port, "-n", 2) as end,
        sender_command(port, "--fps", 20, "--protocol", 2) as sender,
    ):
        assert end.wait() == 0, end.stderr
        sender.error(status=3)


def test_quiet_says_nothing_when_all_is_well(port: int) -> None:
    with Command("receiver", "-q", "-l", LOCALHOST, "-p", port, "-e", "memfd") as end:
        with connect_when_it_listens(port) as connection:
            connection.sendall(stream_header() + frame(b"x"))
        assert end.wait() == 0
        assert end.stderr == ""


def test_error_frames_are_counted_and_passed_on(port: int) -> None:
    with receiver_command(port) as end:
        with connect(port) as connection:
            connection.sendall(stream_header() + frame(b"", flags=0x40) + frame(b"x", sequence=1))
        assert end.wait() == 0, end.stderr
    assert "1 flagged in error" in end.stderr


def test_unusable_sequences_are_said_to_be(port: int) -> None:
    with receiver_command(port) as end:
        with connect(port) as connection:
            connection.sendall(stream_header() + frame(b"x") * 3)
        assert end.wait() == 0, end.stderr
    assert "warning: drops can't be counted: the sequence number is stuck at 0" in end.stderr
    assert re.search("^unknown +what the driver dropped", end.stderr, re.MULTILINE)


def test_a_terminal_has_one_live_line(port: int) -> None:
    ours, theirs = pty.openpty()
    with (
        receiver_command(port),
        subprocess.Popen(
            [
                *(str(BIN / "v4l-dmabuf-sender"), "-d", "test", "-e", "memfd", "-a", LOCALHOST),
                *("-p", str(port), "--fps", "20", "-n", "40"),
            ],
            stderr=theirs,
            env=os.environ | {"TERM": "xterm"},
        ) as sender,
    ):
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # EIO: the other side is closed
                break
            seen += part
        assert sender.wait() == 0, seen
    os.close(ours)
    live = [text for text in seen.decode().split("\r\x1b[K") if " fps" in text]
    progress = re.compile(r"\[#+\.+\] +\d+% \d:\d\d left  .* MB/s, 0 dropped")
    assert any(progress.fullmatch(text) and len(text) < 80 for text in live), seen


def test_elsewhere_a_line_comes_every_few_seconds(port: int) -> None:
    with receiver_command(port) as end, sender_command(port, "--fps", 5):
        end.wait_for(" MB/s, 0 missing on arrival")
        assert "\x1b" not in end.stderr


def test_closed_standard_streams_do_no_harm(port: int, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    receiver = [str(BIN / "v4l-dmabuf-receiver"), "-p", str(port), "-e", "memfd"]
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    with subprocess.Popen([*shell, *receiver, "-l", LOCALHOST, "-o", dump]) as end:
        connection = connect_when_it_listens(port)
        with connection:
            connection.sendall(stream_header() + frame(b"x"))
        assert end.wait(30) == 0
    assert dump.read_bytes() == b"x"
    to_nowhere = ["sh", "-c", 'exec "$@" >&-', "sh", *receiver, "-o", "-"]
    told = subprocess.run(to_nowhere, stderr=subprocess.PIPE, text=True, check=False)
    assert told.returncode == 2, told.stderr
    assert "standard output is not a file or a pipe" in told.stderr


def test_a_command_waits_for_no_library_that_it_does_not_use() -> None:
    code = "import sys, v4l_dmabuf.commands.{name}; print(*sys.modules)"
    for name in ("sender", "receiver", "probe", "check", "compare"):
        told = subprocess.run(
            [sys.executable, "-c", code.format(name=name)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        # The first of these alone is a third of the time, and a quarter of the memory.
        slow = {"asyncio", "http.server", "matplotlib", "numpy", "ssl"}
        assert not slow & set(told), f"{name} imports {slow & set(told)}"


def test_help_names_the_options() -> None:
    for name, options in (
        ("sender", "--device --address --port --width --height --format --buffers --frames"),
        ("sender", "--heap --memory --fps --peer-timeout --verbose --quiet --version"),
        ("sender", "--zero-copy --on-overrun --report --label"),
        ("probe", "--width --height --format --json --verbose --version"),
        ("receiver", "--report --label"),
        ("receiver", "--listen --port --heap --output --frames --max-memory --peer-timeout"),
    ):
        command = [str(BIN / f"v4l-dmabuf-{name}"), "--help"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert all(option in told for option in options.split()), told
