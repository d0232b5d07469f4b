"""What a single run's figure is, and how far it may be off by chance.

Frames of a run are not independent: what makes one late makes the next late too. How much a mean
of them is uncertain is told by the slowest waves that they are made of (Lazarus, Lewis, Stock and
Watson 2018, equal-weighted cosines), and a percentile by the share of frames below it, which
is a mean (Woodruff 1952).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from v4l_dmabuf.compare.runs import Floats
from v4l_dmabuf.compare.student import student

_WAVES = (20, 14, 10, 7, 5)
"""The slowest so many: few last longer than what frames have in common, many vary less. As many as
the frames carry."""
_CARRY = 3.0
"""Independent frames that each wave takes, or what they are worth."""
_FEWEST = 60
"""Frames; with fewer a percentile's neighbours are far between."""


@dataclass(frozen=True)
class Estimate:
    """A run's figure, and its limits by chance."""

    value: float
    low: float
    high: float


class Statistic(Protocol):
    """What values of frames come to."""

    def of(self, values: Floats) -> float:
        """Give the figure."""
        ...

    def estimate(self, values: Floats, level: float) -> Estimate | None:
        """Give it with limits that hold the true one with the chance ``level``.

        None where the frames don't carry that.
        """


def _made_waves(count: int) -> Floats:
    places = np.pi * (np.arange(count) + 0.5) / count
    return np.asarray(np.cos(np.outer(np.arange(1, max(_WAVES) + 1), places)))


_waves = lru_cache(maxsize=4)(_made_waves)


def _deviation(values: Floats, variance: float) -> tuple[float, int] | None:
    """Give the standard deviation of the mean of values that take after each other.

    And the degrees of freedom that it is told by. ``variance`` is that of a single one. None if
    they take after each other for too long.
    """
    count = len(values)
    if count < _FEWEST:
        return None
    powers = (_waves(count) @ values) ** 2 * 2 / count
    for waves in _WAVES:
        power = float(np.mean(powers[:waves]))
        if power * _CARRY * waves <= count * variance:
            return float(np.sqrt(power / count)), waves
    return None


@dataclass(frozen=True)
class Quantile:
    """The value that a share of the frames lies below."""

    share: float

    def of(self, values: Floats) -> float:
        """Give the figure."""
        return float(np.quantile(values, self.share))

    def estimate(self, values: Floats, level: float) -> Estimate | None:
        """Give it with its limits: those between which its share of the frames may lie."""
        value = self.of(values)
        below = (values < value) + 0.5 * (values == value)
        known = _deviation(below, self.share * (1 - self.share))
        if known is None:
            return None
        deviation, freedom = known
        reach = student(level, freedom) * deviation
        least = 1 / len(values)
        if self.share - reach < least or self.share + reach > 1 - least:
            return None
        low = np.quantile(values, self.share - reach, method="lower")
        high = np.quantile(values, self.share + reach, method="higher")
        return Estimate(value, float(low), float(high))


@dataclass(frozen=True)
class Rate:
    """How many frames a second, of the seconds from one to the next."""

    def of(self, values: Floats) -> float:
        """Give the figure."""
        return float(1 / np.mean(values))

    def estimate(self, values: Floats, level: float) -> Estimate | None:
        """Give it with its limits."""
        mean = float(np.mean(values))
        known = _deviation(values - mean, float(np.var(values)))
        if known is None:
            return None
        deviation, freedom = known
        # A source that keeps to its clock has hardly any slow waves: then what counts is by how
        # much the first and the last frame are off.
        places = np.arange(len(values))
        at = np.cumsum(values - mean)
        off = float(np.var(at - np.polyval(np.polyfit(places, at, 1), places)))
        deviation = float(np.hypot(deviation, np.sqrt(2 * off) / len(values)))
        reach = student(level, freedom) * deviation
        if reach >= mean:
            return None
        return Estimate(1 / mean, 1 / (mean + reach), 1 / (mean - reach))
