"""Confidence intervals of differences.

Frames of a run are not independent: what makes one late makes the next late too. So a run's
figure is as uncertain as resampling its frames in blocks shows (Künsch 1989, the moving-block
bootstrap). And runs of the same system differ by more than that, so where there are several a
side, their spread alone counts (Welch 1947).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from v4l_dmabuf.compare.runs import Floats

_RESAMPLES = 1000
_DRAWS = 400_000
_SEED = 20
SEVERAL = 3
"""Runs a side whose spread tells something."""


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


def _generator() -> np.random.Generator:
    # The same runs compare the same way each time.
    return np.random.default_rng(_SEED)


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
    freedom = variance**2 / sum(
        part**2 / (len(side) - 1) for part, side in zip(parts, (first, second), strict=True)
    )
    # Student's distribution by drawing from it: numpy has no table of it.
    draws = np.abs(_generator().standard_t(float(freedom), _DRAWS))
    reach = float(np.quantile(draws, level)) * variance**0.5
    return Interval(difference - reach, difference + reach)


def within_runs(
    a: Sequence[Floats], b: Sequence[Floats], statistic: Callable[..., Floats], level: float
) -> Interval:
    """Reckon with the spread within runs: the moving-block bootstrap."""
    generator = _generator()
    sides = [
        np.mean([_resampled(run, statistic, generator) for run in side], axis=0) for side in (a, b)
    ]
    differences = sides[1] - sides[0]
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _resampled(
    frames: Floats, statistic: Callable[..., Floats], generator: np.random.Generator
) -> Floats:
    """Give the statistic of as many series as there are resamples, put together from blocks."""
    # Some twenty blocks: long ones keep what lasts, and twenty still vary.
    block = max(1, len(frames) // 20)
    count = -(-len(frames) // block)
    figures = []
    # A part at a time: a long run's resamples are many.
    for _ in range(0, _RESAMPLES, 100):
        starts = generator.integers(0, len(frames) - block + 1, size=(100, count, 1))
        places = (starts + np.arange(block)).reshape(100, -1)[:, : len(frames)]
        figures.append(statistic(frames[places], axis=-1))
    return np.concatenate(figures)


def of_counts(
    a: Sequence[tuple[int, int]], b: Sequence[tuple[int, int]], level: float
) -> Interval:
    """Reckon with counts: how many of how many frames, a pair a run.

    Counts spread at least as Poisson's; where runs show that they spread more, as losses in
    bursts do, by so much more (quasi-Poisson; one dispersion of both sides, since that of a few
    runs is chance).
    """
    rates, variances = [], []
    spread, freedom = 0.0, 0
    for side in (a, b):
        events, frames = sum(count for count, _ in side), max(1, sum(of for _, of in side))
        rates.append(events / frames)
        # One event more than there were: that none came in so many frames is not that
        # none can come.
        variances.append((events + 1) / frames**2)
        if len(side) > 1 and events:
            expected = [(count, events * of / frames) for count, of in side]
            spread += sum((count - mean) ** 2 / mean for count, mean in expected if mean > 0)
            freedom += len(side) - 1
    variance = sum(variances) * max(1.0, spread / max(1, freedom))
    draws = np.abs(_generator().standard_normal(_DRAWS))
    reach = float(np.quantile(draws, level)) * variance**0.5
    difference = rates[1] - rates[0]
    return Interval(difference - reach, difference + reach)
