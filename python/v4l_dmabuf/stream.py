"""A run on a thread of its own, beside the program that takes its frames or gives them."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_LOGGER = logging.getLogger(__name__)

T = TypeVar("T")


class Stream(Generic[T]):
    """A run that goes on. What it ends with is told once, to whoever asks first."""

    def __init__(
        self, run: Callable[[], T], stop: Callable[[], None], abort: Callable[[], None]
    ) -> None:
        """Begin it. ``stop`` ends it after its frame, and ``abort`` at once.

        Raises:
            RuntimeError: no thread can be started.

        """
        self._run = run
        self._stop = stop
        self._abort = abort
        self._failure: BaseException | None = None
        self.result: T | None = None
        self._thread = threading.Thread(target=self._work, name="v4l-dmabuf-stream", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self.result = self._run()
        except BaseException as error:  # noqa: BLE001 -- told to whoever asks
            self._failure = error

    def finish(self) -> None:
        """Wait for its end, and raise what ended it, once."""
        self._thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def let_end(self) -> None:
        """End it, without a wait. Nobody asks any more what ended it."""
        if self._thread.is_alive():
            self._stop()

    def stop(self, error: type[BaseException] | None = None) -> None:
        """End it. Nobody asks any more what ended it.

        Whoever interrupts it, by an ``error`` that is no `Exception`, waits for no frame's end.
        """
        try:
            if error is not None and not issubclass(error, Exception):
                self._abort()
            if self._thread.is_alive():
                self._stop()
            self._thread.join()
        except BaseException:
            self._abort()
            self._thread.join(1)
            raise
        failure, self._failure = self._failure, None
        if failure is not None:
            _LOGGER.warning("%s", failure)
