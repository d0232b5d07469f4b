"""What a person sees of a run: log lines, one live line on a terminal, the summary."""

import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from v4l_dmabuf.report import Report

_LOG_SECONDS = 5.0


def claim_standard_streams() -> None:
    """Open those that are closed: else a device or a socket would get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 -- a number, for good


class LiveLine:
    """The last line of a terminal, rewritten in place. On anything else it is never shown."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_shown_here = stream.isatty()
        self._text = ""

    def show(self, text: str) -> None:
        """Put ``text`` in the line's place, cut to the terminal's width."""
        if self.is_shown_here:
            self._text = text[: shutil.get_terminal_size().columns - 1]
            self._stream.write(f"\r\x1b[K{self._text}")
            self._stream.flush()

    def print_above(self, text: str) -> None:
        """Write a line that stays, above the live one."""
        erase = "\r\x1b[K" if self._text else ""
        self._stream.write(f"{erase}{text}\n{self._text}")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._text:
            self.show("")


class LineHandler(logging.Handler):
    """A handler that writes a record a line, around the live line."""

    def __init__(self, line: LiveLine, program: str) -> None:
        super().__init__()
        self._line = line
        self._program = program

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, with its level if that is more than information."""
        level = f"{record.levelname.lower()}: " if record.levelno != logging.INFO else ""
        try:
            self._line.print_above(f"{self._program}: {level}{record.getMessage()}")
        except OSError:
            self.handleError(record)


class Status:
    """Tells of a run while it goes on: give it as the progress callback."""

    def __init__(self, line: LiveLine, logger: logging.Logger) -> None:
        self._line = line
        self._logger = logger
        self._last: Report | None = None
        self._last_time = 0.0
        self._since = time.monotonic()

    def __call__(self, report: Report) -> None:
        """Show the state so far, with the rates since the last time."""
        now = time.monotonic()
        if self._line.is_shown_here and self._logger.isEnabledFor(logging.INFO):
            self._line.show(self._describe(report, now))
        elif now - self._since >= _LOG_SECONDS:
            self._since = now
            self._logger.info("%s", self._describe(report, now))

    def _describe(self, report: Report, now: float) -> str:
        last, self._last = self._last, report
        elapsed, self._last_time = now - self._last_time, now
        if report.stream_unknown:
            return "waiting for the other side"
        text = f"{report.frames} frames"
        fps, megabytes = report.fps, report.megabytes_per_second
        if last is not None:
            fps = (report.frames - last.frames) / elapsed
            megabytes = (report.bytes - last.bytes) / elapsed / 1e6
        if fps is not None:
            text += f", {fps:.1f} fps, {megabytes:.1f} MB/s"
        return f"{text}, {describe_drops(report)}"


def describe_drops(report: Report) -> str:
    """Say how many frames are missing, and where they went as far as is known."""
    unknown = "drops unknown (unusable sequence numbers)"
    if report.sender_drops is None:
        return unknown if report.drops is None else f"{report.drops} missing on arrival"
    drops = report.drops if report.sender_bursts is not None else report.driver_drops
    told = unknown if drops is None else f"{drops} dropped by the driver"
    return f"{told}, {report.sender_drops} by the sender"


def summary(report: Report, verb: str) -> list[str]:
    """Describe a run that has ended, in lines."""
    if report.stream_unknown:
        return [f"nothing {verb}"]
    rate = ""
    if report.fps is not None:
        rate = f" in {report.seconds:.2f} s: {report.fps:.2f} fps, "
        rate += f"{report.megabytes_per_second:.1f} MB/s"
    memory = {
        "dmabuf": f"DMABUFs from {report.heap}",
        "mmap": "the driver's own (mmap)",
        "memfd": "memfd (plain memory, no DMABUF)",
    }
    copying = []
    if report.zero_copy is not None:
        how = "without a copy" if report.zero_copy else "by copying"
        copying = [
            f"{how}: {report.zero_copy_reason}; {report.fallback_frames} frames fell back, the "
            f"source waited {report.waits_for_network} times for the network and "
            f"{report.waits_for_completion} times for completions"
        ]
    planes = f" in {report.planes} planes" if report.planes != 1 else ""
    return [
        f"{verb} {report.frames} frames, {report.bytes} bytes{rate}",
        f"{describe_drops(report)}, {report.error_frames} flagged in error{_bursts(report)}",
        *_account(report),
        *_verified(report),
        f"{report.width}x{report.height} {report.format}, {report.buffers} buffers of "
        f"{report.sizeimage} bytes{planes}, "
        f"memory: {memory.get(report.memory or '', report.memory)}",
        *copying,
        *_stages(report),
    ]


def _bursts(report: Report) -> str:
    longest = max([*(report.bursts or {}), *(report.sender_bursts or {})], default=0)
    return f", at most {longest} in a row missing" if longest > 1 else ""


def _some(counts: Sequence[tuple[int | None, str]]) -> list[str]:
    """Say those counts that are known and not 0."""
    return [f"{count} {what}" for count, what in counts if count]


def _account(report: Report) -> list[str]:
    """Say where the frames went, in a line, if both sides have told."""
    if report.captured is None or report.received is None:
        return []
    counts = [
        (report.sender_drops, "dropped by the sender"),
        (report.left_over, "left over at the end"),
        (report.lost, "lost in transit"),
        (report.receiver_drops, "not wanted by the receiver"),
    ]
    told = f"{report.captured} captured, {report.sent} sent, {report.received} received"
    return [", ".join([told, *_some(counts)])]


def _verified(report: Report) -> list[str]:
    if report.verified_frames is None:
        return []
    counts = [
        (report.spoiled, "arrived spoiled"),
        (report.unwritten, "not written by the driver, or not whole"),
        (report.zero_frames, "all zero"),
        (report.repeated_frames, "the same as the one before"),
    ]
    cpu = report.verify_cpu_seconds or 0.0
    return [
        f"verified {report.verified_frames} frames in {cpu:.2f} s of CPU: "
        f"{', '.join(_some(counts)) or 'all sound'}"
    ]


_STAGES = {
    "capture_age": "dequeued after",
    "verify": "verified in",
    "before_socket": "waited",
    "into_socket": "into the socket",
    "until_completion": "completed after",
    "into_buffer": "into the buffer",
    "into_dump": "into the dump",
}

_ONE_WAY = {
    "transfer": "from socket to buffer",
    "end_to_end": "from capture to buffer",
    "end_to_end_corrected": "the same with the frames that a blocked sender missed",
    "acknowledged": "acknowledged after",
}


def _times(report: Report, stages: Mapping[str, str]) -> str:
    """Say how long the stages took: the median, and the longest."""
    told = [
        f"{words} {times.percentiles['p50'] * 1e3:.3g} ({times.most * 1e3:.3g})"
        for stage, words in stages.items()
        if (times := report.stages.get(stage)) is not None and "p50" in times.percentiles
    ]
    return ", ".join(told)


def _stages(report: Report) -> list[str]:
    lines = []
    if told := _times(report, _STAGES):
        lines.append(f"a frame's way in ms, median (longest): {told}")
    if told := _times(report, _ONE_WAY):
        lines.append(f"from side to side in ms, median (longest): {told}{_offset(report)}")
    if report.clock_reason is not None:
        lines.append(f"the age of a frame is unknown: timestamps: {report.clock_reason}")
    if report.offset_reason is not None:
        lines.append(f"times from side to side are unknown: {report.offset_reason}")
    return lines


def _offset(report: Report) -> str:
    if report.offset_bound is None:
        return ""
    told = f"; clocks compared to within {report.offset_bound * 1e3:.3g}"
    transfer = report.stages.get("transfer")
    if transfer is not None and transfer.mean < report.offset_bound:
        told += ", which is more than the transfer took: it is not known"
    return told


def log_to_stderr(program: str, level: int) -> LiveLine:
    """Send the package's log to stderr; its logger alone is touched."""
    line = LiveLine(sys.stderr)
    logger = logging.getLogger("v4l_dmabuf")
    logger.setLevel(level)
    logger.propagate = False
    logger.addHandler(LineHandler(line, program))
    return line
