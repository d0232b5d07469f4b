"""The command `v4l-dmabuf-compare`.

Exit status: 0 the same or better; 1 worse; 2 usage, or a file or stream that can't be read or
written; 3 not comparable, or not enough data to tell; 70 a fault of its own; 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from v4l_dmabuf import _core
from v4l_dmabuf.commands.display import claim_standard_streams, print_text
from v4l_dmabuf.commands.forms import (
    UNUSABLE,
    Forms,
    failed,
    guarded,
    need,
    write_text,
)
from v4l_dmabuf.verdicts import Suite

_NEEDS = ("numpy", "matplotlib")
_PROGRAM = "v4l-dmabuf-compare"


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
    parser.add_argument("--html", metavar="FILE", help="write one self-contained page there")
    Forms.add_to(parser)
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
    """Run `v4l-dmabuf-compare`; the result is its exit status."""
    return guarded(_PROGRAM, lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    claim_standard_streams()
    parser = _parser()
    options = parser.parse_args(arguments)
    _sides(parser, options)
    need(parser, _NEEDS, "compare")
    forms = Forms(parser, options)
    if options.markdown is None and not forms.is_stdout_taken and sys.stdout is None:
        parser.error("standard output is closed: give --markdown FILE")
    return _compare(options, forms)


def _compare(options: argparse.Namespace, forms: Forms) -> int:
    # Where numpy is missing, what comes before has said so.
    from v4l_dmabuf.compare import ResultError, compare, load  # noqa: PLC0415
    from v4l_dmabuf.compare.document import document  # noqa: PLC0415
    from v4l_dmabuf.compare.markdown import markdown  # noqa: PLC0415
    from v4l_dmabuf.compare.verdicts import status, verdicts  # noqa: PLC0415

    try:
        sides = load(options.a), load(options.b)
    except ResultError as error:
        return failed(_PROGRAM, str(error), UNUSABLE)
    comparison = compare(*sides)
    names = _names(options)
    text = markdown(comparison, names) + "\n"
    suites = [Suite(f"{names[1]} against {names[0]}", verdicts(comparison))]
    if options.markdown is not None:
        write_text(options.markdown, text)
    elif not forms.is_stdout_taken:
        print_text(text)
    forms.write(suites, _PROGRAM, "", lambda: document(comparison, names))
    if options.html is not None:
        from v4l_dmabuf.compare.page import page  # noqa: PLC0415

        write_text(options.html, page(comparison, names))
    return status(comparison)


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
