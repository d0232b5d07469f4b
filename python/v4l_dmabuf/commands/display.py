"""Lines on stderr: those of the log, and on a terminal one live line below them."""

import atexit
import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from v4l_dmabuf.text import escaped

_MOST_LINES = 10_000
"""Lines that wait for a terminal that is stopped; of more, the oldest are lost."""
_MOMENT = 0.5
"""Seconds that the end of a run waits for its last lines to be written."""


def claim_standard_streams() -> None:
    """Open those that are closed: else a device or a socket would get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 -- a number, for good


def print_text(text: str) -> None:
    """Write to standard output, whatever of ``text`` its encoding lacks."""
    if sys.stdout is None:
        raise OSError("cannot write to standard output: it is closed")
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        # What is left in its buffer would fail again when the interpreter ends.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OSError(f"cannot write to standard output: {error.strerror}") from error


class Display:
    """Lines on a stream, and on a terminal one live line below them, rewritten in place.

    A thread of its own writes them: a terminal that is stopped, slow or gone holds up nobody
    else. What can't be written is lost, and no error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._descriptor = stream.fileno()
        self.is_shown_here = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._is_coloured = self.is_shown_here and not os.environ.get("NO_COLOR")
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

    def print_block(self, lines: Sequence[str], colour: int) -> None:
        """Write lines that stay, the first word or two of them in a colour, where that is fit."""
        first, *others = [escaped(line) for line in lines]
        if self._is_coloured:
            word = first[:9].rstrip(": ")
            first = f"\x1b[1;{colour}m{word}\x1b[0m{first[len(word) :]}"
        with self._changed:
            self._lines.extend(["", first, *others, ""])
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
