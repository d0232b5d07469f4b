"""What a person sees of a run: log lines, one live line on a terminal, the summary."""

import atexit
import logging
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TextIO

from v4l_dmabuf.report import Report

_LOG_SECONDS = 5.0
_MOST_LINES = 10_000
"""Lines that wait for a terminal that is stopped; of more, the oldest are lost."""
_MOMENT = 0.5
"""Seconds that the end of a run waits for its last lines to be written."""

_TURNING = (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ESCAPES |= {code: f"\\u{code:04x}" for code in _TURNING}


def escaped(text: str) -> str:
    """Give ``text`` with all escaped that a terminal would obey rather than show."""
    return text.translate(_ESCAPES)


def claim_standard_streams() -> None:
    """Open those that are closed: else a device or a socket would get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 -- a number, for good


class Display:
    """Lines on a stream, and on a terminal one live line below them, rewritten in place.

    A thread of its own writes them: a terminal that is stopped, slow or gone holds up nobody
    else. What can't be written is lost, and no error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._descriptor = stream.fileno()
        self.is_shown_here = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._changed = threading.Condition()
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._live = ""
        self._shown = ""
        self._is_busy = False
        threading.Thread(target=self._write, name="display", daemon=True).start()

    def show(self, text: str) -> None:
        """Put ``text`` in the live line's place, where there is one."""
        if self.is_shown_here:
            with self._changed:
                self._live = escaped(text)
                self._changed.notify_all()

    def print_above(self, text: str) -> None:
        """Write a line that stays, above the live one."""
        with self._changed:
            self._lines.append(escaped(text))
            self._changed.notify_all()

    def clear(self) -> None:
        """Take the live line away."""
        self.show("")

    def end(self) -> None:
        """Wait until all is written, for a moment."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_behind() and not self._is_busy, _MOMENT)

    def _is_behind(self) -> bool:
        return bool(self._lines) or self._live != self._shown

    def _write(self) -> None:
        while True:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()
                self._changed.wait_for(self._is_behind)
                self._is_busy = True
                lines = list(self._lines)
                self._lines.clear()
                live = self._live
            self._put(lines, live)

    def _put(self, lines: Sequence[str], live: str) -> None:
        erase = "\r\x1b[K" if self._shown or live else ""
        text = "".join(f"{line}\n" for line in lines)
        left = f"{erase}{text}{self._cut(live)}".encode(errors="backslashreplace")
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError:
                break
        with self._changed:
            self._shown = live

    def _cut(self, text: str) -> str:
        """Cut a line to the terminal's width."""
        if not text:
            return text
        try:
            columns = os.get_terminal_size(self._descriptor).columns
        except OSError:
            columns = 0
        return text[: (columns or 80) - 1]


class LineHandler(logging.Handler):
    """A handler that writes a record a line, around the live line."""

    def __init__(self, display: Display, program: str) -> None:
        super().__init__()
        self.display = display
        self.program = program

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, with its level if that is more than information."""
        level = f"{record.levelname.lower()}: " if record.levelno != logging.INFO else ""
        self.display.print_above(f"{self.program}: {level}{record.getMessage()}")


class Status:
    """Tells of a run while it goes on: give it as the progress callback."""

    def __init__(self, display: Display, logger: logging.Logger) -> None:
        self._display = display
        self._logger = logger
        self._last: Report | None = None
        self._last_time = 0.0
        self._since = time.monotonic()

    def __call__(self, report: Report) -> None:
        """Show the state so far, with the rates since the last time."""
        now = time.monotonic()
        if self._display.is_shown_here:
            self._display.show(self._describe(report, now))
        elif now - self._since >= _LOG_SECONDS:
            self._since = now
            self._logger.info("%s", self._describe(report, now))

    def _describe(self, report: Report, now: float) -> str:
        last, self._last = self._last, report
        elapsed, self._last_time = now - self._last_time, now
        if report.stream_unknown:
            return "waiting for the other side"
        frames, a_second = _units(report)
        text = f"{report.frames} {frames}"
        fps, megabytes = report.fps, report.megabytes_per_second
        if last is not None:
            fps = (report.frames - last.frames) / elapsed
            megabytes = (report.bytes - last.bytes) / elapsed / 1e6
        if fps is not None:
            text += f", {fps:.1f} {a_second}, {megabytes:.1f} MB/s"
        return f"{text}, {describe_drops(report)}"


def describe_drops(report: Report) -> str:
    """Say how many frames are missing, and where they went as far as is known."""
    unknown = "drops unknown (unusable sequence numbers)"
    if report.sender_drops is None:
        return unknown if report.drops is None else f"{report.drops} missing on arrival"
    drops = report.drops if report.sender_bursts is not None else report.driver_drops
    told = unknown if drops is None else f"{drops} dropped by the driver"
    return f"{told}, {report.sender_drops} by the sender"


def _units(report: Report) -> tuple[str, str]:
    """Say what comes, and how its rate is called."""
    return ("fields", "fields a second") if report.field == "alternate" else ("frames", "fps")


def summary(report: Report, verb: str) -> list[str]:
    """Describe a run that has ended, in lines."""
    if report.stream_unknown:
        return [f"nothing {verb}"]
    frames, a_second = _units(report)
    rate = ""
    if report.fps is not None:
        rate = f" in {report.seconds:.2f} s: {report.fps:.2f} {a_second}, "
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
        f"{verb} {report.frames} {frames}, {report.bytes} bytes{rate}",
        f"{describe_drops(report)}, {report.error_frames} flagged in error, "
        f"{report.incomplete_frames} incomplete{_bursts(report)}",
        *_account(report),
        *_verified(report),
        f"{report.width}x{report.height} {report.format}, {report.buffers} buffers of "
        f"{report.sizeimage} bytes{planes}, "
        f"memory: {memory.get(report.memory or '', report.memory)}",
        *copying,
        *_stages(report),
    ]


def _bursts(report: Report) -> str:
    # What the driver and the sender drop may be in a row.
    bursts = report.missing_bursts
    longest = max(report.sender_bursts or {} if bursts is None else bursts, default=0)
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
    # Older senders don't tell of frames that were not written.
    sound = "all as they were sent" if report.unwritten is None else "all sound"
    cpu = report.verify_cpu_seconds or 0.0
    return [
        f"verified {report.verified_frames} frames in {cpu:.2f} s of CPU: "
        f"{', '.join(_some(counts)) or sound}"
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


def log_to_stderr(program: str, level: int) -> Display:
    """Send the package's log to stderr, once however often; its logger alone is touched."""
    display = Display(sys.stderr)
    logger = logging.getLogger("v4l_dmabuf")
    logger.setLevel(level)
    logger.propagate = False
    for handler in [it for it in logger.handlers if isinstance(it, LineHandler)]:
        handler.display.end()
        logger.removeHandler(handler)
    logger.addHandler(LineHandler(display, program))
    atexit.register(display.end)
    return display
