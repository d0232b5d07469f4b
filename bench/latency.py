"""Whether times from side to side are true: two guests, whose clocks this machine can read.

Compares the clocks' offset that runs find with the one that is seen from outside, and a
delay that is put on the link with the one that runs show. Leaves bench/latency.json and
bench/latency.md.
"""

import json
import statistics
from dataclasses import replace
from typing import Any

from bench.runs import Guests, Setup, guests
from guests.guest import CHECKOUT
from guests.link import best

ROUNDS = 7
DELAY_MS = 5.0
# Small frames: what they take is latency and not throughput.
PLAIN = Setup(width=160, height=120)
DELAYED = replace(PLAIN, delay_ms=DELAY_MS)


def measure(pair: Guests) -> dict[str, Any]:
    """Make runs with and without the delay, in turn."""
    rounds = []
    for number in range(ROUNDS):
        print(f"round {number + 1} of {ROUNDS}", flush=True)
        plain, delayed = pair.run(PLAIN), pair.run(DELAYED)
        seen, doubt = pair.offset_by_the_host()
        rounds.append(
            {
                "offset_seen_from_outside": seen,
                "doubt": doubt,
                **{
                    name: {
                        "offset": run["summary"]["offset"],
                        "bound": run["summary"]["offset_bound"],
                        "drift": run["summary"]["offset_drift"],
                        **{
                            stage: run["summary"]["stages"][stage]["percentiles"]["p50"]
                            for stage in ("transfer", "acknowledged", "end_to_end")
                        },
                    }
                    for name, run in (("plain", plain), ("delayed", delayed))
                },
            }
        )
    return {"format": 1, "delay_ms": DELAY_MS, "rounds": rounds}


def markdown(results: dict[str, Any]) -> str:
    """Make tables of it."""
    lines = [
        "# Times from side to side, held against the truth",
        "",
        "Two emulated guests, 160x120 at 60 frames a second, 120 frames a run.",
        "",
        "## The offset of the two clocks",
        "",
        "As runs find it, and as the machine that both guests run on sees it by reading one clock "
        "and then the other.",
        "",
        "| round | found, s | differs from what is seen by, ms | bound of the run, ms "
        "| doubt of the look from outside, ms | within |",
        "|---|---|---|---|---|---|",
    ]
    for number, each in enumerate(results["rounds"], 1):
        for name in ("plain", "delayed"):
            run = each[name]
            error = abs(run["offset"] - each["offset_seen_from_outside"]) * 1e3
            bound, doubt = run["bound"] * 1e3, each["doubt"] * 1e3
            within = "yes" if error <= bound + doubt else "NO"
            lines.append(
                f"| {number}, {name} | {run['offset']:.6f} | {error:.3f} | {bound:.3f} "
                f"| {doubt:.3f} | {within} |"
            )
    delay = results["delay_ms"]
    lines += [
        "",
        f"## A delay of {delay:g} ms",
        "",
        "Put on the link, each way (tc netem). Medians of each run, and by how much "
        "the delayed runs' are above the others'.",
        "",
        "| | without, ms | with, ms | difference, ms: median (least-most) |",
        "|---|---|---|---|",
    ]
    for stage, words in (
        ("transfer", "socket to buffer"),
        ("end_to_end", "capture to buffer"),
        ("acknowledged", "until acknowledged"),
    ):
        plain = [each["plain"][stage] * 1e3 for each in results["rounds"]]
        delayed = [each["delayed"][stage] * 1e3 for each in results["rounds"]]
        more = [after - before for before, after in zip(plain, delayed, strict=True)]
        lines.append(
            f"| {words} | {statistics.median(plain):.2f} | {statistics.median(delayed):.2f} "
            f"| {statistics.median(more):.2f} ({min(more):.2f}-{max(more):.2f}) |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write both files."""
    with best() as ends, guests(ends) as pair:
        results = measure(pair) | {"link": ends.kind}
    folder = CHECKOUT / "bench"
    (folder / "latency.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "latency.md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
