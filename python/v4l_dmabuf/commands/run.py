"""A run as a command: its signals, what it says, and its exit status.

Exit status: 0 what was asked for was done; 1 it failed; 2 usage; 3 the stream was
cut, or a frame of it is unaccounted for or spoiled; 130 it was interrupted before
it was done.
"""

import argparse
import logging
import os
import signal
from types import FrameType

from v4l_dmabuf import _core
from v4l_dmabuf.commands.display import Display, log_to_stderr
from v4l_dmabuf.commands.progress import Status
from v4l_dmabuf.commands.summary import summary
from v4l_dmabuf.errors import (
    Error,
    IntegrityError,
    PeerLostError,
    PeerTimeoutError,
    TruncatedError,
)
from v4l_dmabuf.receiver import Receiver
from v4l_dmabuf.report import Report
from v4l_dmabuf.sender import Sender

_INTERRUPTED = 130
_UNSOUND = 3
_PARTING_SECONDS = 0.9
"""What a second signal leaves a run for its end, and for its report."""
_LOGGER = logging.getLogger("v4l_dmabuf")
_GREEN, _YELLOW, _RED = 32, 33, 31
_COLOURS = {
    "stopped": _YELLOW,
    **dict.fromkeys(("sound", "complete", "done"), _GREEN),
    **dict.fromkeys(("too few", "not sound", "cut short", "failed"), _RED),
}
"""Verdicts, and their colours by ECMA-48."""


class Signals:
    """SIGINT, SIGTERM, SIGHUP: the first ends a run at the end of its frame, the second at once.

    What is ignored when the program starts stays ignored, as SIGHUP under nohup.
    """

    def __init__(self) -> None:
        self.endpoint: Sender | Receiver | None = None
        self.aborted = False
        self._received = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._receive)
        # A terminal that lets no background job write would stop the run with the display.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self.aborted or self.endpoint is None:
            # Nothing of ours is left half-done by this: the kernel takes the device and its
            # memory back, and a report is replaced as a whole.
            os._exit(_INTERRUPTED)
        if self._received:
            self.aborted = True
            _core.exit_within(_PARTING_SECONDS, _INTERRUPTED)
            self.endpoint._runs.abort()
            return
        self._received = True
        self.endpoint.stop()
        _LOGGER.info("finishing the frame that is under way; once more to end at once")


def run(
    endpoint: Sender | Receiver,
    options: argparse.Namespace,
    program: str,
    verb: str,
    signals: Signals,
) -> int:
    """Run an endpoint, say what came of it, and give the exit status."""
    display = log_to_stderr(program, options.level)
    signals.endpoint = endpoint
    failure: Error | None = None
    report: Report | None
    try:
        progress = (
            Status(display, _LOGGER, options.frames)
            if _LOGGER.isEnabledFor(logging.INFO)
            else None
        )
        report = endpoint.run(options.frames, progress)
    except Error as error:
        failure, report = error, error.report
    display.clear()
    status = _tell(display, failure, report, options.frames, verb)
    for call in _core.under_way():
        _LOGGER.warning("%s delays the exit", call)
    display.end()
    return _INTERRUPTED if signals.aborted else status


def _tell(
    display: Display, failure: Error | None, report: Report | None, frames: int | None, verb: str
) -> int:
    """Say what came of a run, and give its exit status."""
    if report is not None and (failure is None or report.frames > 0):
        verdict = _verdict(failure, report, frames)
        if _LOGGER.isEnabledFor(logging.INFO):
            display.print_block(summary(report, verb, verdict), _COLOURS[verdict])
    if failure is not None:
        _LOGGER.error("%s", failure)
        return _UNSOUND if _is_unsound(failure) else 1
    if report is not None and frames is not None and report.frames < frames and not report.due:
        if report.stopped:
            return _INTERRUPTED
        _LOGGER.error("the stream ended after %d of %d frames", report.frames, frames)
        return 1
    return 0


def _verdict(failure: Error | None, report: Report, frames: int | None) -> str:
    """Say in a word what a run came to."""
    if failure is not None:
        if isinstance(failure, IntegrityError):
            return "not sound"
        return "cut short" if _is_unsound(failure) else "failed"
    if frames is not None and report.frames < frames and not report.due:
        return "stopped" if report.stopped else "too few"
    if report.captured is None or report.received is None:
        # By versions 1 and 2 nobody tells what became of the frames.
        return "done"
    return "complete" if report.verified_frames is None else "sound"


def _is_unsound(failure: Error) -> bool:
    """Tell a stream that can't be trusted from one that never was."""
    cut = isinstance(failure, TruncatedError | PeerLostError | PeerTimeoutError)
    had_begun = failure.report is not None and failure.report.protocol is not None
    return isinstance(failure, IntegrityError) or (cut and had_begun)
