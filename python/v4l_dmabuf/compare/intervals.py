"""Confidence intervals of differences.

Runs of the same system differ by more than their frames show, so where there are several a
side, their spread alone counts (Welch 1947). With fewer, each run's figure has limits of its own
(within.py), and those of a difference are put together from them (Zou and Donner 2008).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from v4l_dmabuf.compare.student import student
from v4l_dmabuf.compare.within import Estimate

SEVERAL = 3
"""Runs a side whose spread tells something."""
_APART = 4.0
"""Runs that differ by so many times what their parts show are runs of different luck."""


@dataclass(frozen=True)
class Interval:
    """The difference of two sides, second less first, and how well it is known."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether there is a difference."""
        return self.low > 0 or self.high < 0

    def is_within(self, most: float) -> bool:
        """Tell whether it is known to be no larger."""
        return -most <= self.low and self.high <= most


def between_runs(a: Sequence[float], b: Sequence[float], level: float) -> Interval:
    """Reckon with the spread of the runs of each side: Welch's interval.

    ``level`` is the chance that the true difference lies within, for runs whose figures spread
    normally. Both sides have two values or more.
    """
    first, second = np.array(a), np.array(b)
    parts = [np.var(side, ddof=1) / len(side) for side in (first, second)]
    variance = float(sum(parts))
    difference = float(np.mean(second) - np.mean(first))
    if variance == 0.0:
        return Interval(difference, difference)
    # As shares: squares of small variances vanish.
    freedom = 1 / sum(
        (float(part) / variance) ** 2 / (len(side) - 1)
        for part, side in zip(parts, (first, second), strict=True)
    )
    reach = student(level, freedom) * variance**0.5
    return Interval(difference - reach, difference + reach)


def within_runs(a: Sequence[Estimate], b: Sequence[Estimate]) -> Interval:
    """Reckon with the limits of each run's figure."""
    (value_a, below_a, above_a), (value_b, below_b, above_b) = _mean(a), _mean(b)
    difference = value_b - value_a
    return Interval(
        difference - float(np.hypot(below_b, above_a)),
        difference + float(np.hypot(above_b, below_a)),
    )


def _mean(side: Sequence[Estimate]) -> tuple[float, float, float]:
    """Give the mean of runs' figures, and how far it may be below and above."""
    value = float(np.mean([each.value for each in side]))
    below = float(np.linalg.norm([each.value - each.low for each in side])) / len(side)
    above = float(np.linalg.norm([each.high - each.value for each in side])) / len(side)
    return value, below, above


@dataclass(frozen=True)
class Counted:
    """How many frames of a run something happened to."""

    count: int
    frames: int
    parts: Sequence[tuple[int, int]] = ()
    """The same of the run's parts, second by second, where that is known."""


def of_counts(a: Sequence[Counted], b: Sequence[Counted], level: float) -> Interval:
    """Reckon with counts: how many of how many frames.

    Counts spread at least as Poisson's; where they spread more, as losses in bursts do, by so
    much more: quasi-Poisson, one dispersion of both sides. The seconds of the runs tell how much
    (their bursts are mostly shorter), else the runs themselves, of which there are few; the
    fewer, the wider by Student's distribution.
    """
    sides = (a, b)
    rates, variances = [], []
    for side in sides:
        events, frames = sum(run.count for run in side), max(1, sum(run.frames for run in side))
        rates.append(events / frames)
        # One event more than there were: that none came in so many frames is not that
        # none can come.
        variances.append((events + 1) / frames**2)
    runs, of_runs = _dispersion([[(run.count, run.frames) for run in side] for side in sides])
    parts, of_parts = _dispersion([[part for run in side for part in run.parts] for side in sides])
    if of_parts:
        widening = student(level, of_parts) * max(1.0, parts, runs) ** 0.5
        if runs > _APART * max(1.0, parts):
            widening = max(widening, student(level, of_runs) * runs**0.5)
    else:
        widening = student(level, of_runs or np.inf) * max(1.0, runs) ** 0.5
    reach = widening * sum(variances) ** 0.5
    difference = rates[1] - rates[0]
    return Interval(difference - reach, difference + reach)


def _dispersion(sides: Sequence[Sequence[tuple[int, int]]]) -> tuple[float, int]:
    """Give by how much counts spread more than Poisson's do, and degrees of freedom of that."""
    spread, freedom = 0.0, 0
    for side in sides:
        counted = [(count, frames) for count, frames in side if frames > 0]
        events, frames = sum(count for count, _ in counted), sum(of for _, of in counted)
        # Where nothing happened, nothing shows how it spreads.
        if not events:
            continue
        expected = [(count, events * of / frames) for count, of in counted]
        spread += sum((count - mean) ** 2 / mean for count, mean in expected)
        freedom += len(counted) - 1
    return spread / max(1, freedom), freedom
