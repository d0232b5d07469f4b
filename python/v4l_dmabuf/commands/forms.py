"""Where verdicts are written, and in which forms: what commands that give verdicts share."""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from v4l_dmabuf.commands.display import print_text
from v4l_dmabuf.text import escaped
from v4l_dmabuf.verdicts import Suite, junit, ktap, lava

UNUSABLE = 2
_INTERRUPTED = 130


def guarded(program: str, main: Callable[[], int]) -> int:
    """Run a command whose exit status is a verdict.

    Whatever goes wrong has a status of its own: an interpreter's 1 would read as one.
    """
    try:
        return main()
    except OSError as error:
        return failed(program, str(error), UNUSABLE)
    except MemoryError:
        return failed(program, "not enough memory for these results", os.EX_SOFTWARE)
    except KeyboardInterrupt:
        return failed(program, "interrupted", _INTERRUPTED)
    except Exception as error:  # noqa: BLE001 -- the interpreter's status would be a verdict
        with suppress(Exception):
            traceback.print_exc()
        return failed(
            program,
            f"a fault of this program, please report it: {type(error).__name__}: {error}",
            os.EX_SOFTWARE,
        )


def failed(program: str, why: str, status: int) -> int:
    """Say why there is no verdict."""
    # Nobody may be there to read it.
    with suppress(Exception):
        print(f"{program}: error: {escaped(why)}", file=sys.stderr, flush=True)
    return status


def need(parser: argparse.ArgumentParser, modules: Sequence[str], extra: str) -> None:
    """Have it be a matter of usage that a module is not installed, which an extra brings."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        brings = f"pip install 'v4l-dmabuf[{extra}]' brings them"
        parser.error(f"{' and '.join(missing)} not installed: {brings}")


def write_text(path: str, text: str) -> None:
    """Write a file."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}") from error


class Forms:
    """The forms that were asked for."""

    @staticmethod
    def add_to(parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("--json", metavar="FILE", help="write JSON there, '-' for stdout")
        parser.add_argument("--ktap", metavar="FILE", help="write KTAP there, '-' for stdout")
        parser.add_argument("--junit", metavar="FILE", help="write JUnit's XML there")
        parser.add_argument(
            "--lava", action="store_true", help="print LAVA's signals to stdout as well"
        )

    def __init__(self, parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
        """Take the options; a standard output for two forms is a matter of usage."""
        self._options = options
        to_stdout = [options.json, options.ktap, options.junit].count("-")
        self.is_stdout_taken = to_stdout > 0
        if to_stdout > 1 or (to_stdout and options.lava):
            parser.error("standard output can have one form: give the others files")

    def write(
        self, suites: Sequence[Suite], program: str, table: str, document: Callable[[], Any]
    ) -> None:
        """Write the verdicts: in the forms that were asked for, and as a table if there is one."""
        options = self._options
        if options.json is not None:
            self._put(options.json, json.dumps(document(), indent=2, allow_nan=False) + "\n")
        if options.ktap is not None:
            self._put(options.ktap, ktap(suites))
        if options.junit is not None:
            self._put(options.junit, junit(suites, program))
        if table and not self.is_stdout_taken:
            print_text(escaped_lines(table))
        if options.lava:
            print_text(lava(suites))

    @staticmethod
    def _put(path: str, text: str) -> None:
        if path == "-":
            print_text(text)
        else:
            write_text(path, text)


def escaped_lines(text: str) -> str:
    """Give lines as a terminal may have them."""
    return "\n".join(map(escaped, text.split("\n")))
