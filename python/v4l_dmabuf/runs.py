"""An endpoint's runs, whoever asks for them: a run outlives an endpoint that is dropped."""

import logging
from collections.abc import Callable

from v4l_dmabuf import _core, values
from v4l_dmabuf.config import CaptureConfig, Config
from v4l_dmabuf.errors import OutputError
from v4l_dmabuf.report import Report
from v4l_dmabuf.result import Recording

Progress = Callable[[Report], object]
"""Called twice a second during a run, with its state so far: the counts, and ``stages`` without
percentiles; ``offset`` and ``clock`` the result has. What it raises ends the run."""

Run = Callable[[int | None, Progress | None], Report]
"""Runs the core."""

"""What runs."""

_LOGGER = logging.getLogger(__name__)


class Runs:
    """The runs of an endpoint, one after another."""

    def __init__(self, core: _core.Endpoint, config: Config, role: str) -> None:
        self.core = core
        self._config = config
        self._role = role
        self._whole = _core.Whole()
        self._is_aborted = False

    def begin(
        self,
        frames: int | None = None,
        progress: Progress | None = None,
        run: Run | None = None,
    ) -> Report:
        """Run as `Endpoint.run` does. ``run`` is the core's, where that takes more."""
        if frames is not None:
            frames = values.whole("frames", frames, least=1, most=(1 << 64) - 1)
        with self._whole:
            try:
                return self._run(frames, progress, run or self.core.run)
            finally:
                # Those of a run that could not begin wait as well.
                self.core.end_consumers()

    def _shown(self, run: Run) -> Run:
        """Show a run on a page while it goes on, if that is wanted."""
        config = self._config
        if isinstance(config, CaptureConfig) or config.view is None:
            return run
        # The page's text takes its time to be read.
        from v4l_dmabuf.view import show  # noqa: PLC0415

        address = str(config.view)

        def shown(frames: int | None, progress: Progress | None) -> Report:
            view = show(
                address,
                self.core,
                fps=config.view_fps,
                width=config.view_width,
                role=self._role,
            )
            if view is None:
                # Stopped: so will the run be, at once.
                return run(frames, progress)
            _LOGGER.info("the stream is shown at %s", view.url)
            if not view.is_local:
                _LOGGER.warning(
                    "whoever reaches %s sees the stream: ssh -L %d:localhost:%d keeps it to you",
                    *(view.url, view.port, view.port),
                )
            try:
                report = run(frames, progress)
            except BaseException as error:
                view.end(self.core.report(), error)
                raise
            view.end(report, None)
            return report

        return shown

    def _run(
        self,
        frames: int | None,
        progress: Progress | None,
        run: Run,
    ) -> Report:
        self._is_aborted = False
        run = self._shown(run)
        if self._config.report is None:
            return run(frames, progress)
        recording = Recording(self._config.report, self._config, self._role)
        try:
            return self._recorded(recording, frames, progress, run)
        finally:
            recording.close()

    def _recorded(
        self, recording: Recording, frames: int | None, progress: Progress | None, run: Run
    ) -> Report:
        """Run, and write down what came of it, however it ends."""
        may_record = True
        try:
            try:
                self.core.check_report(recording.path)
            except (OutputError, RuntimeError):
                # It can't be written, or there can be no run.
                may_record = False
                raise
            report = run(frames, progress)
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
        report = self.core.report()
        text = recording.end(report, self.core.details(), frames, error)
        # Whoever interrupts a run, or stops it, waits for no reader of its report.
        is_last = self._is_aborted or (report is not None and report.stopped)
        is_last |= error is not None and not isinstance(error, Exception)
        try:
            self.core.write_report(recording.path, text, is_last)
        except OutputError as failure:
            failure.report = report
            raise

    def abort(self) -> None:
        """End the run at once; its report is written if that takes no wait."""
        self._is_aborted = True
        self.core.abort()
