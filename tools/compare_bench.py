"""Whether v4l-dmabuf-compare cries wolf, and whether it sees what there is to see.

Real runs between two guests, in turn. Leaves bench/compare.json and bench/compare.md.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from guest import CHECKOUT
from link import best
from runs import Guests, Setup, guests
from v4l_dmabuf.compare import Comparison, Run, compare

SAME = 40
ALTERED = 10
RUNS = 5
FRAMES = 300
# A whole number of vivid's jiffies from frame to frame, and no more than emulated guests hold.
PLAIN = Setup(width=320, height=240, rate=50)
ALTERATIONS = {
    "1 ms added to the link": replace(PLAIN, delay_ms=1.0),
    "a camera slowed by 10 %": replace(PLAIN, rate=PLAIN.rate * 9 // 10),
    "1 % of frames dropped by the driver": replace(PLAIN, dropped_percent=1),
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
                "low": row.interval.low,
                "high": row.interval.high,
                "verdict": row.verdict.value,
            }
            for row in comparison.rows
        ],
    }


def measure(
    pair: Guests, same: int, altered: int, say: Callable[[str], None]
) -> dict[str, list[dict[str, Any]]]:
    """Make the runs of each comparison in turn, and compare them."""
    found: dict[str, list[dict[str, Any]]] = {"nothing": [], **{name: [] for name in ALTERATIONS}}

    def run(setup: Setup) -> Run:
        return Run(Path("run"), pair.run(setup, frames=FRAMES))

    # Each window is as many runs as there are a side, and is compared with the next, run by
    # run in turn: so each run of the plain system counts for one side and then for the other.
    window = [run(PLAIN) for _ in range(RUNS)]
    for number in range(max(same, altered)):
        last, window = window, []
        runs: dict[str, list[Run]] = {name: [] for name in ALTERATIONS}
        for _ in range(RUNS):
            window.append(run(PLAIN))
            for name, setup in ALTERATIONS.items() if number < altered else ():
                runs[name].append(run(setup))
        both = [*last, *window]
        sides = {"nothing": (both[::2], both[1::2])} if number < same else {}
        if number < altered:
            sides |= {name: (window, runs[name]) for name in ALTERATIONS}
        for name, (a, b) in sides.items():
            comparison = told(compare(a, b))
            found[name].append(comparison)
            say(f"{number + 1} {name}: {comparison['verdict']} {comparison['differences']}")
    return found


def is_seen(comparison: dict[str, Any]) -> bool:
    """Tell whether a comparison calls the sides different."""
    return bool(comparison["differences"])


def markdown(found: dict[str, list[dict[str, Any]]]) -> str:
    """Make a table of it."""
    lines = [
        "# What v4l-dmabuf-compare sees",
        "",
        f"Two emulated guests, {PLAIN.width}x{PLAIN.height} YUYV at {PLAIN.rate} frames a second, "
        f"{FRAMES} frames a run, {RUNS} runs a side, in turn. Where nothing was changed, each run "
        "serves in two comparisons; elsewhere in one.",
        "",
        "| what was changed | comparisons | called different | by |",
        "|---|---|---|---|",
    ]
    for name, comparisons in found.items():
        seen = [comparison for comparison in comparisons if is_seen(comparison)]
        counts: dict[str, int] = {}
        for comparison in seen:
            for difference in comparison["differences"]:
                counts[difference] = counts.get(difference, 0) + 1
        by = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
        lines.append(f"| {name} | {len(comparisons)} | {len(seen)} | {by or '-'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write both files. Arguments: how many comparisons, the same and altered."""
    same, altered = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (SAME, ALTERED)
    with best() as ends, guests(ends) as pair:
        found = measure(pair, same, altered, lambda line: print(line, flush=True))
        kind = ends.kind
    results = {"format": 1, "link": kind, "runs_a_side": RUNS, "found": found}
    folder = CHECKOUT / "bench"
    (folder / "compare.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "compare.md").write_text(markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
