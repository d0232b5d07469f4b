"""The command `v4l-dmabuf-compare`.

Exit status: 0 the same or better; 1 worse; 2 usage, or a file or stream that can't be read or
written; 3 not comparable, or not enough data to tell; 70 a fault of its own; 130 interrupted.
"""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from v4l_dmabuf import _core
from v4l_dmabuf.commands.display import claim_standard_streams
from v4l_dmabuf.text import escaped

_NEEDS = ("numpy", "matplotlib")
_PROGRAM = "v4l-dmabuf-compare"

_UNUSABLE = 2
_INTERRUPTED = 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Compare two systems by the results of their runs (--report of the other "
        "commands): which figures differ, by how much, and whether that is more than chance.",
        epilog="Exit status: 0 the same or better, 1 worse, 2 usage or a file that can't be read "
        "or written, 3 not comparable or not enough data, 70 a fault of its own.",
    )
    parser.add_argument(
        "results", nargs="*", metavar="RESULT", help="one run of A and one of B, in that order"
    )
    parser.add_argument("--a", nargs="+", default=[], metavar="RUN", help="runs of A")
    parser.add_argument("--b", nargs="+", default=[], metavar="RUN", help="runs of B")
    parser.add_argument("--name-a", metavar="NAME", help="what A is called (default: its file)")
    parser.add_argument("--name-b", metavar="NAME", help="what B is called (default: its file)")
    parser.add_argument("--markdown", metavar="FILE", help="write Markdown there, not to stdout")
    parser.add_argument("--json", metavar="FILE", help="write JSON there")
    parser.add_argument("--html", metavar="FILE", help="write one self-contained page there")
    parser.add_argument("--version", action="version", version=_core.__version__)
    return parser


def _sides(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Make ``--a`` and ``--b`` of two runs that were given bare."""
    if options.results:
        if options.a or options.b or len(options.results) != 2:
            parser.error("give one run of A and one of B, or runs with --a and --b")
        options.a, options.b = options.results[:1], options.results[1:]
    if not options.a or not options.b:
        parser.error("give runs of both: A.json B.json, or --a RUN... --b RUN...")


def compare_main(arguments: Sequence[str] | None = None) -> int:
    """Run `v4l-dmabuf-compare`; the result is its exit status.

    Whatever goes wrong has a status of its own: an interpreter's 1 would read as "worse".
    """
    try:
        return _main(arguments)
    except OSError as error:
        return _failed(str(error), _UNUSABLE)
    except MemoryError:
        return _failed("not enough memory for these results", os.EX_SOFTWARE)
    except KeyboardInterrupt:
        return _failed("interrupted", _INTERRUPTED)
    except Exception as error:  # noqa: BLE001 -- the interpreter's status would be a verdict
        with suppress(Exception):
            traceback.print_exc()
        return _failed(
            f"a fault of this program, please report it: {type(error).__name__}: {error}",
            os.EX_SOFTWARE,
        )


def _failed(why: str, status: int) -> int:
    # Nobody may be there to read it.
    with suppress(Exception):
        print(f"{_PROGRAM}: error: {escaped(why)}", file=sys.stderr, flush=True)
    return status


def _main(arguments: Sequence[str] | None) -> int:
    claim_standard_streams()
    parser = _parser()
    options = parser.parse_args(arguments)
    _sides(parser, options)
    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        parser.error(
            f"{' and '.join(missing)} not installed: pip install 'v4l-dmabuf[compare]' brings them"
        )
    if options.markdown is None and sys.stdout is None:
        parser.error("standard output is closed: give --markdown FILE")
    return _compare(options)


def _compare(options: argparse.Namespace) -> int:
    # Where numpy is missing, what comes before has said so.
    from v4l_dmabuf.compare import RunError, Verdict, compare, load  # noqa: PLC0415
    from v4l_dmabuf.compare.document import document  # noqa: PLC0415
    from v4l_dmabuf.compare.markdown import markdown  # noqa: PLC0415

    try:
        sides = load(options.a), load(options.b)
    except RunError as error:
        return _failed(str(error), _UNUSABLE)
    comparison = compare(*sides)
    names = _names(options)
    text = markdown(comparison, names) + "\n"
    if options.markdown is None:
        _print(text)
    else:
        _write(options.markdown, text)
    if options.json is not None:
        told = json.dumps(document(comparison, names), indent=2, allow_nan=False)
        _write(options.json, told + "\n")
    if options.html is not None:
        from v4l_dmabuf.compare.page import page  # noqa: PLC0415

        _write(options.html, page(comparison, names))
    return {Verdict.WORSE: 1, Verdict.NOT_COMPARABLE: 3, Verdict.NOT_ENOUGH_DATA: 3}.get(
        comparison.verdict, 0
    )


def _print(text: str) -> None:
    """Write to standard output, whatever of ``text`` its encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        # What is left in its buffer would fail again when the interpreter ends.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OSError(f"cannot write to standard output: {error.strerror}") from error


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}") from error


def _names(options: argparse.Namespace) -> tuple[str, str]:
    from v4l_dmabuf.compare.markdown import plain  # noqa: PLC0415

    given = (options.name_a, options.name_b)
    files = [Path(side[0]).stem for side in (options.a, options.b)]
    if files[0] == files[1]:
        files = ["A", "B"]
    first, second = (name or file for name, file in zip(given, files, strict=True))
    return plain(_utf_8(first)), plain(_utf_8(second))


def _utf_8(argument: str) -> str:
    """Give an argument as text: where the locale is not UTF-8's, Python leaves bytes in it."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
