"""Whether a long run leaves the process as it was.

A million small frames, both ends in processes of their own, over loopback. After the first tenth
neither may have more descriptors, threads or maps, nor 1 MiB more of memory. Before that it is
seen that a descriptor that is leaked every 1,000 frames is found. With --seconds, 1080p at 60
frames a second for so long instead.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from guests.guest import VENV
from v4l_dmabuf import Receiver, Report

FRAMES = 1_000_000
LEAKY_FRAMES = 200_000
RATE = 20_000
LOCALHOST = "127.0.0.1"
MOST_GROWTH = 1 << 20
"""Bytes of memory that a process may have more after the first tenth."""
INTERVAL = 0.25
SETTLED = 0.1


@dataclass(frozen=True)
class Look:
    """What a process has."""

    descriptors: int
    threads: int
    maps: int
    rss: int


def look(process: int) -> Look:
    """Look at a process from outside."""
    folder = Path(f"/proc/{process}")
    return Look(
        descriptors=sum(1 for _ in (folder / "fd").iterdir()),
        threads=sum(1 for _ in (folder / "task").iterdir()),
        maps=(folder / "maps").read_text().count("\n"),
        rss=int((folder / "statm").read_text().split()[1]) * 4096,
    )


def extremes(looks: list[Look], name: str) -> tuple[int, int]:
    """Give what a process had of something at most in the first tenth, and after it."""
    settled = max(2, int(len(looks) * SETTLED))
    parts = (looks[1:settled], looks[settled:])
    before, after = (max(getattr(one, name) for one in part) for part in parts)
    return before, after


def grown(looks: list[Look]) -> list[str]:
    """Say what a process has more of after the first tenth."""
    found = []
    for name, allowed in (("descriptors", 0), ("threads", 0), ("maps", 0), ("rss", MOST_GROWTH)):
        before, after = extremes(looks, name)
        if after > before + allowed:
            found.append(f"{name}: {before} at most in the first tenth, {after} after it")
    return found


def watched(processes: dict[str, subprocess.Popen[bytes]]) -> dict[str, list[Look]]:
    """Look at processes until one of them ends."""
    looks: dict[str, list[Look]] = {name: [] for name in processes}
    while all(process.poll() is None for process in processes.values()):
        for name, process in processes.items():
            try:
                looks[name].append(look(process.pid))
            except OSError:
                break
        time.sleep(INTERVAL)
    # What a process has when it ends is not what it had along the run.
    return {name: seen[:-2] for name, seen in looks.items()}


def run(port: int, sent: list[str], receiver: list[str]) -> tuple[bool, dict[str, list[Look]]]:
    """Send frames; says whether both ends did, and what they had."""
    commands = str(VENV / "bin/v4l-dmabuf-")
    common = ["-p", str(port), "-e", "memfd", "-q"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "sent.json"
        own = ["-d", "test:still", "-a", LOCALHOST, "--connect-for", "20", "--report", str(report)]
        processes = {
            "sender": subprocess.Popen([f"{commands}sender", *common, *own, *sent]),
            "receiver": subprocess.Popen([*receiver, *common]),
        }
        looks = watched(processes)
        statuses = [process.wait(60) for process in processes.values()]
        document = json.loads(report.read_text())
    print(f"{document['summary']['frames']} frames, {document['summary']['fps']:.0f} a second")
    print(f"the sender's own account: {json.dumps(document['resources'])}")
    return statuses == [0, 0], looks


def leak(port: int) -> None:
    """Receive, and leak a descriptor every 1,000 frames: what the soak is to find."""
    leaked = []
    seen = 0

    def watch(report: Report) -> None:
        nonlocal seen
        while seen + 1000 <= report.frames:
            seen += 1000
            leaked.append(Path("/dev/null").open())  # noqa: SIM115 -- that is the point

    Receiver(listen=LOCALHOST, port=port, heap="memfd").run(progress=watch)


def main() -> int:
    """Soak, and judge."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--seconds", type=int, help="of 1080p at 60 frames a second")
    parser.add_argument("--leak", type=int, metavar="PORT", help=argparse.SUPPRESS)
    # What the receiver's other options are is of no matter to one that leaks.
    options, _ = parser.parse_known_args()
    if options.leak is not None:
        leak(options.leak)
        return 0
    own = [sys.executable, "-m", "bench.soak", "--leak"]
    # At full speed a tenth is what programs take to start.
    small = ["-W", "64", "-H", "48", "--fps", str(RATE), "-n"]
    port = 9871
    done, looks = run(port, [*small, str(LEAKY_FRAMES)], [*own, str(port)])
    found = grown(looks["receiver"])
    print(f"a planted leak: {'; '.join(found) or 'not found'}\n", flush=True)
    is_found = done and any(line.startswith("descriptors") for line in found)
    sent = [*small, str(options.frames)]
    if options.seconds is not None:
        sent = ["-W", "1920", "-H", "1080", "--fps", "60", "--duration", str(options.seconds)]
    receiver = [str(VENV / "bin/v4l-dmabuf-receiver"), "-l", LOCALHOST]
    done, looks = run(port + 1, sent, receiver)
    sound = True
    for name, seen in looks.items():
        found = grown(seen)
        sound &= not found
        before, after = extremes(seen, "rss")
        growth = (after - before) / 1024
        print(f"{name}: {'; '.join(found) or 'nothing more'} ({growth:+.0f} KiB of RSS)")
    return 0 if done and sound and is_found else 1


if __name__ == "__main__":
    sys.exit(main())
