"""Whether v4l-dmabuf-compare cries wolf, and whether it sees what there is to see.

Real runs between two guests, in turn. Leaves bench/compare.json and bench/compare.md.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.runs import Guests, Setup, guests
from guests.guest import CHECKOUT
from guests.link import best
from v4l_dmabuf.compare import Comparison, Run, compare

SAME = 40
ALTERED = 10
# As many as make compare has, and as docs/comparing.md advises.
RUNS = 5
FRAMES = 150
# A whole number of vivid's jiffies from frame to frame, and no more than emulated guests hold.
PLAIN = Setup(width=320, height=240, rate=50)


@dataclass(frozen=True)
class Alteration:
    """What is changed, and how long the runs are that are to show it."""

    setup: Setup
    frames: int = FRAMES


ALTERATIONS = {
    "1 ms added to the link": Alteration(replace(PLAIN, delay_ms=1.0)),
    "a camera slowed by 10 %": Alteration(replace(PLAIN, rate=PLAIN.rate * 9 // 10)),
    # One or two of 150 frames are chance. These are compared with twice as many of the plain runs.
    "1 % of frames dropped by the driver": Alteration(replace(PLAIN, dropped_percent=1), 800),
}


def told(comparison: Comparison) -> dict[str, Any]:
    """Give a comparison in short."""
    return {
        "verdict": comparison.verdict.value,
        "differences": comparison.differences,
        "rows": [
            {
                "name": row.name,
                "a": row.a,
                "b": row.b,
                "low": None if row.interval is None else row.interval.low,
                "high": None if row.interval is None else row.interval.high,
                "verdict": row.verdict.value,
                "note": row.note,
            }
            for row in comparison.rows
        ],
    }


Found = dict[str, list[dict[str, Any]]]
"""Comparisons by what was changed."""


def measure(pair: Guests, same: int, altered: int) -> Iterator[Found]:
    """Make each comparison's runs in turn, compare them, and give what is found so far."""
    found: Found = {"nothing": [], **{name: [] for name in ALTERATIONS}}

    def run(setup: Setup, frames: int = FRAMES) -> Run:
        return Run(Path("run"), pair.run(setup, frames=frames))

    # Each window is as many runs as there are a side, and is compared with the next, run by
    # run in turn: so each run of the plain system counts for one side and then for the other.
    window = [run(PLAIN) for _ in range(RUNS)]
    for number in range(max(same, altered)):
        last, window = window, []
        changed = ALTERATIONS if number < altered else {}
        others: dict[str, list[Run]] = {name: [] for name in changed}
        for _ in range(RUNS):
            window.append(run(PLAIN))
            for name, change in changed.items():
                others[name].append(run(change.setup, change.frames))
        both = [*last, *window]
        sides = {
            name: (window if ALTERATIONS[name].frames == FRAMES else both, other)
            for name, other in others.items()
        }
        if number < same:
            sides["nothing"] = both[::2], both[1::2]
        for name, (a, b) in sides.items():
            comparison = told(compare(a, b))
            found[name].append(comparison)
            print(number + 1, name, comparison["verdict"], comparison["differences"], flush=True)
        yield found


def is_seen(comparison: dict[str, Any]) -> bool:
    """Tell whether a comparison calls the sides different."""
    return bool(comparison["differences"])


def markdown(found: Found) -> str:
    """Make a table of it."""
    lines = [
        "# What v4l-dmabuf-compare sees",
        "",
        f"Two emulated guests, {PLAIN.width}x{PLAIN.height} YUYV at {PLAIN.rate} frames a second, "
        f"{RUNS} runs a side, in turn. Where nothing was changed, each run serves in two "
        "comparisons. One loss of a hundred takes longer runs, and is compared with the plain "
        "ones before it as well.",
        "",
        "| what was changed | frames a run | comparisons | called different | by |",
        "|---|---|---|---|---|",
    ]
    for name, comparisons in found.items():
        if not comparisons:
            continue
        seen = [comparison for comparison in comparisons if is_seen(comparison)]
        counts: dict[str, int] = {}
        for comparison in seen:
            for difference in comparison["differences"]:
                counts[difference] = counts.get(difference, 0) + 1
        by = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
        frames = ALTERATIONS[name].frames if name in ALTERATIONS else FRAMES
        lines.append(f"| {name} | {frames} | {len(comparisons)} | {len(seen)} | {by or '-'} |")
    return "\n".join(lines) + "\n"


def write(results: dict[str, Any]) -> None:
    """Write both files."""
    folder = CHECKOUT / "bench"
    (folder / "compare.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "compare.md").write_text(markdown(results["found"]))


def main() -> None:
    """Measure, and write what is found as it is. Arguments: how many the same, and altered."""
    same, altered = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (SAME, ALTERED)
    with best() as ends, guests(ends) as pair:
        results = {"format": 1, "link": ends.kind, "runs_a_side": RUNS}
        for found in measure(pair, same, altered):
            write(results | {"found": found})
    print(markdown(found))


if __name__ == "__main__":
    main()
