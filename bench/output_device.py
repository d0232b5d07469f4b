"""What an output device costs: CPU of its thread a frame, by import and by copying.

Runs in a guest with vivid: 720p frames of the built-in source are received and shown, by both
ways in turn. Leaves output_device.json and output_device.md.
"""

import json
import statistics
import subprocess
import threading
from pathlib import Path

from v4l_dmabuf import Receiver, Report, Sender

ROUNDS = 5
FRAMES = 150
HEAP = "/dev/dma_heap/system"
OUTPUT = "/dev/video1"
FOLDER = Path(__file__).parent


def shown(memory: str, port: int) -> Report:
    """Show a stream by ``memory``, dmabuf or mmap; give the receiver's report."""
    sender = Sender(
        address="127.0.0.1",
        port=port,
        device="test",
        heap=HEAP,
        width=1280,
        height=720,
        fps=20.0,
    )
    sending = threading.Thread(target=sender.run, args=(FRAMES,))
    with Receiver(
        listen="127.0.0.1",
        port=port,
        heap=HEAP,
        device=OUTPUT,
        device_memory="dmabuf" if memory == "dmabuf" else "mmap",
        device_on_overrun="block",
    ) as receiver:
        sending.start()
        report = receiver.run()
    sending.join()
    assert report.device_memory == memory
    assert report.frames == FRAMES
    return report


def main() -> None:
    """Measure, and write it down."""
    subprocess.run(["v4l2-ctl", "-d", OUTPUT, "--set-output", "1"], check=True)
    timings = ["v4l2-ctl", "-d", OUTPUT, "--set-dv-bt-timings", "index=7"]
    subprocess.run(timings, check=True)
    costs: dict[str, list[float]] = {"dmabuf": [], "mmap": []}
    for round_ in range(ROUNDS + 1):
        order = ["dmabuf", "mmap"] if round_ % 2 else ["mmap", "dmabuf"]
        for memory in order:
            report = shown(memory, 9000 + round_)
            assert report.device_cpu_seconds is not None
            # The first round warms up.
            if round_:
                costs[memory].append(report.device_cpu_seconds / report.frames * 1e3)
            print(round_, memory, costs[memory][-1:], flush=True)
    ratios = [one / other for one, other in zip(costs["dmabuf"], costs["mmap"], strict=True)]
    (FOLDER / "output_device.json").write_text(
        json.dumps({"milliseconds": costs, "ratios": ratios}, indent=1) + "\n"
    )
    rows = [("by import (DMABUF)", costs["dmabuf"]), ("by copying (MMAP)", costs["mmap"])]
    lines = [
        "# What an output device costs",
        "",
        "`make bench-output` writes this page. 1280x720 YUYV is shown on vivid in an emulated",
        "guest: the CPU that the device's thread takes a frame, for ioctls and copies, of",
        f"{ROUNDS} runs of {FRAMES} frames each way, in turn.",
        "",
        "| | milliseconds a frame: median | least | most |",
        "|---|---|---|---|",
        *(
            f"| {name} | {statistics.median(row):.2f} | {min(row):.2f} | {max(row):.2f} |"
            for name, row in rows
        ),
        "",
        f"By import / by copying, pair by pair: {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}).",
    ]
    (FOLDER / "output_device.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
