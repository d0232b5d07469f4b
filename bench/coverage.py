"""Whether the intervals of v4l-dmabuf-compare hold what they claim to.

Frames, runs and losses are drawn; no difference is put between the sides, so that an interval
that excludes zero misses the truth. Leaves coverage.json and coverage.md beside it.
Argument: how many repetitions, of whole comparisons a quarter; twelve minutes by default.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v4l_dmabuf.compare import Run, compare
from v4l_dmabuf.compare.intervals import Counted, Interval, between_runs, of_counts, within_runs
from v4l_dmabuf.compare.runs import Floats
from v4l_dmabuf.compare.within import Quantile, Rate, Statistic

REPETITIONS = 2000
_SHARE_OF_WHOLE = 4
"""Whole comparisons take far longer than intervals, and are repeated so many times less."""
LEVEL = 0.98
MOST_MISSES = 0.03
FRAMES = 2000
FEW, MANY = 300, 20_000
_FPS = 50
_SEED = 1947
_LOST = 0.002
_ALONE = 1
"""A run a side."""
SIDES = (_ALONE, 3, 5)

Draw = Callable[[np.random.Generator, int], Floats]
"""Draws what so many frames have."""


def _noise(generator: np.random.Generator, frames: int, kept: float) -> Floats:
    """Draw numbers around 0, each of which keeps a share of the one before."""
    fresh = generator.normal(size=frames)
    if kept:
        # Of fresh numbers that are as old as 400 frames nothing is left.
        tail = kept ** np.arange(400) * np.sqrt(1 - kept**2)
        early = generator.normal(size=399)
        fresh = np.convolve(np.concatenate([early, fresh]), tail, mode="valid")
    return fresh


def latencies(generator: np.random.Generator, frames: int, kept: float) -> Floats:
    """Draw seconds that are never negative, and sometimes long."""
    return 0.005 * np.exp(0.2 * _noise(generator, frames, kept))


def paced_by_frames(generator: np.random.Generator, frames: int, kept: float) -> Floats:
    """Draw seconds from frame to frame of a source that begins each when the last is done."""
    return (1 + 0.1 * _noise(generator, frames, kept)) / _FPS


def paced_by_a_clock(generator: np.random.Generator, frames: int, kept: float) -> Floats:
    """Draw those of a camera that keeps to its clock, and whose frames come more or less late."""
    return np.diff(np.arange(frames + 1) / _FPS + 0.001 * _noise(generator, frames + 1, kept))


PROCESSES = {"independent": 0.0, "AR(1), 0.9": 0.9}
FOR_LONG = {"AR(1), 0.98": 0.98}
FIGURES: dict[str, tuple[Statistic, Callable[[np.random.Generator, int, float], Floats]]] = {
    "median": (Quantile(0.5), latencies),
    "99 %": (Quantile(0.99), latencies),
    "rate": (Rate(), paced_by_frames),
    "rate of a camera with a clock": (Rate(), paced_by_a_clock),
}


@dataclass
class Cell:
    """How often something was repeated, and what came of it."""

    what: str
    how: str
    frames: int
    runs_a_side: int
    repetitions: int = 0
    misses: int = 0
    not_enough: int = 0
    """Repetitions that were told that the frames don't carry it."""

    def take(self, interval: Interval | None) -> None:
        """Count a repetition."""
        self.repetitions += 1
        self.not_enough += interval is None
        self.misses += interval is not None and interval.excludes_zero

    @property
    def holds(self) -> bool:
        """Whether no more were missed than may be."""
        return self.misses <= MOST_MISSES * self.repetitions


def of_frames(
    generator: np.random.Generator, repetitions: int, frames: int, runs: int
) -> Iterator[Cell]:
    """Repeat the intervals of what frames have."""
    for what, (statistic, draw) in FIGURES.items():
        for how, kept in (PROCESSES | FOR_LONG).items():
            cell = Cell(what, how, frames, runs)
            for _ in range(repetitions):
                sides = [[draw(generator, frames, kept) for _ in range(runs)] for _ in range(2)]
                cell.take(_interval(statistic, sides))
            yield cell


def _interval(statistic: Statistic, sides: list[list[Floats]]) -> Interval | None:
    if len(sides[0]) > _ALONE:
        # What differs from run to run comes on top.
        a, b = ([statistic.of(run) for run in side] for side in sides)
        return between_runs(a, b, LEVEL)
    (one,), (other,) = ([statistic.estimate(run, LEVEL) for run in side] for side in sides)
    return None if one is None or other is None else within_runs([one], [other])


def _burst_sizes(generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Draw how many frames are lost in a row, so that their sums are dispersed by 3."""
    return generator.geometric(0.5, size=count)


def losses(generator: np.random.Generator, how: str, share: float) -> list[int]:
    """Draw how many frames are lost in each second of a run."""
    seconds = FRAMES // _FPS
    lost = np.zeros(seconds, dtype=np.int64)
    if how == "bursts of dispersion 3":
        many = generator.poisson(share * FRAMES / 2)
        places = generator.integers(seconds, size=many)
        np.add.at(lost, places, _burst_sizes(generator, many))
    else:
        lost += generator.poisson(share * _FPS, size=seconds)
    return [int(count) for count in lost]


LOSSES = ("Poisson", "bursts of dispersion 3")
NO_LOSSES = "none"


def _counted(lost: list[int], *, by_seconds: bool) -> Counted:
    parts = [(count, _FPS) for count in lost] if by_seconds else []
    return Counted(sum(lost), FRAMES, parts)


def of_losses(generator: np.random.Generator, repetitions: int, runs: int) -> Iterator[Cell]:
    """Repeat the intervals of counts."""
    for share in (0.01, 0.002):
        for how in LOSSES:
            for by_seconds in (True, False):
                # A run alone that tells nothing of its seconds shows no bursts.
                if runs == _ALONE and not by_seconds:
                    continue
                told = "told by the second" if by_seconds else "told by the run"
                cell = Cell(f"{_share(share)} lost, {told}", how, FRAMES, runs)
                for _ in range(repetitions):
                    a, b = (
                        [
                            _counted(losses(generator, how, share), by_seconds=by_seconds)
                            for _ in range(runs)
                        ]
                        for _ in range(2)
                    )
                    cell.take(of_counts(a, b, LEVEL))
                yield cell


@dataclass
class Selves:
    """Comparisons of a system with itself."""

    how: str
    losses: str
    frames: int
    runs_a_side: int
    repetitions: int = 0
    misses: int = 0
    """Those in which any interval misses."""
    verdicts: dict[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether no more were missed than may be."""
        return self.misses <= MOST_MISSES * self.repetitions


def _run(generator: np.random.Generator, kept: float, how: str, *, alone: bool) -> Run:
    """Draw a run's result."""
    times = paced_by_a_clock(generator, FRAMES, kept)[: FRAMES - 1]
    # How much runs of one system differ is not seen in single ones.
    luck = 1.0 if alone else 1 + 0.03 * generator.normal()
    lost = losses(generator, how, 0.0 if how == NO_LOSSES else _LOST)
    stages = ("capture_age", "before_socket", "into_socket", "into_buffer", "into_dump")
    unknown: list[float | None] = [None] * FRAMES
    columns: dict[str, list[float | None]] = dict.fromkeys(
        (*stages, "end_to_end", "acknowledged"), unknown
    )
    columns["at"] = [0.0, *np.cumsum(np.maximum(times, 0.0)).tolist()]
    columns["transfer"] = (luck * latencies(generator, FRAMES, kept)).tolist()
    seconds = len(lost)
    document = {
        "format": "v4l-dmabuf-result",
        "format_version": 1,
        "role": "sender",
        "outcome": "complete",
        "error": None,
        "began": "drawn",
        "frames_wanted": FRAMES,
        "cpu_seconds": FRAMES * 0.002 * (1 + 0.02 * generator.normal()),
        "tool": {},
        "settings": {},
        "labels": {},
        "environment": {},
        "stream": None,
        "network": None,
        "summary": {
            "frames": FRAMES,
            "captured": FRAMES,
            "error_frames": 0,
            "protocol": 3,
            "drops": sum(lost),
            "driver_drops": sum(lost),
            "sender_drops": 0,
            "lost": 0,
            "spoiled": None,
            "unwritten": None,
            "verified_frames": None,
            "offset_bound": 0.0002,
            "round_trip": 0.001 * (1 + 0.05 * generator.normal()),
        },
        "samples": {"stride": 1, "counter": list(range(FRAMES)), **columns},
        "series": {
            "seconds": 1.0,
            "frames": [_FPS] * seconds,
            "drops": lost,
            "sender_drops": [0] * seconds,
            "error_frames": [0] * seconds,
        },
    }
    return Run(Path("drawn"), document)


def selves(generator: np.random.Generator, repetitions: int, runs: int) -> Iterator[Selves]:
    """Compare systems with themselves, as the command does."""
    for how, kept in PROCESSES.items():
        for lost in (NO_LOSSES, *LOSSES):
            found = Selves(how, lost, FRAMES, runs)
            for _ in range(repetitions):
                a, b = (
                    [_run(generator, kept, lost, alone=runs == _ALONE) for _ in range(runs)]
                    for _ in range(2)
                )
                comparison = compare(a, b)
                found.repetitions += 1
                found.misses += any(
                    row.interval is not None and row.interval.excludes_zero
                    for row in comparison.rows
                )
                verdict = comparison.verdict.value
                found.verdicts[verdict] = found.verdicts.get(verdict, 0) + 1
            yield found


def _share(part: float, whole: int = 1) -> str:
    return f"{100 * part / whole:.1f} %"


def _error(repetitions: int) -> str:
    """Give the standard error of a share that is as large as is claimed."""
    return _share(float(np.sqrt(LEVEL * (1 - LEVEL) / repetitions)))


def markdown(cells: list[Cell], own: list[Selves]) -> str:
    """Make tables of it."""
    lines = [
        "# Whether intervals of v4l-dmabuf-compare hold what they claim",
        "",
        f"Both sides are drawn from the same distribution, {cells[0].repetitions} times each: an "
        f"interval at {LEVEL:.0%} that excludes zero misses, as {_share(1 - LEVEL)} should. "
        f"So many repetitions tell that to {_error(cells[0].repetitions)} (standard error); above "
        f"{_share(MOST_MISSES)} the simulation fails. Latencies are log-normal; where frames take "
        "after each other, AR(1), each keeps 0.9 or 0.98 of the one before. *Not enough* is where "
        "compare says that the frames don't carry it.",
        "",
        "| figure | frames are, or losses | frames a run | runs a side | missed | not enough |",
        "|---|---|---|---|---|---|",
        *(
            f"| {cell.what} | {cell.how} | {cell.frames} | {cell.runs_a_side} "
            f"| {_share(cell.misses, cell.repetitions)} "
            f"| {_share(cell.not_enough, cell.repetitions)} |"
            for cell in cells
        ),
        "",
        f"A system compared with itself, as the command does it, {own[0].repetitions} times each: "
        f"how often any interval misses (standard error at {_share(1 - LEVEL)}: "
        f"{_error(own[0].repetitions)}), and what was concluded. Where frames are lost, "
        f"{_share(_LOST)} are.",
        "",
        "| frames are | losses | runs a side | missed | verdicts |",
        "|---|---|---|---|---|",
    ]
    for each in own:
        verdicts = ", ".join(
            f"{verdict} {_share(count, each.repetitions)}"
            for verdict, count in sorted(each.verdicts.items(), key=lambda it: -it[1])
        )
        lines.append(
            f"| {each.how} | {each.losses} | {each.runs_a_side} "
            f"| {_share(each.misses, each.repetitions)} | {verdicts} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Repeat all; the result is 0 if every interval holds."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS
    generator = np.random.default_rng(_SEED)
    cells: list[Cell] = []
    own: list[Selves] = []
    for runs in SIDES:
        cells += of_frames(generator, repetitions, FRAMES, runs)
        cells += of_losses(generator, repetitions, runs)
        print(f"{runs} runs a side: intervals done", flush=True)
    for frames in (FEW, MANY):
        cells += of_frames(generator, repetitions, frames, _ALONE)
    for runs in SIDES:
        own += selves(generator, max(1, repetitions // _SHARE_OF_WHOLE), runs)
        print(f"{runs} runs a side: comparisons done", flush=True)
    results: dict[str, Any] = {
        "format": 1,
        "seed": _SEED,
        "level": LEVEL,
        "most_misses": MOST_MISSES,
        "intervals": [asdict(cell) for cell in cells],
        "selves": [asdict(each) for each in own],
    }
    here = Path(__file__).parent
    (here / "coverage.json").write_text(json.dumps(results, indent=1) + "\n")
    (here / "coverage.md").write_text(markdown(cells, own))
    print(markdown(cells, own))
    return 0 if all(cell.holds for cell in cells) and all(each.holds for each in own) else 1


if __name__ == "__main__":
    sys.exit(main())
