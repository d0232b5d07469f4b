"""The short benchmark, without guests: this project over loopback, and iperf3.

Both move blocks of the same size from plain memory to plain memory: ours frames that stand
still, which as iperf3's blocks are made once, and frames that are drawn anew. Leaves
loopback.json and loopback.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.result import Spread
from guests.guest import CHECKOUT, VENV

PORT = 9100
# A frame of YUYV that is just iperf3's largest block.
WIDTH, HEIGHT = 1024, 512
BLOCK = WIDTH * HEIGHT * 2
SECONDS = 5
COMMANDS = VENV / "bin"
SENDER = [
    *(str(COMMANDS / "v4l-dmabuf-sender"), "--heap", "memfd"),
    *("--address", "127.0.0.1", "--port", str(PORT)),
    *("--width", str(WIDTH), "--height", str(HEIGHT)),
]
RECEIVER = [
    *(str(COMMANDS / "v4l-dmabuf-receiver"), "--listen", "127.0.0.1", "--port", str(PORT)),
    *("--heap", "memfd"),
]


SOURCES = {
    "v4l-dmabuf, frames that stand still": "test:still",
    "v4l-dmabuf, frames drawn anew": "test",
}


def ours(source: str) -> float:
    """Give this project's bytes a second."""
    with (
        tempfile.NamedTemporaryFile(suffix=".json") as result,
        subprocess.Popen(
            [*RECEIVER, "--report", result.name], stderr=subprocess.PIPE, text=True
        ) as receiver,
    ):
        assert receiver.stderr is not None
        for line in receiver.stderr:
            if "listening on" in line:
                break
        sender = subprocess.Popen([*SENDER, "--device", source], stderr=subprocess.PIPE, text=True)
        time.sleep(SECONDS)
        sender.terminate()
        sender.communicate()
        receiver.stderr.read()
        summary = json.load(result)["summary"]
    return float(summary["bytes"] / summary["seconds"])


def iperf3() -> float:
    """Give iperf3's bytes a second."""
    port = str(PORT + 1)
    with subprocess.Popen(["iperf3", "-s", "-1", "-p", port], stdout=subprocess.DEVNULL):
        time.sleep(0.5)
        told = subprocess.run(
            ["iperf3", "-c", "127.0.0.1", "-p", port, "-l", str(BLOCK), "-t", str(SECONDS), "-J"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    bits: float = json.loads(told)["end"]["sum_received"]["bits_per_second"]
    return bits / 8


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rotations", type=int, default=5)
    parser.add_argument("--output", type=Path, default=CHECKOUT / "bench")
    options = parser.parse_args()
    measured: dict[str, list[float]] = {name: [] for name in (*SOURCES, "iperf3")}
    for _ in range(options.rotations):
        for name, source in SOURCES.items():
            measured[name].append(ours(source))
        measured["iperf3"].append(iperf3())
    lines = [
        f"# Over loopback, blocks of {BLOCK} bytes",
        "",
        "| | MB/s | of iperf3's |",
        "|---|---|---|",
    ]
    for name, values in measured.items():
        spread = Spread.of(value / 1e6 for value in values)
        ratio = Spread.of(
            one / other for one, other in zip(values, measured["iperf3"], strict=True)
        )
        assert spread is not None
        assert ratio is not None
        lines.append(f"| {name} | {spread.show(0)} | {ratio.show(2)} |")
    text = "\n".join(lines) + "\n"
    (options.output / "loopback.md").write_text(text)
    (options.output / "loopback.json").write_text(
        json.dumps({"format": 1, "block_bytes": BLOCK, "bytes_a_second": measured}, indent=1)
        + "\n"
    )
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
