"""What frames in Python cost: against a run that nobody takes frames of.

Over loopback, both ends in this process: iterating, with an array, in an event loop, each beside
`run()` in the same round and in turns; and `run()` against itself, whose spread is what chance
does. Then what is left after many frames with views held at random, what a tap costs a sender,
and whether anybody copies pixels on their way. With `--device` the same
device is captured by others, one after the other, beside `Capture`. Leaves frames.json and
frames.md.
"""

import argparse
import asyncio
import gc
import json
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.frames_page import write
from guests.guest import CHECKOUT
from v4l_dmabuf import Capture, Frame, Receiver, Sender

LOCALHOST = "127.0.0.1"
HD, SMALL = (1920, 1080), (64, 48)


@dataclass(frozen=True)
class Figure:
    """A figure, and what it is to reach."""

    name: str
    value: float
    least: float
    most: float
    wanted: str


def free_port() -> int:
    """Give a port that is free just now."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


def run(receiver: Receiver) -> None:
    """Take no frame."""
    receiver.run()


def iterate(receiver: Receiver) -> None:
    """Take each frame and give it back."""
    for frame in receiver:
        frame.release()


def array(receiver: Receiver) -> None:
    """Look at a row of each frame's array."""
    for frame in receiver:
        frame.array()[0].sum()
        frame.release()


def asynchronous(receiver: Receiver) -> None:
    """Take each frame in an event loop."""

    async def take() -> None:
        async for frame in receiver:
            frame.release()

    asyncio.run(take())


def rate(take: Callable[[Receiver], None], size: tuple[int, int], frames: int) -> float:
    """Give the frames a second at which a receiver takes what comes as fast as it can."""
    port = free_port()
    with Receiver(port=port, listen=LOCALHOST, heap="memfd") as receiver:
        sender = Sender(
            address=LOCALHOST,
            port=port,
            device="test:still",
            heap="memfd",
            width=size[0],
            height=size[1],
        )
        thread = threading.Thread(target=sender.run, kwargs={"frames": frames})
        thread.start()
        take(receiver)
        thread.join()
        report = receiver.report
    assert report is not None
    assert report.fps is not None
    return report.fps


def compared(
    name: str,
    take: Callable[[Receiver], None],
    size: tuple[int, int],
    frames: int,
    rounds: int,
    wanted: str,
) -> tuple[Figure, float]:
    """Give the ratio of a taking's rate to `run()`'s, and its own rate."""
    ratios, rates = [], []
    for number in range(-1, rounds):
        pair = [run, take] if number % 2 else [take, run]
        told = [rate(one, size, frames) for one in pair]
        if number % 2:
            told.reverse()
        # The first round warms up.
        if number >= 0:
            ratios.append(told[0] / told[1])
            rates.append(told[0])
    median = statistics.median
    return Figure(name, median(ratios), min(ratios), max(ratios), wanted), median(rates)


def state() -> tuple[int, int, int, int]:
    """Give this process's descriptors, threads, mappings, and resident KiB."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    maps = len(Path("/proc/self/maps").read_text().splitlines())
    return descriptors, threading.active_count(), maps, int(resident.split()[1])


def left_behind(frames: int) -> list[tuple[int, int, int, int]]:
    """Hold views at random over so many frames; gives the state at each tenth of them."""
    chance = random.Random(1)  # noqa: S311 -- the same in every run
    held: list[tuple[Frame, object]] = []
    states = []
    with Capture(device="test:still", heap="memfd", width=64, height=48, buffers=8) as capture:
        for number, frame in enumerate(capture, start=1):
            kind = chance.randrange(4)
            views = (None, memoryview(frame), frame.array(), np.from_dlpack(frame))
            held.append((frame, views[kind]))
            del views
            if chance.random() < 0.5:
                frame.release()
            while len(held) > chance.randrange(6):
                del held[chance.randrange(len(held))]
            if number % (frames // 10) == 0:
                states.append(state())
                if number == frames:
                    break
    return states


def cpu(size: tuple[int, int], frames: int, *, tapped: bool) -> float:
    """Give the sender's CPU seconds a frame, with a tap that drops everything or without one."""
    code = f"""
import resource, sys
from v4l_dmabuf import Sender
sender = Sender(address="{LOCALHOST}", port=int(sys.argv[1]), device="test:still", heap="memfd",
                width={size[0]}, height={size[1]}, buffers=4)
if {tapped}:
    tap = sender.subscribe(depth=1, on_overrun="drop-newest")
def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
before = used()
sender.run(frames={frames})
print((used() - before) / {frames})
"""
    port = free_port()
    with Receiver(port=port, listen=LOCALHOST, heap="memfd") as receiver:
        thread = threading.Thread(target=receiver.run)
        thread.start()
        done = subprocess.run(
            [sys.executable, "-c", code, str(port)], capture_output=True, text=True, check=True
        )
        thread.join()
    return float(done.stdout)


def copied(size: tuple[int, int], frames: int) -> float | None:
    """Give the instructions a frame in functions that copy memory; None without valgrind.

    The whole receiver's, Python included, from a frame's receipt to its array; those of a run
    that nobody takes frames of are taken away, and with them the interpreter's start.
    """
    if shutil.which("valgrind") is None:
        return None
    code = f"""
import sys
import numpy
from v4l_dmabuf import Receiver
with Receiver(port=int(sys.argv[1]), listen="{LOCALHOST}", heap="memfd") as receiver:
    print("ready", flush=True)
    if sys.argv[2] == "run":
        receiver.run()
    else:
        for frame in receiver:
            frame.array()
            frame.release()
"""
    counts = {}
    for kind in ("run", "array"):
        port = free_port()
        with tempfile.NamedTemporaryFile() as told:
            process = subprocess.Popen(
                [
                    "valgrind",
                    "--tool=callgrind",
                    f"--callgrind-out-file={told.name}",
                    "--quiet",
                    sys.executable,
                    "-c",
                    code,
                    str(port),
                    kind,
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            Sender(
                address=LOCALHOST,
                port=port,
                device="test:still",
                heap="memfd",
                width=size[0],
                height=size[1],
                peer_timeout=120,
            ).run(frames=frames)
            assert process.wait() == 0
            annotated = subprocess.run(
                ["callgrind_annotate", "--threshold=100", told.name],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        lines = re.findall(r"^ *([\d,]+) .*?:(\S+)", annotated, re.MULTILINE)
        counts[kind] = sum(
            int(count.replace(",", ""))
            for count, name in lines
            if re.search(r"mem(cpy|move|set)|volatile", name)
        )
    return (counts["array"] - counts["run"]) / frames


def by_others(device: str, seconds: float) -> dict[str, dict[str, float]]:
    """Capture a device by this package and by others: frames a second, CPU seconds a frame."""
    programs = {
        "Capture": """
from v4l_dmabuf import Capture
with Capture(device=device, width=1280, height=720, fps=60) as capture:
    for frame in capture:
        take(frame.array())
        frame.release()
""",
        "OpenCV": """
import cv2
camera = cv2.VideoCapture(device, cv2.CAP_V4L2)
for name, value in ((cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"YUYV")),
                    (cv2.CAP_PROP_FRAME_WIDTH, 1280), (cv2.CAP_PROP_FRAME_HEIGHT, 720),
                    (cv2.CAP_PROP_FPS, 60), (cv2.CAP_PROP_CONVERT_RGB, 0)):
    camera.set(name, value)
while True:
    take(camera.read()[1])
""",
        "PyAV": """
import av
options = {"video_size": "1280x720", "framerate": "60", "input_format": "yuyv422"}
for frame in av.open(device, format="v4l2", options=options).decode(video=0):
    take(frame.to_ndarray())
""",
        "linuxpy": """
import numpy
from linuxpy.video.device import Device, VideoCapture
with Device(device) as camera:
    source = VideoCapture(camera)
    source.set_format(1280, 720, "YUYV")
    source.set_fps(60)
    with source:
        for frame in source:
            take(numpy.frombuffer(frame.data, numpy.uint8).reshape(720, 1280, 2))
""",
    }
    head = f"""
import resource, sys, time
device, seconds = {device!r}, {seconds}
count, begun, before = 0, 0.0, 0.0
def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
def where(array):
    # Whether it is in memory that is shared with a device, by the mapping that it lies in.
    address = array.__array_interface__["data"][0]
    for line in open("/proc/self/maps"):
        begin, end = (int(it, 16) for it in line.split()[0].split("-"))
        if begin <= address < end:
            name = line.split(maxsplit=5)[5:]
            shared = ("dmabuf", "memfd", "/dev/video")
            return bool(name) and any(it in name[0] for it in shared)
    return False
def take(array):
    global count, begun, before, shared
    array[0].sum()
    if count == 0:
        shared = where(array)
        begun, before = time.monotonic(), used()
    count += 1
    took = time.monotonic() - begun
    if took >= seconds:
        print((count - 1) / took, (used() - before) / (count - 1), int(shared))
        sys.stdout.flush()
        import os
        os._exit(0)
"""
    told = {}
    for name, code in programs.items():
        done = subprocess.run(
            [sys.executable, "-c", head + code], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            print(f"{name}: {done.stderr.splitlines()[-1:]}", file=sys.stderr)
            continue
        fps, seconds_a_frame, shared = map(float, done.stdout.split())
        told[name] = {
            "frames_per_second": fps,
            "cpu_seconds_per_frame": seconds_a_frame,
            "is_the_buffer": bool(shared),
        }
    return told


def measure(rounds: int, frames: int) -> dict[str, object]:
    """Take all figures that need no device."""
    small, large = frames, max(200, frames // 200)
    cases = [
        ("1080p, `run()` / `run()`", run, HD, large, ""),
        ("1080p, iterating / `run()`, bytes a second", iterate, HD, large, "0.95"),
        ("1080p, with an array and a row of it / `run()`", array, HD, large, "0.93"),
        ("64x48, `run()` / `run()`", run, SMALL, small, ""),
        ("64x48, iterating / `run()`, frames a second", iterate, SMALL, small, "0.4"),
        ("64x48, `async for` / `run()`", asynchronous, SMALL, small, "0.25"),
    ]
    figures, rates = [], {}
    for name, take, size, count, wanted in cases:
        figure, rates[name] = compared(name, take, size, count, rounds, wanted)
        print(figure, rates[name], file=sys.stderr)
        figures.append(figure)
    taps = []
    for number in range(2 * rounds):
        order = [True, False] if number % 2 else [False, True]
        used = {tapped: cpu(HD, 10 * large, tapped=tapped) for tapped in order}
        taps.append(used[True] / used[False])
    figures.append(
        Figure(
            "1080p, sender's CPU a frame, with a tap that drops all / without",
            statistics.median(taps),
            min(taps),
            max(taps),
            "at most 1.05",
        )
    )
    return {
        "figures": [asdict(figure) for figure in figures],
        "rates": rates,
        "left_behind": left_behind(200_000),
        "copied": {
            f"{width}x{height}": copied((width, height), 100)
            for width, height in ((64, 48), (1920, 1080))
        },
    }


def main() -> None:
    """Measure, here or in a guest with a device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=60_000)
    parser.add_argument("--device", help="capture this device, and add it to what is there")
    options = parser.parse_args()
    if options.device is None:
        write(measure(options.rounds, options.frames))
        return
    told = json.loads((CHECKOUT / "bench" / "frames.json").read_text())
    told["devices"] = by_others(options.device, 10)
    write(told)


if __name__ == "__main__":
    main()
