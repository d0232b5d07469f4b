"""A comparison as Markdown, for terminals and for files."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from v4l_dmabuf.compare.comparability import Difference
from v4l_dmabuf.compare.comparison import Comparison, Row, Verdict
from v4l_dmabuf.text import escaped

Names = tuple[str, str]
"""What the two sides are called."""

_LONGEST = 60
_BAR = "\\|"


def markdown(comparison: Comparison, names: Names) -> str:
    """Make it."""
    return "\n\n".join(
        block
        for block in (
            f"# {names[1]} against {names[0]}: {comparison.verdict}",
            conclusion(comparison, names),
            *(_listed(title, lines) for title, lines in shortcomings(comparison)),
            _differences("What has to be the same and is not", comparison.mismatches, names),
            _rows(comparison.rows, names),
            _differences("What else differs", comparison.explanations, names),
        )
        if block
    )


def shortcomings(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Say what there is no figure of: titles, and what stands below each, which may be nothing."""
    missing = [f"{each.name}: {each.why}" for each in comparison.missing]
    return [
        ("Runs that failed", [plain(each) for each in comparison.failures]),
        ("Figures that decide and are missing", missing),
    ]


def plain(text: str) -> str:
    """Write what a result or a user says: no terminal obeys it, and every file can have it."""
    # A JSON escape may be half of a character.
    return escaped(text).encode("utf-8", "backslashreplace").decode("utf-8")


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
        case Verdict.NOT_ENOUGH_DATA if comparison.failures:
            failed = len(comparison.failures)
            return f"{failed} of the runs failed: what the others are like says nothing of that."
        case Verdict.NOT_ENOUGH_DATA if comparison.missing:
            names_of = ", ".join(each.name for each in comparison.missing)
            return f"What decides is not known of {runs}: {names_of}."
        case Verdict.NOT_ENOUGH_DATA:
            return f"{runs} are not enough to tell: more of them, or longer ones, would be."
        case _:
            parts = [
                f"{names[1]} is {word} in {', '.join(which)}"
                for word, which in (("worse", worse), ("better", better))
                if which
            ]
            return f"By {runs}: {'; '.join(parts)}."


def _listed(title: str, lines: Iterable[str]) -> str:
    listed = "\n".join(f"- {line}" for line in lines)
    return listed and f"{title}:\n\n{listed}"


def figure(value: float) -> str:
    """Write a number to four digits."""
    return f"{value:.4g}"


def interval(row: Row) -> str:
    """Write the interval of a difference."""
    if row.interval is None:
        return "unknown"
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


def cells(difference: Difference) -> tuple[str, str]:
    """Write what the runs of each side have; of long texts, from the word on that differs."""
    a, b = _written(difference.a), _written(difference.b)
    if max(len(a), len(b)) > _LONGEST:
        pairs = enumerate(zip(a, b, strict=False))
        differs = next((at for at, (one, other) in pairs if one != other), min(len(a), len(b)))
        begin = a.rfind(" ", 0, differs) + 1
        if begin:
            a, b = f"… {a[begin:]}", f"… {b[begin:]}"
    return _cut(a), _cut(b)


def _written(values: tuple[Any, ...]) -> str:
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return plain(" / ".join(texts))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _differences(title: str, differences: Sequence[Difference], names: Names) -> str:
    if not differences:
        return ""
    lines = [f"## {title}", "", f"| | {names[0]} | {names[1]} |", "|---|---|---|"]
    for difference in differences:
        row = (plain(difference.name), *cells(difference))
        lines.append(f"| {' | '.join(text.replace('|', _BAR) for text in row)} |")
    return "\n".join(lines)
