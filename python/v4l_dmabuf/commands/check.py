"""The command `v4l-dmabuf-check`.

Exit status: 0 all checks pass; 1 one fails; 2 usage, or a file or stream that can't be read or
written; 3 none fails, and one could not be told; 70 a fault of its own; 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from v4l_dmabuf import _core
from v4l_dmabuf.check import check
from v4l_dmabuf.commands.display import claim_standard_streams
from v4l_dmabuf.commands.forms import UNUSABLE, Forms, failed, guarded
from v4l_dmabuf.commands.limits import add_limits, as_json, table
from v4l_dmabuf.reading import ResultError, read_result
from v4l_dmabuf.verdicts import Suite, status

_PROGRAM = "v4l-dmabuf-check"
_FORMAT = "v4l-dmabuf-check"
_FORMAT_VERSION = 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Check results of runs (--report of the other commands) against limits: a "
        "line each, with the figure, the limit and the verdict. That a run did what it was asked "
        "for is always checked.",
        epilog="Figures are named as v4l-dmabuf-compare prints them ('frame rate'), as the "
        "summary does, with a statistic ('capture to buffer p99'), or as the JSON has them "
        "('fps'). Exit status: 0 all pass, 1 one fails, 3 one could not be told, 2 usage or a "
        "file that can't be read or written.",
    )
    parser.add_argument("results", nargs="+", metavar="RESULT", help="results of runs")

    add_limits(parser)
    Forms.add_to(parser)
    parser.add_argument("--version", action="version", version=_core.__version__)
    return parser


def check_main(arguments: Sequence[str] | None = None) -> int:
    """Run `v4l-dmabuf-check`; the result is its exit status."""
    return guarded(_PROGRAM, lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    claim_standard_streams()
    parser = _parser()
    options = parser.parse_args(arguments)
    forms = Forms(parser, options)
    paths = [Path(result) for result in options.results]
    try:
        documents = [read_result(path) for path in paths]
    except ResultError as error:
        return failed(_PROGRAM, str(error), UNUSABLE)
    suites = [
        Suite(name, check(document, options.limits))
        for name, document in zip(_names(paths), documents, strict=True)
    ]
    forms.write(suites, _PROGRAM, table(suites), lambda: _document(suites))
    return status(suites)


def _names(paths: Sequence[Path]) -> list[str]:
    """Call each by its file's name, or by its path where that is not enough."""
    names = [path.stem for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _document(suites: Sequence[Suite]) -> Any:
    return {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "verdict": {0: "pass", 1: "fail", 3: "skip"}[status(suites)],
        "results": as_json(suites),
    }


if __name__ == "__main__":
    sys.exit(check_main())
