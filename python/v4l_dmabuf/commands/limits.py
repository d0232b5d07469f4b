"""Limits on results as options, and what they come to as a table."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from v4l_dmabuf.check import Limit, LimitError, from_toml, limits
from v4l_dmabuf.verdicts import Suite, Verdict


def _limit(parse: Callable[[str], list[Limit]]) -> Callable[[str], list[Limit]]:
    """Have a limit that can't be understood be a matter of usage."""

    def parsed(text: str) -> list[Limit]:
        try:
            return parse(text)
        except LimitError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options; the limits are in ``limits``."""

    def add(flag: str, metavar: str, parse: Callable[[str], list[Limit]], told: str) -> None:
        parser.add_argument(
            flag, dest="limits", action="extend", type=_limit(parse), metavar=metavar, help=told
        )

    add("--min-fps", "FPS", limits.min_fps, "the least frame rate")
    add("--max-drops", "N|N%", limits.max_drops, "frames that the driver and the sender may drop")
    add("--max-lost", "N|N%", limits.max_lost, "frames that may be lost in transit")
    add("--max", "FIGURE=VALUE", limits.at_most, "a figure, and what it may be at most")
    add("--min", "FIGURE=VALUE", limits.at_least, "a figure, and what it has to be at least")
    add("--max-growth", "RESOURCE=N/h", limits.grows, "how fast a resource may grow, as rss=1M/h")
    add("--require", "FIGURE=VALUE", limits.required, "what has to be so, as memory=dmabuf")
    add("--limits", "FILE", lambda path: from_toml(Path(path)), "limits from a TOML file")
    parser.set_defaults(limits=[])


def table(suites: Sequence[Suite]) -> str:
    """Give verdicts in columns, a line each."""
    verdicts = [verdict for suite in suites for verdict in suite.verdicts]
    name = max(len(verdict.name) for verdict in verdicts)
    value = max(len(verdict.shown) for verdict in verdicts)
    lines = []
    for suite in suites:
        if len(suites) > 1:
            lines.append(suite.name)
        lines += [_line(verdict, name, value) for verdict in suite.verdicts]
    return "".join(f"{line}\n" for line in lines)


def _line(verdict: Verdict, name: int, value: int) -> str:
    told = f"{verdict.limit}{': ' if verdict.why and verdict.limit else ''}{verdict.why}"
    outcome = verdict.outcome.value
    return f"{outcome}  {verdict.name.ljust(name)}  {verdict.shown.rjust(value)}  {told}".rstrip()


def as_json(suites: Sequence[Suite]) -> list[dict[str, Any]]:
    """Give verdicts as JSON has them."""
    return [
        {
            "result": suite.name,
            "checks": [
                {
                    "name": verdict.name,
                    "verdict": verdict.outcome.value,
                    "value": verdict.value,
                    "unit": verdict.unit,
                    "limit": verdict.limit,
                    "why": verdict.why,
                }
                for verdict in suite.verdicts
            ],
        }
        for suite in suites
    ]
