"""Signals: those that are ignored, and those whose handlers are the caller's."""

import os
import signal
import threading
import time

import pytest

from support import receiver, receiver_command, send_a_frame


def test_an_interrupt_that_is_ignored_at_the_start_stays_ignored(port: int) -> None:
    """As in the background of a script, where Ctrl-C is for others."""
    ignoring = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
    with receiver_command(port, wrapper=ignoring) as end:
        end.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        send_a_frame(port)
        assert end.wait() == 0, end.stderr
    assert "received 1 frames" in end.stderr


# The rest held before runs had a thread of their own, and has to go on holding.


def test_nohup_keeps_its_word(port: int) -> None:
    """SIGHUP is a stop, but not under nohup."""
    with receiver_command(port, wrapper=("nohup",)) as end:
        end.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        send_a_frame(port)
        assert end.wait() == 0, end.stderr
    assert "received 1 frames" in end.stderr


def test_a_handler_of_the_caller_s_can_stop_a_run_that_waits(port: int) -> None:
    with receiver(port) as end:
        before = signal.signal(signal.SIGUSR1, lambda *_: end.stop())
        try:
            timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
            timer.start()
            assert end.run().stopped
            timer.join()
        finally:
            signal.signal(signal.SIGUSR1, before)


def test_a_callback_may_take_the_wakeup_descriptor(port: int) -> None:
    """As `asyncio.run` does, which leaves none behind."""

    def interrupt() -> None:
        time.sleep(1.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    with receiver(port) as end:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            end.run(progress=lambda _: signal.set_wakeup_fd(-1))
        thread.join()
    assert signal.set_wakeup_fd(-1) == -1
