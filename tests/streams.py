"""A stream that goes on beside a block, and ends with it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from v4l_dmabuf import Receiver, Report, Sender, errors


class Ends:
    """What becomes of a stream's two ends."""

    def __init__(self) -> None:
        self.report: Report | None = None
        self.sent: Report | None = None
        self.error: errors.Error | None = None

    def wait_for_error(self) -> errors.Error:
        deadline = time.monotonic() + 20
        while self.error is None:
            assert time.monotonic() < deadline, "an end was to fail"
            time.sleep(0.02)
        return self.error


@contextmanager
def streaming(
    receiver: Receiver, sender: Sender, frames: int, ends: Ends | None = None
) -> Iterator[Ends]:
    """Send frames beside a block; the sender is stopped at its end. The receiver's error is the
    one that is kept, if both have one."""
    ends = ends or Ends()

    def receive() -> None:
        try:
            ends.report = receiver.run()
        except errors.Error as error:
            ends.error = error

    def send() -> None:
        try:
            ends.sent = sender.run(frames=frames)
        except errors.Error as error:
            ends.error = ends.error or error

    with receiver:
        threads = [threading.Thread(target=receive), threading.Thread(target=send)]
        for thread in threads:
            thread.start()
        try:
            yield ends
        finally:
            sender.stop()
            threads[1].join(30)
            if ends.sent is None or not ends.sent.frames:
                # It may wait for a sender still.
                receiver.stop()
            threads[0].join(30)
            assert not any(thread.is_alive() for thread in threads), "the stream did not end"
