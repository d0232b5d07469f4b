"""What all endpoints share: a run, its report, and those who take its frames."""

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from v4l_dmabuf import _core as core
from v4l_dmabuf import values
from v4l_dmabuf.config import (
    Config,
    Overrun,
    overrun,
)
from v4l_dmabuf.errors import OutputError
from v4l_dmabuf.frames import Subscription
from v4l_dmabuf.report import Report
from v4l_dmabuf.result import Recording

Progress = Callable[[Report], object]
"""Called twice a second during a run, with its state so far: the counts, and no ``stages``,
``offset`` or ``clock``, which the result has. What it raises ends the run."""

_LOGGER = logging.getLogger(__name__)

C = TypeVar("C")
G = TypeVar("G", bound=Config)


class _Core(Protocol):
    def run(self, frames: int | None = None, progress: Progress | None = None) -> Report: ...
    def stop(self) -> None: ...
    def abort(self) -> None: ...
    def subscribe(self, depth: int | None, policy: str) -> core.Consumer: ...
    def end_consumers(self) -> None: ...
    def report(self) -> Report | None: ...
    def so_far(self) -> Report | None: ...
    def details(self) -> dict[str, Any] | None: ...
    def check_report(self, path: str | os.PathLike[str]) -> None: ...
    def write_report(self, path: str | os.PathLike[str], text: str, is_last: bool) -> None: ...


class Endpoint(Generic[G]):
    """What all endpoints share."""

    _whole: core.Whole
    _core: _Core
    _closed = False
    _aborted = False
    _role: str
    config: G

    def run(self, frames: int | None = None, progress: Progress | None = None) -> Report:
        """Run until ``frames`` frames are done, the stream ends, or a stop.

        The interpreter's lock is released. Ctrl-C ends it within 100 ms with
        KeyboardInterrupt when it runs in the main thread. It may be called
        again for another stream. A report that is asked for is written
        however the run ends.

        Raises:
            Error: the run failed; which class tells how (see `v4l_dmabuf.errors`).
            ValueError: ``frames`` is less than 1.
            TypeError: ``frames`` is no whole number.
            RuntimeError: it is running already or closed, the interpreter is ending, or the
                kernel still keeps its last run, which was given up.

        """
        return self._begin(frames, progress)

    def _begin(self, frames: int | None, progress: Progress | None) -> Report:
        if frames is not None:
            frames = values.whole("frames", frames, least=1, most=(1 << 64) - 1)
        self._check_open()
        with self._whole:
            try:
                return self._run(frames, progress)
            finally:
                # Those of a run that could not begin wait as well.
                self._core.end_consumers()

    def subscribe(self, depth: int = 2, on_overrun: Overrun = "drop-oldest") -> Subscription:
        """Give one more consumer: it gets all frames of the run that goes on, or of the next.

        ``depth`` is how many frames it may have, those that wait for it and those that it holds.
        The stream gets as many buffers more, unless it runs already: then a consumer gets what
        can be spared.

        Raises:
            ValueError: ``depth`` is less than 1, or there is no such policy.
            TypeError: ``depth`` is no whole number.
            RuntimeError: this endpoint is closed.

        """
        depth = values.whole("depth", depth, least=1, most=1 << 16)
        policy = overrun("on_overrun", on_overrun)
        self._check_open()
        return Subscription(self._core.subscribe(depth, policy))

    @property
    def report(self) -> Report | None:
        """The state of the run that goes on, else what came of the last; None before the first."""
        return self._core.so_far()

    def _run(self, frames: int | None, progress: Progress | None) -> Report:
        self._aborted = False
        if self.config.report is None:
            return self._run_core(frames, progress)
        recording = Recording(self.config.report, self.config, self._role)
        may_record = True
        try:
            try:
                self._core.check_report(recording.path)
            except (OutputError, RuntimeError):
                # It can't be written, or there can be no run.
                may_record = False
                raise
            report = self._run_core(frames, progress)
        except BaseException as error:
            if not may_record:
                raise
            try:
                self._record(recording, frames, error)
            except OutputError as second:
                # Beside the error that ended the run, not instead of it.
                _LOGGER.error("%s", second)  # noqa: TRY400 -- one line for one error
            raise
        self._record(recording, frames, None)
        return report

    def _run_core(self, frames: int | None, progress: Progress | None) -> Report:
        return self._core.run(frames, progress)

    def _record(
        self, recording: Recording, frames: int | None, error: BaseException | None
    ) -> None:
        """Write what came of the run that is over."""
        report = self._core.report()
        text = recording.end(report, self._core.details(), frames, error)
        # Whoever interrupts a run, or stops it, waits for no reader of its report.
        is_last = self._aborted or (report is not None and report.stopped)
        is_last |= error is not None and not isinstance(error, Exception)
        try:
            self._core.write_report(recording.path, text, is_last)
        except OutputError as failure:
            failure.report = report
            raise

    def _abort(self) -> None:
        """End the run at once; its report is written if that takes no wait."""
        self._aborted = True
        self._core.abort()

    def stop(self) -> None:
        """End the run at the end of the frame that is under way, from any thread.

        If none is going on, the next one ends at once.
        """
        self._core.stop()

    def close(self) -> None:
        """Stop the run and allow no other. May be called again."""
        self._closed = True
        self._core.stop()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"this {type(self).__name__} is closed")

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def as_json(config: Config) -> str:
    """Give a configuration as the core takes it."""
    return json.dumps(asdict(config))


def configuration(cls: type[C], config: C | None, fields: Mapping[str, Any]) -> C:
    """Give the configuration that was given whole or by its fields."""
    if config is None:
        return cls(**fields)
    if fields:
        raise TypeError(f"give a {cls.__name__} or keywords, not both")
    if not isinstance(config, cls):
        raise TypeError(f"give a {cls.__name__}, not {config!r}")
    return config
