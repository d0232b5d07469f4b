"""What compare's intervals claim, and what they don't."""

from collections.abc import Iterable

import numpy as np
import pytest

from comparing import noise
from v4l_dmabuf.compare.intervals import Counted, between_runs, of_counts, within_runs
from v4l_dmabuf.compare.student import student
from v4l_dmabuf.compare.within import Quantile, Rate


@pytest.mark.parametrize("statistic", [Quantile(0.5), Rate()])
def test_limits_within_a_run_heed_that_frames_take_after_each_other(
    statistic: Quantile | Rate,
) -> None:
    """The true difference of two equal sides is 0; intervals of 98 % miss it 2 times of 100."""
    generator = np.random.default_rng(7)
    missed = 0
    for _ in range(100):
        estimates = [statistic.estimate(5 + noise(generator, 1000), 0.98) for _ in range(2)]
        assert all(estimates), "a thousand frames carry it"
        a, b = ([each] for each in estimates if each is not None)
        missed += within_runs(a, b).excludes_zero
    assert missed <= 7, "as if frames were independent, more than half miss"


@pytest.mark.parametrize("level", [0.98, 0.9985])
def test_a_far_percentile_has_limits_only_where_the_frames_carry_them(level: float) -> None:
    far = Quantile(0.99)
    generator = np.random.default_rng(7)
    assert far.estimate(generator.normal(size=500), level) is None
    known = far.estimate(generator.normal(size=20_000), level)
    assert known is not None
    assert known.low < 2.326 < known.high
    alike = noise(generator, 1000)
    assert far.estimate(alike, level) is None


def test_frames_that_take_after_each_other_for_too_long_carry_nothing() -> None:
    generator = np.random.default_rng(7)
    carried = 0
    for _ in range(50):
        wandering = 5 + 0.01 * np.cumsum(generator.normal(size=2000))
        carried += Quantile(0.5).estimate(wandering, 0.98) is not None
        carried += Rate().estimate(wandering, 0.98) is not None
    assert carried <= 10, "of a hundred"


@pytest.mark.parametrize(
    ("freedom", "level", "value"),
    # From any table.
    [(1, 0.95, 12.706), (2, 0.98, 6.965), (4, 0.99, 4.604), (30, 0.999, 3.646), (1e9, 0.95, 1.96)],
)
def test_student_s_values_are_those_of_tables(freedom: float, level: float, value: float) -> None:
    assert student(level, freedom) == pytest.approx(value, rel=2e-4)


def test_intervals_between_runs_are_student_s() -> None:
    interval = between_runs([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], 0.95)
    # Student's t for 4 degrees of freedom, from any table: 2.776
    assert interval.high - 1.0 == pytest.approx(2.776 * (2 / 3) ** 0.5, rel=0.02)
    assert not between_runs([1.0] * 3, [1.0] * 3, 0.95).excludes_zero
    assert between_runs([1.0] * 3, [2.0] * 3, 0.95).excludes_zero


def test_counts_that_come_in_bursts_are_less_certain() -> None:
    even = [Counted(6, 1000)] * 5
    bursts = [Counted(30, 1000), *[Counted(0, 1000)] * 4]
    none = [Counted(0, 1000)] * 5
    assert of_counts(none, even, 0.99).excludes_zero
    assert not of_counts(none, bursts, 0.99).excludes_zero


def in_seconds(counts: Iterable[int]) -> Counted:
    parts = [(int(count), 50) for count in counts]
    return Counted(sum(count for count, _ in parts), 50 * len(parts), parts)


def test_one_loss_of_a_hundred_is_seen_in_runs_of_a_thousand() -> None:
    """However the losses fall, and beside runs that lose hardly any."""
    generator = np.random.default_rng(3)
    seen = 0
    for _ in range(50):
        plain = [in_seconds(generator.poisson(0.05, 20)) for _ in range(5)]
        losing = [in_seconds(generator.poisson(0.5, 20)) for _ in range(5)]
        seen += of_counts(plain, losing, 0.9985).low > 0
    assert seen >= 47


@pytest.mark.parametrize("by_seconds", [True, False])
def test_losses_in_bursts_are_no_difference(by_seconds: bool) -> None:
    """Three runs a side, whose losses come three at a time; intervals of 98 % miss 2 of 100."""
    generator = np.random.default_rng(3)
    missed = 0
    for _ in range(400):
        sides = [[in_seconds(3 * generator.poisson(0.2, 40)) for _ in range(3)] for _ in range(2)]
        if not by_seconds:
            sides = [[Counted(run.count, run.frames) for run in side] for side in sides]
        missed += of_counts(sides[0], sides[1], 0.98).excludes_zero
    assert missed <= 16


def test_runs_that_lose_by_turns_are_not_taken_for_a_difference() -> None:
    """Each second of a run is as bad as the next, and the runs are not alike."""
    a = [in_seconds([0] * 20), in_seconds([0] * 20), in_seconds([0] * 20)]
    b = [in_seconds([3, 2] * 10), in_seconds([0] * 20), in_seconds([0] * 20)]
    assert not of_counts(a, b, 0.98).excludes_zero
