"""What scripts rely on."""

import contextlib
import gc
import logging
import os
import pickle
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reference import frame, stream_header
from support import connect, connect_when_it_listens, listening, receiver
from v4l_dmabuf import Error, Receiver, Report, Sender, errors


def sender(port: int, **fields: Any) -> Sender:
    return Sender(device="test", heap="memfd", address="127.0.0.1", port=port, **fields)


def in_thread(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_stop_from_another_thread_ends_a_run(port: int) -> None:
    reports: list[Report] = []
    with receiver(port) as end, sender(port, fps=100) as source:
        receiving = in_thread(lambda: reports.append(end.run()))
        sending = in_thread(lambda: reports.append(source.run()))
        time.sleep(0.3)
        source.stop()
        sending.join(10)
        receiving.join(10)
        assert not sending.is_alive()
    by_stop = {report.stopped: report for report in reports}
    assert by_stop[True].frames == by_stop[False].frames > 0


def test_stop_ends_a_wait_for_a_sender(port: int) -> None:
    with receiver(port) as end:
        reports: list[Report] = []
        thread = in_thread(lambda: reports.append(end.run()))
        time.sleep(0.1)
        end.stop()
        thread.join(10)
        assert reports[0].stopped
        assert reports[0].stream_unknown


def test_a_stop_that_comes_first_is_for_the_next_run(port: int) -> None:
    end = receiver(port)
    end.stop()
    assert end.run().stopped
    with in_the_background(lambda: connect_and_send(port)):
        assert end.run().frames == 1, "the stop was used up"


class in_the_background:  # noqa: N801 -- reads as a statement
    """Runs a call beside a block, and waits for it."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._thread = in_thread(self._call)

    def __exit__(self, *_: object) -> None:
        self._thread.join()


def connect_and_send(port: int) -> None:
    with connect_when_it_listens(port) as connection:
        connection.sendall(stream_header() + frame(b"x"))


def test_a_run_may_follow_another(port: int) -> None:
    end = receiver(port)
    for _ in range(3):
        with in_the_background(lambda: connect_and_send(port)):
            assert end.run().frames == 1


def test_ctrl_c_interrupts_and_the_lock_is_released(port: int) -> None:
    ticks: list[float] = []

    def interrupt() -> None:
        for _ in range(20):
            ticks.append(time.monotonic())
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    with receiver(port) as end:
        thread = in_thread(interrupt)
        with pytest.raises(KeyboardInterrupt):
            end.run()
        thread.join()
    assert len(ticks) == 20, "Python did not run beside the wait"


def test_ctrl_c_interrupts_beside_an_event_loop(port: int) -> None:
    """Whose descriptor it is that Python tells signals by."""

    def interrupt() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno())
    try:
        with receiver(port) as end:
            thread = in_thread(interrupt)
            with pytest.raises(KeyboardInterrupt):
                end.run()
            thread.join()
    finally:
        found = signal.set_wakeup_fd(before)
    with reader, writer:
        assert found == writer.fileno(), "the loop's descriptor was not left alone"
        assert reader.recv(2) == bytes([signal.SIGINT]), "the loop was not told of the signal"


def test_signals_are_told_to_nobody_after_a_run(port: int) -> None:
    with receiver(port) as end, in_the_background(lambda: connect_and_send(port)):
        end.run()
    assert signal.set_wakeup_fd(-1) == -1


def test_a_run_that_waits_sleeps(port: int) -> None:
    """Other than by its progress, which is told twice a second, nothing wakes it."""
    told: list[Report] = []
    with receiver(port) as end:
        thread = threading.Timer(2, end.stop)
        thread.start()
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        end.run(progress=told.append)
        woken = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before
        thread.join()
    assert woken <= 3 * (len(told) + 2), f"woken {woken} times to tell progress {len(told)} times"


def test_progress_is_told_and_may_end_the_run(port: int) -> None:
    told: list[Report] = []

    def progress(report: Report) -> None:
        told.append(report)
        if len(told) == 2:
            raise LookupError("enough")

    with (
        receiver(port) as end,
        in_the_background(lambda: run_to_whatever_end(end)),
        pytest.raises(LookupError, match="enough"),
    ):
        sender(port, fps=50).run(progress=progress)
    assert [type(report) for report in told] == [Report, Report]
    assert 0 < told[0].frames < told[1].frames
    assert told[1].sizeimage == 614400


def run_to_whatever_end(end: Receiver) -> None:
    """Run beside a sender that may end inside a frame or between two."""
    with contextlib.suppress(Error):
        end.run()


def test_close_is_idempotent_and_final(port: int) -> None:
    end = receiver(port)
    end.listen()
    end.listen()
    end.close()
    end.close()
    with pytest.raises(RuntimeError, match="closed"):
        end.run()
    with receiver(port), pytest.raises(RuntimeError, match="closed"), end:
        pass


def test_close_ends_a_run(port: int) -> None:
    end = receiver(port)
    thread = in_thread(end.run)
    time.sleep(0.1)
    end.close()
    thread.join(10)
    assert not thread.is_alive()


def test_two_runs_at_once_are_refused(port: int) -> None:
    with receiver(port) as end:
        thread = in_thread(end.run)
        time.sleep(0.2)
        with pytest.raises(RuntimeError, match="running"):
            end.run()
        end.stop()
        thread.join()


@pytest.mark.parametrize("frames", [0, -1])
def test_frames_is_at_least_one(port: int, frames: int) -> None:
    with pytest.raises(ValueError, match="frames"):
        sender(port).run(frames=frames)


def test_errors_have_a_common_base_and_the_fitting_builtin(port: int) -> None:
    with pytest.raises(ConnectionRefusedError) as refused:
        sender(port).run()
    assert isinstance(refused.value, errors.ConnectRefusedError)
    assert isinstance(refused.value, Error)
    assert refused.value.errno == 111
    assert refused.value.strerror == "Connection refused"
    assert refused.value.filename == f"127.0.0.1:{port}"
    with pytest.raises(FileNotFoundError) as missing:
        Sender(device="/dev/video99", address="::1", port=port).run()
    assert isinstance(missing.value, errors.DeviceNotFoundError)
    assert missing.value.errno == 2
    assert missing.value.filename == "/dev/video99"
    assert "\n" not in str(missing.value)
    assert missing.value.report is None
    again = pickle.loads(pickle.dumps(missing.value))  # noqa: S301 -- our own
    assert (type(again), str(again)) == (type(missing.value), str(missing.value))
    assert (again.errno, again.filename) == (2, "/dev/video99")


def test_every_exception_can_be_made() -> None:
    for name, cls in vars(errors).items():
        if isinstance(cls, type) and issubclass(cls, Error):
            error = cls("cannot do it", errno=5, strerror="why", filename="x")
            assert str(error) == "cannot do it"
            assert error.__doc__, name
            if isinstance(error, OSError):
                assert (error.errno, error.strerror, error.filename) == (5, "why", "x")


def test_an_error_tells_what_was_done_until_then(port: int) -> None:
    with receiver(port) as end, connect(port) as connection:
        connection.sendall(stream_header() + frame(b"whole") + b"cut")
        connection.close()
        with pytest.raises(EOFError) as cut:
            end.run()
    assert isinstance(cut.value, errors.TruncatedError)
    assert cut.value.report is not None
    assert cut.value.report.frames == 1


def test_a_peer_timeout_is_a_timeout(port: int) -> None:
    with receiver(port, peer_timeout=0.2) as end, connect(port) as connection:
        connection.sendall(stream_header())
        with pytest.raises(TimeoutError):
            end.run()


def test_a_limit_is_a_value_error(port: int) -> None:
    with receiver(port, max_memory=1000) as end, connect(port) as connection:
        connection.sendall(stream_header())
        with pytest.raises(ValueError, match="--max-memory") as refused:
            end.run()
    assert isinstance(refused.value, errors.LimitError)


def test_only_the_package_s_logger_is_used(port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        listening(port) as server,
        in_the_background(lambda: server.accept()[0].close()),
        pytest.raises(Error),
    ):
        sender(port, fps=10).run()
    names = {record.name for record in caplog.records}
    assert names
    assert all(name.startswith("v4l_dmabuf.") for name in names), names
    assert "test source: 640x480 YUYV" in caplog.text


def test_levels_may_change_while_the_process_runs(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("v4l_dmabuf")
    for level, expected in ((logging.ERROR, False), (logging.INFO, True)):
        caplog.clear()
        with caplog.at_level(level, logger.name), pytest.raises(Error):
            sender(port).run()
        assert bool(caplog.records) is expected


def test_no_descriptors_are_left_open(port: int) -> None:
    def run_once() -> None:
        end = receiver(port)
        with in_the_background(lambda: connect_and_send(port)):
            end.run()
        end.close()

    run_once()
    # What earlier tests left would be closed meanwhile.
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        run_once()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
