"""`Sender` and `Receiver`: the two ends of a stream."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from v4l_dmabuf import _core, values
from v4l_dmabuf.config import ReceiverConfig, SenderConfig
from v4l_dmabuf.errors import OutputError
from v4l_dmabuf.report import Report
from v4l_dmabuf.result import Recording

Progress = Callable[[Report], object]
"""Called twice a second during a run, with its state so far: the counts, and no ``stages``,
``offset`` or ``clock``, which the result has. What it raises ends the run."""

_LOGGER = logging.getLogger(__name__)

C = TypeVar("C")


class _Core(Protocol):
    def run(self, frames: int | None = None, progress: Progress | None = None) -> Report: ...
    def stop(self) -> None: ...
    def abort(self) -> None: ...
    def report(self) -> Report | None: ...
    def details(self) -> dict[str, Any] | None: ...
    def check_report(self, path: str | os.PathLike[str]) -> None: ...
    def write_report(self, path: str | os.PathLike[str], text: str, is_last: bool) -> None: ...


class _Endpoint:
    """What both ends share."""

    _whole: _core.Whole
    _core: _Core
    _closed = False
    _aborted = False
    _role: str
    config: SenderConfig | ReceiverConfig

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
        if frames is not None:
            frames = values.whole("frames", frames, least=1, most=(1 << 64) - 1)
        self._check_open()
        with self._whole:
            return self._run(frames, progress)

    def _run(self, frames: int | None, progress: Progress | None) -> Report:
        self._aborted = False
        if self.config.report is None:
            return self._core.run(frames, progress)
        recording = Recording(self.config.report, self.config, self._role)
        may_record = True
        try:
            try:
                self._core.check_report(recording.path)
            except (OutputError, RuntimeError):
                # It can't be written, or there can be no run.
                may_record = False
                raise
            report = self._core.run(frames, progress)
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


class Sender(_Endpoint):
    """Captures from a V4L2 device into DMABUFs and sends the frames to a receiver.

    Takes a `SenderConfig`, or its fields as keywords. Nothing is opened before
    `run`.
    """

    _role = "sender"
    config: SenderConfig

    def __init__(self, config: SenderConfig | None = None, /, **fields: Any) -> None:
        self.config = _config(SenderConfig, config, fields)
        self._core = _core.Sender(_as_json(self.config))
        self._whole = _core.Whole()


class Receiver(_Endpoint):
    """Receives a stream into DMABUFs, and writes it to a file or a pipe.

    Takes a `ReceiverConfig`, or its fields as keywords. As a context manager
    it listens from the beginning, so that a sender may be started.
    """

    _core: _core.Receiver
    _role = "receiver"
    config: ReceiverConfig

    def __init__(self, config: ReceiverConfig | None = None, /, **fields: Any) -> None:
        self.config = _config(ReceiverConfig, config, fields)
        self._core = _core.Receiver(_as_json(self.config))
        self._whole = _core.Whole()

    def listen(self) -> None:
        """Bind and listen now rather than in `run`. May be called again.

        After `stop` it leaves that off: the stop is the next run's, which ends at once.

        Raises:
            AddressError: the address can't be listened on.

        """
        self._check_open()
        self._core.listen()

    def close(self) -> None:
        """Stop the run, let the address go, and allow no other run. May be called again."""
        super().close()
        self._core.unlisten()

    def __enter__(self) -> Self:
        self.listen()
        return self


def _as_json(config: SenderConfig | ReceiverConfig) -> str:
    return json.dumps(asdict(config))


def _config(cls: type[C], config: C | None, fields: dict[str, Any]) -> C:
    if config is None:
        return cls(**fields)
    if fields:
        raise TypeError(f"give a {cls.__name__} or keywords, not both")
    if not isinstance(config, cls):
        raise TypeError(f"give a {cls.__name__}, not {config!r}")
    return config
