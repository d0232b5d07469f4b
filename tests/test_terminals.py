"""Terminals and pipes that are gone, stopped or full: what a run says ends and delays none."""

import os
import pty
import signal
import subprocess
import termios
import time

from support import BIN, LOCALHOST, PATIENCE, receiver_command


class Terminal:
    """A sender whose stderr is a terminal."""

    def __init__(self, port: int, *arguments: object, term: str = "xterm") -> None:
        self.ours, self.theirs = pty.openpty()
        self.process = subprocess.Popen(
            [
                *(str(BIN / "v4l-dmabuf-sender"), "-d", "test", "-e", "memfd", "-a", LOCALHOST),
                *("-p", str(port), *map(str, arguments)),
            ],
            stdin=subprocess.DEVNULL,
            stderr=self.theirs,
            start_new_session=True,
            env=os.environ | {"TERM": term},
        )

    def read(self) -> str:
        os.close(self.theirs)
        seen = b""
        while True:
            try:
                seen += os.read(self.ours, 4096)
            except OSError:  # EIO: the other side is closed
                os.close(self.ours)
                return seen.decode()


def test_a_terminal_that_is_gone_ends_no_run(port: int) -> None:
    with receiver_command(port) as end:
        terminal = Terminal(port, "--fps", 50, "-n", 100)
        end.wait_for("stream of")
        os.close(terminal.theirs)
        os.close(terminal.ours)
        assert terminal.process.wait(PATIENCE) == 0
        assert end.wait() == 0, end.stderr
    assert "received 100 frames" in end.stderr


def test_a_terminal_that_is_stopped_holds_up_no_run(port: int) -> None:
    with receiver_command(port) as end:
        terminal = Terminal(port, "--fps", 50, "-n", 100)
        termios.tcflow(terminal.theirs, termios.TCOOFF)
        assert terminal.process.wait(PATIENCE) == 0, "the display held up the run"
        assert end.wait() == 0, end.stderr
        os.close(terminal.theirs)
        os.close(terminal.ours)


def test_a_stopped_terminal_does_not_make_a_run_deaf(port: int) -> None:
    with receiver_command(port):
        terminal = Terminal(port, "--fps", 50, "-v")
        termios.tcflow(terminal.theirs, termios.TCOOFF)
        time.sleep(1.5)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(PATIENCE) == 0
        os.close(terminal.theirs)
        os.close(terminal.ours)


def test_a_dumb_terminal_has_no_live_line(port: int) -> None:
    with receiver_command(port):
        terminal = Terminal(port, "--fps", 50, "-n", 60, term="dumb")
        seen = terminal.read()
        assert terminal.process.wait(PATIENCE) == 0
    assert "sent 60 frames" in seen
    assert "\x1b" not in seen


def test_a_pipe_that_nobody_reads_holds_up_no_run(port: int) -> None:
    """Whatever collects the log: a supervisor that hangs must not hang the run with it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with open(writer, "wb", closefd=False, buffering=0) as pipe:
        while pipe.write(b"x" * 4096) is not None:
            pass
    os.set_blocking(writer, True)
    with receiver_command(port) as end:
        sender = subprocess.Popen(
            [
                *(str(BIN / "v4l-dmabuf-sender"), "-d", "test", "-e", "memfd", "-a", LOCALHOST),
                *("-p", str(port), "--fps", "50", "-n", "20", "-v"),
            ],
            stderr=writer,
        )
        assert sender.wait(PATIENCE) == 0
        assert end.wait() == 0, end.stderr
    os.close(reader)
    os.close(writer)
