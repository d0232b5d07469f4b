"""A comparison as verdicts, for labs: B is not to be worse than A."""

from v4l_dmabuf.compare.comparison import Comparison, Row, Verdict
from v4l_dmabuf.compare.markdown import plain
from v4l_dmabuf.verdicts import Outcome
from v4l_dmabuf.verdicts import Verdict as Told
from v4l_dmabuf.verdicts.verdict import number

_OUTCOMES = {
    Verdict.SAME: Outcome.PASS,
    Verdict.BETTER: Outcome.PASS,
    Verdict.WORSE: Outcome.FAIL,
    Verdict.NOT_COMPARABLE: Outcome.SKIP,
    Verdict.NOT_ENOUGH_DATA: Outcome.SKIP,
}


def verdicts(comparison: Comparison) -> list[Told]:
    """Give a verdict a figure, and first of all one on the whole."""
    why = "; ".join(plain(line) for line in comparison.failures)
    if comparison.mismatches:
        differs = ", ".join(each.name for each in comparison.mismatches)
        why = f"what has to be the same and is not: {plain(differs)}"
    whole = Told(
        "comparison",
        _OUTCOMES[comparison.verdict],
        comparison.verdict.value,
        limit="is not to be worse",
        why=why,
    )
    missing = [
        Told(each.name, Outcome.SKIP, limit="is to be known", why=each.why)
        for each in comparison.missing
    ]
    return [whole, *map(_row, comparison.rows), *missing]


def status(comparison: Comparison) -> int:
    """Give the exit status: 1 if B is worse, 3 if that could not be told, else 0."""
    return {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.SKIP: 3}[_OUTCOMES[comparison.verdict]]


def _row(row: Row) -> Told:
    told = f"{row.verdict.value}{': ' if row.note else ''}{row.note or ''}"
    limit = f"is not to be worse than {number(row.a)} by more than {number(row.tolerance)}"
    return Told(row.name, _OUTCOMES[row.verdict], row.b, row.unit, limit, told)
