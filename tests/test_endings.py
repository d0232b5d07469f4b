"""However a run ends, what it did is known: signals, interpreters that end, reports unread."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reference import frame, stream_header
from support import (
    LOCALHOST,
    PATIENCE,
    Command,
    connect,
    receiver,
    receiver_command,
    run,
    send_a_frame,
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


LONG = ("--label", "note=" + "long" * 2000)


@pytest.fixture
def narrow(fifo: Path) -> Iterator[int]:
    """Give a reader of the FIFO, which holds less than a long report."""
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    yield reader
    os.close(reader)


def test_a_report_whose_reader_takes_nothing_is_one_line_after_a_stop(
    port: int, fifo: Path, narrow: int
) -> None:
    with receiver_command(port, "--report", fifo, *LONG) as command:
        command.process.terminate()
        error = command.error()
    assert len(os.read(narrow, 1 << 20)) == 4096, "the report fitted into the pipe"
    assert f"cannot write the report {fifo}" in error
    assert "nobody reads it" in error


def test_a_report_whose_reader_is_slow_is_whole_after_a_stop(
    port: int, fifo: Path, narrow: int
) -> None:
    with receiver_command(port, "--report", fifo, *LONG) as command:
        send_a_frame(port)
        taken = b""
        while not taken:
            time.sleep(0.05)
            with contextlib.suppress(BlockingIOError):
                taken = os.read(narrow, 1)
        command.process.terminate()
        while more := _wait_and_read(narrow):
            taken += more
        assert command.wait() == 0, command.stderr
    assert json.loads(taken)["summary"]["frames"] == 1


def _wait_and_read(reader: int) -> bytes:
    time.sleep(0.3)
    while True:
        try:
            return os.read(reader, 3000)
        except BlockingIOError:
            time.sleep(0.05)


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


def test_ctrl_c_leaves_a_report_with_a_summary(port: int, tmp_path: Path) -> None:
    path = tmp_path / "report"
    with receiver_command(port), pytest.raises(KeyboardInterrupt):
        Sender(device="test", heap="memfd", address=LOCALHOST, port=port, fps=50, report=path).run(
            progress=lambda _: os.kill(os.getpid(), signal.SIGINT)
        )
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


def python(
    program: str, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


TWICE = """
import sys
from v4l_dmabuf.commands.sender import sender_main
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
    for turn in range(4):
        path = tmp_path / f"report{turn}"
        told = python(DAEMON, port, path)
        assert told.returncode == 0, told.stderr
        assert "panicked" not in told.stderr
        assert "Fatal" not in told.stderr
        assert read(path)["summary"]["frames"] == 0
        assert read(path)["outcome"] == "failed"


LATE = """
import atexit, sys
def late():
    end = Receiver(listen="127.0.0.1", port=int(sys.argv[1]), heap="memfd")
    end.stop()
    print(end.run().stopped)
atexit.register(late)
from v4l_dmabuf import Receiver
"""


def test_a_run_may_be_the_last_thing_of_an_interpreter(port: int) -> None:
    """It comes after what ends the runs of daemon threads."""
    assert python(LATE, port).stdout == "True\n"


HANG = """
#include <time.h>

int memfd_create(const char *name, unsigned flags)
{
    const struct timespec while_ = {.tv_sec = 600};
    nanosleep(&while_, 0);
    return -1;
}
"""

HUNG = """
import os, signal, sys, threading
from v4l_dmabuf import Sender
end = Sender(
    device="test", heap="memfd", address="127.0.0.1", port=int(sys.argv[1]), report=sys.argv[2]
)
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
for _ in range(2):
    try:
        end.run()
    except (KeyboardInterrupt, RuntimeError) as error:
        print(type(error).__name__, error, flush=True)
os._exit(0)
"""


def test_a_run_that_the_kernel_keeps_is_given_up_with_a_report(port: int, tmp_path: Path) -> None:
    """A kernel that hangs, as a broken driver's does: here it is a library in its place."""
    source, library, path = tmp_path / "hang.c", tmp_path / "hang.so", tmp_path / "report"
    source.write_text(HANG)
    run("cc", "-shared", "-fPIC", "-o", str(library), str(source))
    with receiver_command(port):
        told = python(HUNG, port, path, LD_PRELOAD=str(library))
    interrupted, busy = told.stdout.splitlines()
    assert interrupted.startswith("KeyboardInterrupt"), told.stderr
    assert busy.startswith("RuntimeError its last run was given up in "), busy
    assert "nanosleep" in busy or "system call" in busy, f"what keeps it is not told: {busy}"
    assert read(path)["summary"]["frames"] == 0
    assert read(path)["outcome"] == "failed"


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


def test_progress_is_counts_alone_and_the_result_is_whole(port: int) -> None:
    told: list[Report] = []
    with receiver_command(port):
        report = Sender(device="test", heap="memfd", address=LOCALHOST, port=port, fps=50).run(
            60, told.append
        )
    assert told
    assert told[-1].frames > 0
    assert told[-1].stages["interval"].count > 0
    assert not told[-1].stages["interval"].percentiles
    assert "p50" in report.stages["interval"].percentiles


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


def test_an_interrupt_before_the_run_leaves_a_report_with_a_summary(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while it is looked whether the report can be written, which makes the file."""
    path = tmp_path / "report"
    end = receiver(port, report=path)

    class Interrupted:
        def __getattr__(self, name: str) -> Any:
            return getattr(core, name)

        def check_report(self, path: str) -> None:
            core.check_report(path)
            raise KeyboardInterrupt

    core = end._runs.core
    monkeypatch.setattr(end._runs, "core", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        end.run()
    assert read(path)["summary"]["frames"] == 0
    assert read(path)["outcome"] == "failed"
