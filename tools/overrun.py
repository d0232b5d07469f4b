"""How old frames are when they arrive over a link held to a third of the camera's rate.

Runs in a guest with vivid: sender and receiver have a network namespace each, and
one clock. Leaves bench/overrun.json and bench/overrun.md.
"""

import contextlib
import json
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from reference import STREAM, receive_exactly, receive_frames

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
    """Send for a minute, and take each frame's age as its last byte arrives."""
    print(f"{policy}: {SECONDS} s", flush=True)
    ages = []
    with socket.create_server((ADDRESS, PORT)) as server:
        sender = subprocess.Popen(
            [
                *("ip", "netns", "exec", "far", "v4l-dmabuf-sender", "--address", ADDRESS),
                *("--port", str(PORT), "--width", str(WIDTH), "--height", str(HEIGHT)),
                *("--fps", str(RATE), "--on-overrun", policy),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = server.accept()
        with connection:
            receive_exactly(connection, STREAM.size)
            began = time.monotonic()
            for frame in receive_frames(connection):
                now = time.monotonic()
                if now - began > SECONDS + SETTLED:
                    break
                if now - began > SETTLED:
                    ages.append(now - frame.timestamp[0] - frame.timestamp[1] / 1e6)
        _, told = sender.communicate(timeout=30)
    lost = re.findall(r"(\d+) dropped by the driver, (\d+) by the sender", told)[-1]
    ordered = sorted(ages)
    return {
        "frames": len(ages),
        "median": statistics.median(ages),
        "p99": ordered[len(ordered) * 99 // 100],
        "longest": ordered[-1],
        "dropped_by_the_driver": int(lost[0]),
        "dropped_by_the_sender": int(lost[1]),
    }


def main() -> None:
    """Measure each policy."""
    with slow_link():
        policies = {name: measure(name) for name in ("block", "drop-oldest", "drop-newest")}
    # What the link took for a frame, headers included.
    transfer = SECONDS / policies["drop-oldest"]["frames"]
    results = {
        "format": 1,
        "camera": {"width": WIDTH, "height": HEIGHT, "fps": RATE},
        "link_bits_a_second": LINK_BITS,
        "seconds": SECONDS,
        "two_frame_times_and_a_transfer": 2 / RATE + transfer,
        "policies": policies,
    }
    folder = Path(__file__).resolve().parent.parent / "bench"
    (folder / "overrun.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "overrun.md").write_text(markdown(results))


def markdown(results: dict[str, Any]) -> str:
    """Make a table of it."""
    bound = results["two_frame_times_and_a_transfer"] * 1000
    lines = [
        "# A link at a third of the camera's rate",
        "",
        f"{WIDTH}x{HEIGHT} YUYV at {RATE} frames a second, {SECONDS} s, one guest, two network "
        f"namespaces. Two frame times and a frame's transfer are {bound:.0f} ms.",
        "",
        "| `--on-overrun` | age on arrival, ms: median | 99 % | longest | arrived "
        "| dropped by the driver | by the sender |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, figures in results["policies"].items():
        ages = " | ".join(f"{figures[which] * 1000:.0f}" for which in ("median", "p99", "longest"))
        lines.append(
            f"| {name} | {ages} | {figures['frames']} | {figures['dropped_by_the_driver']} "
            f"| {figures['dropped_by_the_sender']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
