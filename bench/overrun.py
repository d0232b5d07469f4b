"""How old frames are when they arrive over a link held to a third of the camera's rate.

Runs in a guest with vivid: sender and receiver have a network namespace each, and
one clock. Leaves bench/overrun.json and bench/overrun.md.
"""

import contextlib
import csv
import json
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ADDRESS, PORT = "10.78.0.2", 9000
WIDTH, HEIGHT, RATE = 640, 480, 30
FRAME_BITS = WIDTH * HEIGHT * 2 * 8
LINK_BITS = FRAME_BITS * RATE // 3
SECONDS = 60
# The first frames find the link's queue empty.
SETTLED = 2.0


def sh(command: str) -> None:
    """Run a command that has to succeed."""
    subprocess.run(command, shell=True, check=True)


@contextlib.contextmanager
def slow_link() -> Iterator[None]:
    """Give the namespace `far` a link to here that carries `LINK_BITS` a second."""
    sh("modprobe veth && modprobe sch_tbf")
    sh("ip netns add far && ip link add near type veth peer name far netns far")
    sh(f"ip address add {ADDRESS}/24 dev near && ip link set near up")
    sh("ip -n far address add 10.78.0.1/24 dev far && ip -n far link set far up")
    # Packets as a link of that rate carries them: a virtual one's are of 64 KB, and a
    # queue that adds little of its own holds two of those, so that each loss is a stall.
    sh("ip -n far link set far gso_max_segs 1")
    sh(f"tc -n far qdisc add dev far root tbf rate {LINK_BITS}bit burst 16kb limit 64kb")
    try:
        yield
    finally:
        sh("ip netns delete far")


def measure(policy: str) -> dict[str, Any]:
    """Send for a minute, and take each frame's way from the receiver's records."""
    print(f"{policy}: {SECONDS} s", flush=True)
    with tempfile.NamedTemporaryFile(suffix=".csv") as records:
        receiver = subprocess.Popen(
            [
                "v4l-dmabuf-receiver",
                "-q",
                "-l",
                ADDRESS,
                "-p",
                str(PORT),
                "--records",
                records.name,
            ]
        )
        time.sleep(3)
        sender = subprocess.Popen(
            [
                *("ip", "netns", "exec", "far", "v4l-dmabuf-sender", "--address", ADDRESS),
                *("--port", str(PORT), "--width", str(WIDTH), "--height", str(HEIGHT)),
                *("--fps", str(RATE), "--on-overrun", policy),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(SECONDS + SETTLED + 3)
        sender.terminate()
        _, told = sender.communicate(timeout=60)
        assert (sender.returncode, receiver.wait(60)) == (0, 0), told
        frames = read(Path(records.name))
    lost = re.findall(r"(\d+) dropped by the driver, (\d+) by the sender", told)[-1]
    ages = [frame["complete"] - frame["captured"] for frame in frames]
    waits = [frame["handed"] - frame["captured"] for frame in frames]
    transfers = [frame["complete"] - frame["handed"] for frame in frames]
    within = [age <= 2 / RATE + transfer for age, transfer in zip(ages, transfers, strict=True)]
    return {
        "frames": len(frames),
        "age": spread(ages),
        "wait": spread(waits),
        "transfer": spread(transfers),
        "within": sum(within) / len(within),
        "dropped_by_the_driver": int(lost[0]),
        "dropped_by_the_sender": int(lost[1]),
    }


def read(records: Path) -> list[dict[str, float]]:
    """Read the frames' times in seconds; one machine has one clock."""
    with records.open() as file:
        frames = [
            {name: int(value) / 1e9 for name, value in line.items() if value}
            for line in csv.DictReader(file)
        ]
    began = frames[0]["complete"] + SETTLED
    return [
        frame
        for frame in frames
        if "captured" in frame and began < frame["complete"] < began + SECONDS
    ]


def spread(values: list[float]) -> dict[str, float]:
    """Give the median, and what is at the upper end."""
    ordered = sorted(values)
    return {
        "median": statistics.median(ordered),
        "p99": ordered[len(ordered) * 99 // 100],
        "longest": ordered[-1],
    }


def main() -> None:
    """Measure each policy."""
    # Timestamps of the exposure's start: vivid's others are reckoned, and lie ahead.
    sh("v4l2-ctl -d /dev/video0 -c timestamp_source=1")
    with slow_link():
        policies = {name: measure(name) for name in ("block", "drop-oldest", "drop-newest")}
    results = {
        "format": 2,
        "camera": {"width": WIDTH, "height": HEIGHT, "fps": RATE},
        "link_bits_a_second": LINK_BITS,
        "seconds": SECONDS,
        "policies": policies,
    }
    folder = Path(__file__).resolve().parent
    (folder / "overrun.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "overrun.md").write_text(markdown(results))


def markdown(results: dict[str, Any]) -> str:
    """Make a table of it."""
    lines = [
        "# A link at a third of the camera's rate",
        "",
        f"{WIDTH}x{HEIGHT} YUYV at {RATE} frames a second, {SECONDS} s, one guest, two network "
        "namespaces, one clock. Times in ms: median, 99 %, longest; from the start of the "
        "exposure, which is most of a frame time before the driver has the frame.",
        "",
        "| `--on-overrun` | age on arrival | of it before the socket | of it on the way "
        "| within two frame times and its transfer | arrived | dropped by the driver "
        "| by the sender |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in results["policies"].items():
        times = " | ".join(
            ", ".join(f"{value * 1000:.0f}" for value in figures[which].values())
            for which in ("age", "wait", "transfer")
        )
        lines.append(
            f"| {name} | {times} | {figures['within'] * 100:.1f} % | {figures['frames']} "
            f"| {figures['dropped_by_the_driver']} | {figures['dropped_by_the_sender']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
