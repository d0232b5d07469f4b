"""What a person sees of a run while it goes on."""

import logging
import time

from v4l_dmabuf.commands.display import Display
from v4l_dmabuf.commands.summary import describe_drops, units
from v4l_dmabuf.report import Report

_LOG_SECONDS = 5.0
_BAR = 12
"""Columns of the progress bar."""


class Status:
    """Tells of a run while it goes on: give it as the progress callback."""

    def __init__(self, display: Display, logger: logging.Logger, wanted: int | None) -> None:
        self._display = display
        self._logger = logger
        self._wanted = wanted
        self._last: Report | None = None
        self._last_time = 0.0
        self._since = time.monotonic()

    def __call__(self, report: Report) -> None:
        """Show the state so far, with the rates since the last time."""
        now = time.monotonic()
        if self._display.is_shown_here:
            self._display.show(self._bar(report) + self._describe(report, now))
        elif now - self._since >= _LOG_SECONDS:
            self._since = now
            self._logger.info("%s", self._describe(report, now))

    def _bar(self, report: Report) -> str:
        """Give how far it is, and the time that is left at the mean rate so far."""
        if self._wanted is None or report.stream_unknown:
            return ""
        part = min(report.frames / self._wanted, 1.0)
        bar = ("#" * int(part * _BAR)).ljust(_BAR, ".")
        left = ""
        if report.fps:
            seconds = round(max(self._wanted - report.frames, 0) / report.fps)
            left = f" {seconds // 60}:{seconds % 60:02} left"
        return f"[{bar}] {part:4.0%}{left}  "

    def _describe(self, report: Report, now: float) -> str:
        last, self._last = self._last, report
        elapsed, self._last_time = now - self._last_time, now
        if report.stream_unknown:
            return "waiting for the other side"
        frames, a_second = units(report)
        text = f"{report.frames} {frames}"
        fps, megabytes = report.fps, report.megabytes_per_second
        if last is not None:
            fps = (report.frames - last.frames) / elapsed
            megabytes = (report.bytes - last.bytes) / elapsed / 1e6
        if fps is not None:
            text += f", {fps:.1f} {a_second}, {megabytes:.1f} MB/s"
        if self._wanted is None:
            return f"{text}, {describe_drops(report)}"
        # Beside the bar there is room for their number.
        drops = None if report.drops is None else report.drops + (report.sender_drops or 0)
        return f"{text}, {'drops unknown' if drops is None else f'{drops} dropped'}"
