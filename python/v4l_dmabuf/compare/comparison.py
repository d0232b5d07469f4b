"""The comparison: each figure of both sides, their difference, and what to make of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from v4l_dmabuf.compare import intervals
from v4l_dmabuf.compare.comparability import Difference, explanations, mismatches
from v4l_dmabuf.compare.intervals import Interval
from v4l_dmabuf.compare.metrics import COUNTS, METRICS, VALUES, Count, Metric, Value
from v4l_dmabuf.compare.runs import Run

FAMILY_LEVEL = 0.98
"""The chance that no interval of a comparison misses the truth: each is the wider for it."""

_SINGLE_RUN_CAUTION = 3.0
"""A difference of single runs has to be so many times the tolerance: how much runs of the same
system differ is not seen in them."""


_AS_LONG = 1.1
"""Runs whose frames differ by no more than that are as long."""


class Verdict(StrEnum):
    """What to make of a difference."""

    SAME = "same"
    BETTER = "better"
    WORSE = "worse"
    NOT_ENOUGH_DATA = "not enough data"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Row:
    """A figure of both sides."""

    name: str
    unit: str
    a: float
    """The mean of the first side's runs."""
    b: float
    """The second's."""
    interval: Interval | None
    """Of the difference, second less first; None where the frames carry none."""
    tolerance: float
    """A smaller difference is none that matters."""
    verdict: Verdict
    decides: bool = True
    """Whether the sides are the same only if they are by this figure: tails and jitter take more
    frames than most runs have."""
    note: str = ""


@dataclass(frozen=True)
class Missing:
    """A figure that decides, that the runs should have, and that can't be made of them."""

    name: str
    why: str


@dataclass(frozen=True)
class Comparison:
    """Two sides compared."""

    a: Sequence[Run]
    b: Sequence[Run]
    mismatches: list[Difference]
    """What has to be the same and is not: if anything, nothing is concluded."""
    explanations: list[Difference]
    """What else differs."""
    failures: list[str]
    """Runs that failed, in words."""
    missing: list[Missing]
    """What decides and is not there."""
    rows: list[Row]

    @property
    def verdict(self) -> Verdict:
        """Of the second side as a whole.

        Worse if any figure is, then better if any is; the same if all those are that decide.
        Where runs failed, or a figure that decides is missing, it is worse or not enough is known.
        """
        if self.mismatches:
            return Verdict.NOT_COMPARABLE
        verdicts = {row.verdict for row in self.rows}
        if Verdict.WORSE in verdicts:
            return Verdict.WORSE
        if self.failures or self.missing:
            return Verdict.NOT_ENOUGH_DATA
        if Verdict.BETTER in verdicts:
            return Verdict.BETTER
        deciding = {row.verdict for row in self.rows if row.decides}
        return Verdict.SAME if deciding == {Verdict.SAME} else Verdict.NOT_ENOUGH_DATA

    @property
    def differences(self) -> list[str]:
        """The names of the figures that differ."""
        return [row.name for row in self.rows if row.verdict in {Verdict.BETTER, Verdict.WORSE}]


def compare(a: Sequence[Run], b: Sequence[Run]) -> Comparison:
    """Compare two sides of one run or more each.

    Raises:
        ValueError: a side has no run.

    """
    if not a or not b:
        raise ValueError("each side needs a run")
    told = [
        *(_metric(metric, a, b) for metric in METRICS),
        *(_value(value, a, b) for value in VALUES),
        *(_count(count, a, b) for count in COUNTS),
    ]
    made = [make for make in told if not (make is None or isinstance(make, Missing))]
    # Each interval alone misses the truth so much more rarely that all together do not.
    level = 1 - (1 - FAMILY_LEVEL) / max(1, len(made))
    rows: list[Row] = [row(level) for row in made]
    missing = [
        *(each for each in told if isinstance(each, Missing)),
        *(Missing(row.name, "it is no finite number") for row in rows if not _is_finite(row)),
    ]
    failures = [f"{run.path}: {run.failure}" for run in [*a, *b] if run.failure is not None]
    return Comparison(
        a,
        b,
        mismatches(a, b),
        explanations(a, b),
        failures,
        missing,
        [row for row in rows if _is_finite(row)],
    )


def _is_finite(row: Row) -> bool:
    limits = () if row.interval is None else (row.interval.low, row.interval.high)
    return bool(np.all(np.isfinite([row.a, row.b, *limits])))


_Make = Callable[[float], Row]


def _are_several(a: Sequence[Run], b: Sequence[Run]) -> bool:
    return min(len(a), len(b)) >= intervals.SEVERAL


def _are_as_long(a: Sequence[Run], b: Sequence[Run]) -> bool:
    lengths: list[int] = [run.summary["frames"] for run in [*a, *b]]
    return max(lengths) <= _AS_LONG * min(lengths)


def _metric(metric: Metric, a: Sequence[Run], b: Sequence[Run]) -> _Make | Missing | None:
    sides = [[metric.samples(run) for run in side] for side in (a, b)]
    without = sum(len(frames) == 0 for side in sides for frames in side)
    if without:
        is_missing = metric.decides and any(map(metric.is_expected, [*a, *b]))
        return Missing(metric.name, _unknown(without)) if is_missing else None
    statistic = metric.statistic
    figures = [[statistic.of(frames) for frames in side] for side in sides]
    resolution = metric.resolution
    if metric.uses_offset:
        bounds = [run.summary["offset_bound"] or 0.0 for run in [*a, *b]]
        resolution = max(resolution, 2e3 * float(np.median(bounds)))
    tolerance = max(metric.tolerance * abs(float(np.mean(figures[0]))), resolution)
    fewest = min(len(frames) for side in sides for frames in side)
    about = (metric.name, metric.unit)

    def make(level: float) -> Row:
        interval: Interval | None
        if _are_several(a, b):
            interval = intervals.between_runs(figures[0], figures[1], level)
            is_carried = fewest >= metric.least_samples
        else:
            known = [[statistic.estimate(frames, level) for frames in side] for side in sides]
            whole = [[each for each in side if each is not None] for side in known]
            is_carried = whole == known and fewest >= metric.least_samples
            interval = intervals.within_runs(*whole) if is_carried else None
        row = _row(about, figures, interval, tolerance, metric.higher_is_better)
        row = replace(row, decides=metric.decides)
        return _single(row, a, b) if is_carried else _too_few(row, fewest)

    return make


def _unknown(runs: int) -> str:
    return f"unknown in {runs} {'run' if runs == 1 else 'runs'}"


def _value(value: Value, a: Sequence[Run], b: Sequence[Run]) -> _Make | None:
    sides = [[value.value(run) for run in side] for side in (a, b)]
    figures = [[figure for figure in side if figure is not None] for side in sides]
    if [len(side) for side in figures] != [len(a), len(b)] or not _are_several(a, b):
        return None
    tolerance = max(value.tolerance * abs(float(np.mean(figures[0]))), value.resolution)

    def make(level: float) -> Row:
        interval = intervals.between_runs(figures[0], figures[1], level)
        row = _row((value.name, value.unit), figures, interval, tolerance, higher_is_better=False)
        row = replace(row, decides=False)
        if value.has_start and not _are_as_long(a, b):
            note = "starting up is in it, and the runs are not as long"
            return replace(row, verdict=Verdict.NOT_ENOUGH_DATA, note=note)
        return row

    return make


def _count(count: Count, a: Sequence[Run], b: Sequence[Run]) -> _Make | Missing | None:
    sides = [[count.counted(run) for run in side] for side in (a, b)]
    # A run whose sequence numbers turn out to be none can't tell; the others can.
    known = [[counted for counted in side if counted is not None] for side in sides]
    unknown = len(a) + len(b) - len(known[0]) - len(known[1])
    if not known[0] or not known[1]:
        is_missing = any(map(count.is_expected, [*a, *b]))
        return Missing(count.name, _unknown(unknown)) if is_missing else None
    if not any(counted.count for side in known for counted in side):
        return None
    shares = [[each.count / max(1, each.frames) * 100 for each in side] for side in known]

    def make(level: float) -> Row:
        interval = intervals.of_counts(known[0], known[1], level)
        percent = Interval(interval.low * 100, interval.high * 100)
        row = _row(
            (count.name, "%"), shares, percent, count.tolerance * 100, higher_is_better=False
        )
        return replace(row, note=_unknown(unknown)) if unknown else row

    return make


def _row(
    name: tuple[str, str],
    figures: list[list[float]],
    interval: Interval | None,
    tolerance: float,
    higher_is_better: bool,
) -> Row:
    a, b = (float(np.mean(side)) for side in figures)
    if interval is None:
        verdict = Verdict.NOT_ENOUGH_DATA
    elif interval.excludes_zero and abs(b - a) > tolerance:
        verdict = Verdict.BETTER if (b > a) == higher_is_better else Verdict.WORSE
    elif interval.is_within(2 * tolerance):
        verdict = Verdict.SAME
    else:
        verdict = Verdict.NOT_ENOUGH_DATA
    return Row(*name, a, b, interval, tolerance, verdict)


def _too_few(row: Row, fewest: int) -> Row:
    note = f"{fewest} frames do not carry it"
    return replace(row, verdict=Verdict.NOT_ENOUGH_DATA, note=note)


def _single(row: Row, a: Sequence[Run], b: Sequence[Run]) -> Row:
    """Ask more of a difference whose runs don't show how much runs differ."""
    differs = row.verdict in {Verdict.BETTER, Verdict.WORSE}
    if _are_several(a, b) or not differs:
        return row
    if abs(row.b - row.a) > _SINGLE_RUN_CAUTION * row.tolerance:
        return row
    note = f"{intervals.SEVERAL} runs a side would tell whether runs differ by as much anyway"
    return replace(row, verdict=Verdict.NOT_ENOUGH_DATA, note=note)
