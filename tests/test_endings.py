"""However a run ends, what it did is known: signals, lost terminals, reports that nobody reads."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from reference import frame, stream_header
from support import (
    BIN,
    LOCALHOST,
    PATIENCE,
    Command,
    connect,
    connect_when_it_listens,
    receiver,
    receiver_command,
    sender_command,
)
from v4l_dmabuf import Report, Sender


def read(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text())
    return result


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def send_a_frame(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(stream_header() + frame(b"x"))


def test_a_report_s_reader_may_wait_from_the_beginning(port: int, fifo: Path) -> None:
    """It finds the report, and not the end of a look at whether the FIFO can be written."""
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()), daemon=True)
    reader.start()
    with receiver_command(port, "--report", fifo) as command:
        with connect(port) as connection:
            connection.sendall(stream_header() + frame(b"whole"))
        reader.join(20)
        assert read, "nothing was written"
        assert read != [""], "its reader was told of an end before the report"
        assert json.loads(read[0])["summary"]["frames"] == 1
        assert command.wait() == 0, command.stderr


def test_a_report_s_fifo_waits_for_its_reader(port: int, fifo: Path) -> None:
    with receiver_command(port, "--report", fifo) as command:
        send_a_frame(port)
        time.sleep(0.3)
        assert command.process.poll() is None, command.stderr
        assert json.loads(fifo.read_text())["summary"]["frames"] == 1
        assert command.wait() == 0, command.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_report_that_nobody_reads_is_one_line_after_a_stop(
    port: int, fifo: Path, number: signal.Signals
) -> None:
    with receiver_command(port, "--report", fifo) as command:
        command.process.send_signal(number)
        error = command.error()
    assert f"cannot write the report {fifo}" in error
    assert "nobody reads it" in error


def test_a_report_that_nobody_reads_can_be_stopped_after_the_run(port: int, fifo: Path) -> None:
    with receiver_command(port, "--report", fifo) as command:
        send_a_frame(port)
        time.sleep(0.5)
        command.process.send_signal(signal.SIGINT)
        assert str(fifo) in command.error()
        assert "received 1 frames" in command.stderr, "the run's summary is lost with its report"


def test_an_older_report_stays_until_there_is_another(port: int, tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("older")
    with receiver_command(port, "--report", path) as command:
        assert path.read_text() == "older"
        command.process.terminate()
        assert command.wait() == 0, command.stderr
    assert read(path)["summary"]["frames"] == 0
    assert [it.name for it in tmp_path.iterdir()] == ["report"]


def test_a_second_signal_leaves_a_report(port: int, tmp_path: Path) -> None:
    path, records = tmp_path / "report", tmp_path / "records"
    with (
        receiver_command(port, "--report", path, "--records", records) as command,
        connect(port) as connection,
    ):
        connection.sendall(stream_header() + frame(b"x") + frame(b"", sequence=1, bytesused=10))
        command.wait_for("stream of")
        time.sleep(0.3)
        command.process.send_signal(signal.SIGINT)
        command.wait_for("once more to end at once")
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130, command.stderr
    assert read(path)["summary"]["frames"] == 1
    assert read(path)["outcome"] == "failed"
    assert records.read_text().endswith("\n")
    assert len(records.read_text().splitlines()) >= 2, "the frame's record is lost"


def test_a_second_signal_waits_for_no_reader_of_the_report(port: int, fifo: Path) -> None:
    with receiver_command(port, "--report", fifo) as command, connect(port) as connection:
        connection.sendall(stream_header() + frame(b"", bytesused=10))
        command.wait_for("stream of")
        command.process.send_signal(signal.SIGINT)
        command.wait_for("once more to end at once")
        begun = time.monotonic()
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130, command.stderr
        assert time.monotonic() - begun < 5, "the second signal waited"


def test_a_hang_up_is_a_stop(port: int, tmp_path: Path) -> None:
    path = tmp_path / "report"
    with (
        receiver_command(port) as end,
        sender_command(port, "--fps", 50, "--report", path) as sender,
    ):
        end.wait_for("stream of")
        time.sleep(0.3)
        sender.process.send_signal(signal.SIGHUP)
        assert sender.wait() == 0, sender.stderr
        assert end.wait() == 0, end.stderr
    assert read(path)["summary"]["frames"] > 0
    assert read(path)["summary"]["stopped"]


@pytest.mark.parametrize("name", ["HUP", "INT"])
def test_a_signal_that_is_ignored_at_the_start_stays_ignored(port: int, name: str) -> None:
    ignoring = ("sh", "-c", f"trap '' {name}; exec \"$@\"", "sh")
    with receiver_command(port, wrapper=ignoring) as end:
        end.process.send_signal(signal.Signals[f"SIG{name}"])
        time.sleep(0.3)
        send_a_frame(port)
        assert end.wait() == 0, end.stderr
    assert "received 1 frames" in end.stderr


def run_until_interrupted(port: int, path: Path) -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with (
        receiver_command(port),
        pytest.raises(KeyboardInterrupt),
    ):
        Sender(
            device="test", heap="memfd", address=LOCALHOST, port=port, fps=50, report=path
        ).run()
    timer.join()


def test_ctrl_c_leaves_a_report_with_a_summary(port: int, tmp_path: Path) -> None:
    path = tmp_path / "report"
    run_until_interrupted(port, path)
    assert read(path)["summary"]["frames"] > 0
    assert read(path)["error"] == "KeyboardInterrupt"


def test_a_callback_that_raises_leaves_a_report_with_a_summary(port: int, tmp_path: Path) -> None:
    def progress(_report: Report) -> None:
        raise LookupError("enough")

    path = tmp_path / "report"
    with receiver_command(port), pytest.raises(LookupError):
        Sender(device="test", heap="memfd", address=LOCALHOST, port=port, fps=50, report=path).run(
            progress=progress
        )
    assert read(path)["summary"]["frames"] > 0


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


def python(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


TWICE = """
import sys
from v4l_dmabuf.cli import sender_main
for _ in range(2):
    sender_main(["-d", "test", "-e", "memfd", "-a", "127.0.0.1", "-p", sys.argv[1]])
"""


def test_a_main_that_is_called_twice_says_each_line_once(port: int) -> None:
    told = python(TWICE, port)
    errors = [line for line in told.stderr.splitlines() if " error: " in line]
    assert len(errors) == 2, told.stderr


DAEMON = """
import sys, threading, time
from v4l_dmabuf import Receiver
end = Receiver(listen="127.0.0.1", port=int(sys.argv[1]), heap="memfd", report=sys.argv[2])
threading.Thread(target=lambda: end.run(progress=lambda _: None), daemon=True).start()
time.sleep(0.5)
"""


def test_a_daemon_thread_s_run_ends_with_the_interpreter(port: int, tmp_path: Path) -> None:
    path = tmp_path / "report"
    told = python(DAEMON, port, path)
    assert told.returncode == 0, told.stderr
    assert "panicked" not in told.stderr
    assert "Fatal" not in told.stderr
    assert path.exists()


def test_listening_leaves_a_stop_to_the_run(port: int) -> None:
    end = receiver(port)
    end.stop()
    with end:
        reports: list[Report] = []
        thread = threading.Thread(target=lambda: reports.append(end.run()), daemon=True)
        thread.start()
        thread.join(5)
        assert reports, "listen() used up the stop"
        assert reports[0].stopped


def test_who_holds_the_interpreter_s_lock_holds_up_no_frame(port: int) -> None:
    reports: list[Report] = []
    with receiver(port) as end, Command(
        *("sender", "-d", "test", "-e", "memfd", "-a", LOCALHOST, "-p", port, "--fps", 100),
    ) as sender:  # fmt: skip
        thread = threading.Thread(target=lambda: reports.append(end.run(progress=lambda _: None)))
        thread.start()
        time.sleep(0.5)
        # One call that never lets the lock go.
        begun = time.monotonic()
        sum(range(10**8))
        held = time.monotonic() - begun
        time.sleep(0.2)
        end.stop()
        thread.join(PATIENCE)
        sender.wait()
    assert reports[0].stages["interval"].most < held / 2, f"frames waited for a lock, {held:.1f} s"


def test_progress_is_counts_alone_and_the_result_is_whole(port: int) -> None:
    told: list[Report] = []
    with receiver_command(port):
        report = Sender(device="test", heap="memfd", address=LOCALHOST, port=port, fps=50).run(
            60, told.append
        )
    assert told
    assert told[-1].frames > 0
    assert not told[-1].stages
    assert "interval" in report.stages


def test_a_run_that_waits_can_be_stopped_by_a_handler_of_the_caller(port: int) -> None:
    with receiver(port) as end:
        before = signal.signal(signal.SIGUSR1, lambda *_: end.stop())
        try:
            timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
            timer.start()
            assert end.run().stopped
            timer.join()
        finally:
            signal.signal(signal.SIGUSR1, before)


def test_a_callback_that_takes_the_wakeup_descriptor_makes_no_run_deaf(port: int) -> None:
    """As `asyncio.run` does, which leaves none behind."""

    def interrupt() -> None:
        connect_when_it_listens(port).close()
        time.sleep(1.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    with receiver(port) as end:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            end.run(progress=lambda _: signal.set_wakeup_fd(-1))
        thread.join()
    assert signal.set_wakeup_fd(-1) == -1
