"""A comparison as Markdown, for terminals and for files."""

import json
from collections.abc import Sequence
from typing import Any

from v4l_dmabuf.compare.comparability import Difference
from v4l_dmabuf.compare.comparison import Comparison, Row, Verdict

Names = tuple[str, str]
"""What the two sides are called."""

_LONGEST = 60


def markdown(comparison: Comparison, names: Names) -> str:
    """Make it."""
    return "\n\n".join(
        block
        for block in (
            f"# {names[1]} against {names[0]}: {comparison.verdict}",
            conclusion(comparison, names),
            _failures(comparison),
            _differences("What has to be the same and is not", comparison.mismatches, names),
            _rows(comparison.rows, names),
            _differences("What else differs", comparison.explanations, names),
        )
        if block
    )


def conclusion(comparison: Comparison, names: Names) -> str:
    """Say in a sentence what to make of it."""
    runs = f"{len(comparison.a)} and {len(comparison.b)} runs"
    worse = [row.name for row in comparison.rows if row.verdict is Verdict.WORSE]
    better = [row.name for row in comparison.rows if row.verdict is Verdict.BETTER]
    match comparison.verdict:
        case Verdict.NOT_COMPARABLE:
            return "The runs are not of the same kind: nothing is concluded from their figures."
        case Verdict.SAME:
            return f"No figure of {runs} shows a difference that matters."
        case Verdict.NOT_ENOUGH_DATA:
            return f"{runs} are not enough to tell: more of them, or longer ones, would be."
        case _:
            parts = [
                f"{names[1]} is {word} in {', '.join(which)}"
                for word, which in (("worse", worse), ("better", better))
                if which
            ]
            return f"By {runs}: {'; '.join(parts)}."


def _failures(comparison: Comparison) -> str:
    if not comparison.failures:
        return ""
    return "Runs that failed:\n\n" + "\n".join(f"- {line}" for line in comparison.failures)


def figure(value: float) -> str:
    """Write a number to four digits."""
    return f"{value:.4g}"


def interval(row: Row) -> str:
    """Write the interval of a difference."""
    return f"{figure(row.interval.low)} to {figure(row.interval.high)}"


def _rows(rows: Sequence[Row], names: Names) -> str:
    if not rows:
        return "There is no figure that both sides have."
    lines = [
        f"| figure | {names[0]} | {names[1]} | difference | 98 % interval, of all together "
        "| verdict |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        note = f" ({row.note})" if row.note else ""
        lines.append(
            f"| {row.name}, {row.unit} | {figure(row.a)} | {figure(row.b)} "
            f"| {figure(row.b - row.a)} | {interval(row)} | {row.verdict}{note} |"
        )
    return "\n".join(lines)


def cell(values: tuple[Any, ...]) -> str:
    """Write the values that a side's runs have."""
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    text = " / ".join(texts)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _differences(title: str, differences: Sequence[Difference], names: Names) -> str:
    if not differences:
        return ""
    lines = [f"## {title}", "", f"| | {names[0]} | {names[1]} |", "|---|---|---|"]
    for difference in differences:
        sides = (cell(side).replace("|", "\\|") for side in (difference.a, difference.b))
        lines.append(f"| {difference.name} | {' | '.join(sides)} |")
    return "\n".join(lines)
