"""What the benchmark's runs come to: medians, ratios, a table and a plot.

As a command, makes results.md and cpu.svg anew of a folder's results.json:

    python -m bench.result [FOLDER]
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

Run = dict[str, Any]

FLOOR = "capture alone"
ZERO_COPY = "v4l-dmabuf, zero-copy"
HUGE = "v4l-dmabuf, zero-copy, huge pages"
COPYING = "v4l-dmabuf, copying"
MIB = 1 << 20


@dataclass(frozen=True)
class Spread:
    """A median, and what lies around it."""

    median: float
    least: float
    most: float

    @staticmethod
    def of(values: Iterable[float]) -> Spread | None:
        """Of some values; None if there are none."""
        ordered = sorted(values)
        if not ordered:
            return None
        return Spread(statistics.median(ordered), ordered[0], ordered[-1])

    def show(self, digits: int = 1) -> str:
        """As text."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.most:.{digits}f})"


class Results:
    """A benchmark's runs, to be asked."""

    def __init__(self, results: dict[str, Any]) -> None:
        """Take what results.json holds."""
        self.environment = results["environment"]
        self.peers = [peer["name"] for peer in results["peers"]]
        self.runs: list[Run] = results["runs"]

    def loads(self) -> list[tuple[int, int, str, int]]:
        """Give the loads that were run: width, height, rate and its frames a second."""
        return sorted(
            {(run["width"], run["height"], run["rate"], run["fps"]) for run in self.runs}
        )

    def of(self, peer: str, width: int, rate: str) -> dict[int, Run]:
        """Give a case's runs that went well, by rotation."""
        return {
            run["rotation"]: run
            for run in self.runs
            if (run["peer"], run["width"], run["rate"]) == (peer, width, rate)
            and "failed" not in run
        }

    def spread(self, case: tuple[str, int, str], figure: str, scale: float = 1) -> Spread | None:
        """Give a figure's spread over the rotations."""
        values = (run[figure] for run in self.of(*case).values())
        return Spread.of(value * scale for value in values if value is not None)

    def ratio(
        self,
        over: tuple[str, int, str],
        under: tuple[str, int, str],
        figure: str,
    ) -> Spread | None:
        """Give the spread of a ratio of two cases, each of one rotation."""
        ratios = []
        below = self.of(*under)
        for rotation, run in self.of(*over).items():
            if rotation not in below:
                continue
            ratios.append(run[figure] / below[rotation][figure])
        return Spread.of(ratios)

    def above_floor(self, case: tuple[str, int, str]) -> Spread | None:
        """Give the sender's CPU a frame without what capturing alone takes."""
        floors = self.of(FLOOR, *case[1:])
        return Spread.of(
            run["sender_cpu_ms"] - floors[rotation]["sender_cpu_ms"]
            for rotation, run in self.of(*case).items()
            if rotation in floors
        )


def name(run: Run) -> str:
    """Say which case a run is of."""
    return f"{run['width']}x{run['height']} at {run['fps']}: {run['peer']}"


def line(run: Run) -> str:
    """Say in a line what a run came to."""
    receiver = run["receiver_cpu_ms"]
    return (
        f"{name(run)}: {run['frames_a_second']:.1f} fps, sender {run['sender_cpu_ms']:.2f} ms"
        + (f", receiver {receiver:.2f} ms of CPU a frame" if receiver else " of CPU a frame")
    )


def write(results: dict[str, Any], folder: Path) -> None:
    """Leave results.json, results.md and cpu.svg in ``folder``."""
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    asked = Results(results)
    (folder / "results.md").write_text(markdown(asked))
    plot(asked, folder / "cpu.svg")


def markdown(results: Results) -> str:
    """Make the tables."""
    environment = results.environment
    rotations = 1 + max((run["rotation"] for run in results.runs), default=0)
    lines = [
        "# Results",
        "",
        f"Of {environment['date'][:10]}, revision {environment['commit']}. Two guests "
        f"({environment['guests']['kernel']}, {environment['guests']['cpus']} CPU each) on "
        f"{environment['guests']['link']}; host: {environment['host']['cpus']} CPUs "
        f"({environment['host']['cpu']}). Medians of {rotations} rotations, "
        "with the least and the most.",
        "",
        "CPU is the whole guest's, by the time that it was not idle, for each frame that arrived. "
        "*Above capture* is that without what capturing alone takes. *Lost* is what of the frames "
        "that capturing alone gets did not arrive.",
        "",
        "Versions: " + "; ".join(environment["versions"].values()) + ".",
    ]
    for width, height, rate, fps in results.loads():
        lines += [
            "",
            f"## {width}x{height} YUYV, a camera of {fps} frames a second",
            "",
            "| | frames/s | lost | sender, ms of CPU a frame | above capture "
            "| receiver, ms of CPU a frame | MB/s | memory, MiB (sender, receiver) |",
            "|---|---|---|---|---|---|---|---|",
        ]
        rows = (row(results, (peer, width, rate)) for peer in results.peers)
        lines += [cells for cells in rows if cells is not None]
    lines += ["", "## Ratios", "", "Each of two cases of one rotation.", "", "| | |", "|---|---|"]
    lines += [f"| {what} | {ratio.show(2)} |" for what, ratio in ratios(results) if ratio]
    return "\n".join(lines) + "\n"


def row(results: Results, case: tuple[str, int, str]) -> str | None:
    """Make a case's row; None if it was not run."""
    failures = [
        run["failed"]
        for run in results.runs
        if (run["peer"], run["width"], run["rate"]) == case and "failed" in run
    ]
    frames = results.spread(case, "frames_a_second")
    if frames is None:
        return f"| {case[0]} | failed: {failures[0].splitlines()[0]} |" if failures else None
    floor = results.spread((FLOOR, *case[1:]), "frames_a_second")
    lost = f"{max(0.0, 1 - frames.median / floor.median):.0%}" if floor else ""
    above = results.above_floor(case)
    cells = [
        case[0] + (f" ({len(failures)} failed)" if failures else ""),
        frames.show(),
        "" if case[0] == FLOOR else lost,
        show(results.spread(case, "sender_cpu_ms"), 2),
        "" if case[0] == FLOOR else show(above, 2),
        show(results.spread(case, "receiver_cpu_ms"), 2),
        show(results.spread(case, "bytes_a_second", 1e-6), 0),
        f"{peak(results, case, 'sender_memory')}, {peak(results, case, 'receiver_memory')}",
    ]
    return f"| {' | '.join(cells)} |"


def show(spread: Spread | None, digits: int) -> str:
    """As text, empty if there is none."""
    return "" if spread is None else spread.show(digits)


def peak(results: Results, case: tuple[str, int, str], side: str) -> str:
    """Give the largest peak in MiB, without frame buffers in plain memory."""
    peaks = [run[side]["peak"] - run[side]["shared"] for run in results.of(*case).values()]
    return f"{max(peaks) / MIB:.0f}" if any(peaks) else "-"


def ratios(results: Results) -> list[tuple[str, Spread | None]]:
    """Give the figures that this project is held to."""

    def hold(peer: str) -> tuple[str, int, str]:
        return peer, 1920, "hold"

    def full(peer: str) -> tuple[str, int, str]:
        return peer, 1920, "saturate"

    figures: list[tuple[str, Spread | None]] = []
    for ours in (ZERO_COPY, HUGE):
        for other in (COPYING, "GStreamer"):
            cases = hold(other), hold(ours)
            what = f"sender's CPU, 1080p: {other} / {ours}"
            figures.append((what, results.ratio(*cases, "sender_cpu_ms")))
            figures.append((f"{what}, by ticks", results.ratio(*cases, "sender_ticks_ms")))
        figures += [
            (
                f"bytes a second, 1080p: {ours} / {other}",
                results.ratio(full(ours), full(other), "frames_a_second"),
            )
            for other in (COPYING, "iperf3 -Z")
        ]
        figures.append(
            (f"sender's CPU above capture: {ours}, 2160p / 480p", growth(results, ours))
        )
    figures += [
        (
            f"receiver's CPU a byte, 1080p: sent by {ours} / {other}",
            results.ratio(full(ours), full(other), "receiver_cpu_ms"),
        )
        for ours, other in ((COPYING, "iperf3"), (ZERO_COPY, "iperf3 -Z"))
    ]
    return figures


def growth(results: Results, peer: str) -> Spread | None:
    """Give how much more a frame of 27 times the pixels costs."""
    large, small = (results.above_floor((peer, width, "hold")) for width in (3840, 640))
    if large is None or small is None or small.median <= 0:
        return None
    ratio = large.median / small.median
    return Spread(ratio, ratio, ratio)


def plot(results: Results, file: Path) -> None:
    """Draw CPU a frame against frame size, one line a peer."""
    mpl.rcParams["svg.hashsalt"] = "v4l-dmabuf"
    figure, axes = plt.subplots(figsize=(10, 5), layout="constrained")
    sizes = sorted(
        {(width, height) for width, height, rate, _ in results.loads() if rate == "hold"}
    )
    for peer in results.peers:
        points = [
            (width * height * 2 / 1e6, spread)
            for width, height in sizes
            if (spread := results.spread((peer, width, "hold"), "sender_cpu_ms"))
        ]
        if not points:
            continue
        axes.errorbar(
            [megabytes for megabytes, _ in points],
            [spread.median for _, spread in points],
            yerr=[
                [spread.median - spread.least for _, spread in points],
                [spread.most - spread.median for _, spread in points],
            ],
            marker="o",
            capsize=3,
            label=peer,
            linewidth=3 if peer == ZERO_COPY else 1.5,
            linestyle=":" if peer == FLOOR else "-",
        )
    if sizes:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(
            [width * height * 2 / 1e6 for width, height in sizes],
            [f"{width}x{height}" for width, height in sizes],
        )
        axes.minorticks_off()
        axes.set_yticks(
            [1, 3, 10, 30, 100, 300, 1000], ["1", "3", "10", "30", "100", "300", "1000"]
        )
        axes.set_ylabel("the sender's whole guest: ms of CPU a frame")
        axes.set_title("What it costs to capture a frame (YUYV) and to send it")
        axes.grid(visible=True, alpha=0.3)
        figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    chosen = Path(sys.argv[1] if len(sys.argv) > 1 else "bench")
    write(json.loads((chosen / "results.json").read_text()), chosen)
