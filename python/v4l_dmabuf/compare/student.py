"""Student's distribution."""

from functools import lru_cache
from statistics import NormalDist

import numpy as np

_NORMAL_FROM = 10_000.0
_STEPS = 20_000


def _student(level: float, freedom: float) -> float:
    """Give the value that a share ``level`` of Student's t lies within, either way.

    ``freedom`` is 1 or more degrees; infinitely many are the normal distribution.
    """
    if freedom >= _NORMAL_FROM:
        return NormalDist().inv_cdf((1 + level) / 2)
    # With t = sqrt(freedom) tan(angle) the density is cos(angle) ** (freedom - 1).
    angles = np.linspace(0, np.pi / 2, _STEPS + 1)
    heights = np.cos(angles) ** (freedom - 1)
    below = np.concatenate([[0.0], np.cumsum(heights[1:] + heights[:-1])])
    angle = np.interp(level * below[-1], below, angles)
    return float(np.sqrt(freedom) * np.tan(angle))


student = lru_cache(_student)
"""The same; few values are asked for, and often."""
