"""What is compared: each figure of a run, and which way is better."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from v4l_dmabuf.compare.intervals import Counted
from v4l_dmabuf.compare.runs import Floats, Run
from v4l_dmabuf.compare.within import Quantile, Rate, Statistic

_BEYOND = 5
"""A percentile that fewer samples lie beyond is chance."""


def _has_frame_times(run: Run) -> bool:
    return run.has_frame_times


@dataclass(frozen=True)
class Metric:
    """A figure that each run has one of, made from its frames."""

    name: str
    unit: str
    higher_is_better: bool
    samples: Callable[[Run], Floats]
    """A run's frames' values; empty where the run doesn't have them."""
    statistic: Statistic
    """What they come to."""
    tolerance: float
    """A difference below this share of the first side's value is none that matters."""
    resolution: float = 0.0
    """Nor is one below this."""
    least_samples: int = 20
    decides: bool = False
    """Whether two sides are the same only if they are by this."""
    is_expected: Callable[[Run], bool] = _has_frame_times
    """Whether a run should have it, so that it may not be missing if it decides."""
    uses_offset: bool = False
    """Whether it is as uncertain as the clocks' offset."""


def _stage(stage: str) -> Callable[[Run], Floats]:
    return lambda run: run.samples(stage) * 1e3


def _jitter(run: Run) -> Floats:
    return np.abs(np.diff(run.intervals())) * 1e3


def _latency(stage: str, name: str, *, uses_offset: bool) -> list[Metric]:
    of = _stage(stage)
    return [
        Metric(
            f"{name}, {label}",
            "ms",
            higher_is_better=False,
            samples=of,
            statistic=Quantile(share),
            tolerance=tolerance,
            resolution=0.05,
            least_samples=round(_BEYOND / (1 - share)),
            uses_offset=uses_offset,
            decides=stage == "transfer" and share == 0.5,
        )
        for label, share, tolerance in (("median", 0.5, 0.1), ("99 %", 0.99, 0.25))
    ]


METRICS = [
    Metric(
        "frame rate",
        "fps",
        higher_is_better=True,
        samples=Run.mean_intervals,
        statistic=Rate(),
        tolerance=0.02,
        decides=True,
        is_expected=lambda _run: True,
    ),
    *_latency("transfer", "socket to buffer", uses_offset=True),
    *_latency("end_to_end", "capture to buffer", uses_offset=True),
    *_latency("acknowledged", "until acknowledged", uses_offset=False),
    *_latency("capture_age", "capture to dequeue", uses_offset=False),
    Metric(
        "jitter of the frame interval, median",
        "ms",
        higher_is_better=False,
        samples=_jitter,
        statistic=Quantile(0.5),
        tolerance=0.25,
        resolution=0.2,
    ),
]
"""Figures of frames."""


def _cpu(run: Run) -> float | None:
    frames = run.summary["frames"]
    return run.document["cpu_seconds"] / frames * 1e3 if frames else None


def _round_trip(run: Run) -> float | None:
    value = run.summary["round_trip"]
    return None if value is None else float(value) * 1e3


@dataclass(frozen=True)
class Value:
    """A figure that a run has one of, and no frame has a part of."""

    name: str
    unit: str
    value: Callable[[Run], float | None]
    tolerance: float
    resolution: float
    has_start: bool = False
    """Whether starting up is in it, so that only runs of as many frames can be compared by it."""


VALUES = [
    Value("round trip of the fastest clock reading", "ms", _round_trip, 0.25, 0.2),
    Value("CPU of the process a frame", "ms", _cpu, 0.1, 0.02, has_start=True),
]
"""Figures of whole runs; less is better."""


def _captured(run: Run) -> int:
    summary = run.summary
    seen = summary["captured"]
    if seen is None:
        seen = summary["frames"]
    drops = summary["driver_drops"] if summary["captured"] is not None else summary["drops"]
    return int(seen + (drops or 0))


def _seconds(run: Run, name: str) -> list[tuple[int, int]]:
    """Give a count of each part of a run, and the frames that there were."""
    series = run.document["series"]
    columns = (series["frames"], series["drops"], series["sender_drops"])
    return list(zip(series[name], map(sum, zip(*columns, strict=True)), strict=True))


@dataclass(frozen=True)
class Count:
    """A number of frames that something happened to, of all that it could have happened to."""

    name: str
    of: Callable[[Run], int | None]
    """How many of a run; None if it can't tell."""
    tolerance: float
    """A difference below this share of the frames is none that matters."""
    series: str | None = None
    """What has it second by second."""
    is_expected: Callable[[Run], bool] = _has_frame_times
    """Whether a run should be able to tell."""

    def counted(self, run: Run) -> Counted | None:
        """Give it of a run; None if it can't tell."""
        count = self.of(run)
        if count is None:
            return None
        parts = () if self.series is None else _seconds(run, self.series)
        return Counted(int(count), _captured(run), parts)


def _lost_by_the_driver(run: Run) -> int | None:
    summary = run.summary
    count = summary["driver_drops"] if summary["captured"] is not None else summary["drops"]
    return None if count is None else int(count)


def _of_summary(name: str) -> Callable[[Run], int | None]:
    return lambda run: run.summary[name]


def _incomplete(run: Run) -> int | None:
    # Results of 0.1.0 don't have it.
    return run.summary.get("incomplete_frames")


def _is_verified(run: Run) -> bool:
    return run.has_frame_times and run.summary["verified_frames"] is not None


def _is_verified_sender(run: Run) -> bool:
    return _is_verified(run) and bool(run.document["role"] == "sender")


COUNTS = [
    Count("frames dropped before the sender had them", _lost_by_the_driver, 0.002, "drops"),
    Count("frames dropped by the sender", _of_summary("sender_drops"), 0.002, "sender_drops"),
    Count("frames lost in transit", _of_summary("lost"), 0.0),
    Count("frames spoiled", _of_summary("spoiled"), 0.0, is_expected=_is_verified),
    Count(
        "frames not written by the driver",
        _of_summary("unwritten"),
        0.0,
        is_expected=_is_verified_sender,
    ),
    Count(
        "incomplete frames",
        _incomplete,
        0.0,
        is_expected=lambda run: _incomplete(run) is not None,
    ),
    Count("frames flagged in error", _of_summary("error_frames"), 0.002, "error_frames"),
]
"""What happened to frames; less is better."""
