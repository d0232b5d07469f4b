"""The benchmark: this project and what people use instead, between two guests.

    python -m bench.between_guests [--rotations N] [--sizes WIDTHxHEIGHT;…]
        [--rates hold,saturate] [--only PEER;…] [--peers FILE] [--cpu CPU] [--output FOLDER]

Each peer captures from vivid in guest A and sends to guest B, each case in turn,
and the whole in rotation. Leaves results.json, and results.md and cpu.svg that
are made of it.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import result
from guests.guest import CHECKOUT, VENV, HungError, NoGuestError, check, describe
from guests.link import RECEIVER_ADDRESS, Ends, best
from guests.remote import Remote, remotes

PORT = 9000
SETTLE = 1.0
"""Seconds between a stream's begin and its measurement."""
WINDOW = 2.5
"""Seconds that are measured, or what `FRAMES` take if that is longer."""
FRAMES = 8
BEGIN_PATIENCE = 25.0
# An Ethernet, an IPv4 and a TCP header with timestamps, once a packet: a packet
# is what the network card hands over, however large offloads made it.
HEADERS = 14 + 20 + 32
BYTES_A_PIXEL = 2
# Inputs of vivid: a webcam has slow rates, and HDMI, by CVT, fast ones.
WEBCAM, HDMI = 0, 3


@dataclass(frozen=True)
class Peer:
    """What is measured: see bench/peers.toml."""

    name: str
    sender: str
    receiver: str | None = None
    counts: str | None = None
    rates: list[str] = field(default_factory=lambda: ["hold", "saturate"])
    widths: list[int] | None = None
    huge_pages: int = 0


@dataclass(frozen=True)
class Load:
    """What the camera gives."""

    width: int
    height: int
    rate: str
    fps: int

    @property
    def frame_bytes(self) -> int:
        """Of YUYV."""
        return self.width * self.height * BYTES_A_PIXEL


LOADS = [
    Load(640, 480, "hold", 30),
    Load(640, 480, "saturate", 240),
    Load(1280, 720, "hold", 15),
    Load(1280, 720, "saturate", 200),
    Load(1920, 1080, "hold", 10),
    Load(1920, 1080, "saturate", 120),
    Load(3840, 2160, "hold", 2),
    Load(3840, 2160, "saturate", 30),
]


class CaseError(Exception):
    """A peer did not do what was asked."""


class PeersError(Exception):
    """A file of peers is none."""


def placeholders(load: Load) -> dict[str, object]:
    """Give what is filled in in a peer's commands."""
    return {
        "device": "/dev/video0",
        "width": load.width,
        "height": load.height,
        "fps": load.fps,
        "address": RECEIVER_ADDRESS,
        "port": PORT,
    }


def prepare(a: Remote, load: Load) -> None:
    """Set the camera up."""
    camera = "v4l2-ctl -d /dev/video0"
    pixels = f"width={load.width},height={load.height},pixelformat=YUYV"
    if load.rate == "hold":
        a.run(f"{camera} -i {WEBCAM} -v {pixels} && {camera} --set-parm={load.fps}")
    else:
        timings = f"cvt,width={load.width},height={load.height},fps={load.fps}"
        a.run(f"{camera} -i {HDMI} --set-dv-bt-timings {timings} && {camera} -v {pixels}")


def measure(a: Remote, b: Remote, peer: Peer, load: Load) -> dict[str, Any]:
    """Run one case, and give its figures."""
    filled = placeholders(load)
    try:
        if peer.receiver is not None:
            b.ask("start", command=peer.receiver.format(**filled))
        # While that starts.
        prepare(a, load)
        a.run(f"echo {peer.huge_pages} > /proc/sys/vm/nr_hugepages")
        if peer.receiver is not None:
            wait_until_it_listens(b)
        a.ask("start", command=peer.sender.format(**filled))
        wait_until_it_flows(a, b, peer)
        time.sleep(SETTLE)
        begun = sample(a, b, peer)
        time.sleep(max(WINDOW, FRAMES / load.fps))
        ended = sample(a, b, peer)
        if not ended[0]["alive"]:
            raise CaseError(f"the sender ended early: {a.ask('stop')['output']}")
        memory = a.ask("memory"), b.ask("memory")
    finally:
        a.ask("stop")
        b.ask("stop")
    return figures(peer, load, begun, ended) | {
        "sender_memory": memory[0],
        "receiver_memory": memory[1],
    }


def wait_until_it_listens(b: Remote) -> None:
    """Wait for B's command."""
    deadline = time.monotonic() + BEGIN_PATIENCE
    while not b.ask("run", command=f"ss -Hltn 'sport = :{PORT}'")["output"]:
        if not b.ask("sample", counts=None)["alive"]:
            raise CaseError(f"the receiver ended: {b.ask('stop')['output']}")
        if time.monotonic() > deadline:
            raise CaseError("the receiver does not listen")
        time.sleep(0.2)


def wait_until_it_flows(a: Remote, b: Remote, peer: Peer) -> None:
    """Wait for the first frames."""
    first = sample(a, b, peer)
    deadline = time.monotonic() + BEGIN_PATIENCE
    while True:
        now = sample(a, b, peer)
        if now[0]["counted"] or now[1]["rx_bytes"] - first[1]["rx_bytes"] > 1 << 19:
            return
        if not now[0]["alive"]:
            raise CaseError(f"the sender ended: {a.ask('stop')['output']}")
        if time.monotonic() > deadline:
            raise CaseError("nothing came")
        time.sleep(0.1)


Samples = tuple[dict[str, Any], dict[str, Any]]


def sample(a: Remote, b: Remote, peer: Peer) -> Samples:
    """Read both guests' counters."""
    return a.ask("sample", counts=peer.counts), b.ask("sample", counts=None)


def figures(peer: Peer, load: Load, begun: Samples, ended: Samples) -> dict[str, Any]:
    """Say what two samples of each guest come to."""
    counters = ("time", "idle", "ticks", "rx_bytes", "rx_packets")
    change = [
        {name: after[name] - before[name] for name in counters}
        for before, after in zip(begun, ended, strict=True)
    ]
    busy = [
        max(0.0, end["time"] * now["cpus"] - end["idle"])
        for end, now in zip(change, ended, strict=True)
    ]
    arrived = change[1]["rx_bytes"] - HEADERS * change[1]["rx_packets"]
    if peer.counts is None:
        frames, seconds = arrived / load.frame_bytes, change[1]["time"]
    else:
        frames, seconds = ended[0]["counted"] - begun[0]["counted"], change[0]["time"]
    if frames < 1:
        raise CaseError("no frame came while it was measured")
    return {
        "frames_a_second": frames / seconds,
        "bytes_a_second": arrived / change[1]["time"],
        "sender_cpu_ms": busy[0] / frames * 1000,
        "receiver_cpu_ms": busy[1] / frames * 1000 if peer.receiver else None,
        "sender_ticks_ms": change[0]["ticks"] / frames * 1000,
        "sender_busy": busy[0] / change[0]["time"],
        "receiver_busy": busy[1] / change[1]["time"],
    }


def environment(a: Remote, ends: Ends) -> dict[str, Any]:
    """Say what this was measured on."""
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    commit = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty"]
    versions = {
        "v4l-dmabuf": "v4l-dmabuf-sender --version",
        "GStreamer": "gst-launch-1.0 --version",
        "ffmpeg": "ffmpeg -version",
        "v4l2-ctl": "v4l2-ctl --version",
        "iperf3": "iperf3 --version",
    }
    told = a.ask("environment")
    # It has paths of whoever measured.
    del told["kernel"]["command_line"]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": subprocess.run(
            commit, capture_output=True, text=True, check=False
        ).stdout.strip(),
        "host": {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release()},
        "guests": {
            "kernel": describe(),
            "cpus": 1,
            "cpu": os.environ.get("GUEST_CPU", "as virtme-ng has it"),
            "link": ends.kind,
            "sender": told,
        },
        "versions": {
            name: a.ask("run", command=f"{command} | head -n 1")["output"].strip()
            for name, command in versions.items()
        },
        "window_seconds": WINDOW,
    }


def read_peers(file: Path) -> list[Peer]:
    """Read a file of peers.

    Raises:
        PeersError: it can't be read, or says something else than bench/peers.toml does.

    """
    try:
        peers = [Peer(**peer) for peer in tomllib.loads(file.read_text())["peer"]]
        for peer in peers:
            for command in filter(None, (peer.sender, peer.receiver)):
                command.format(**placeholders(LOADS[0]))
    except OSError as error:
        raise PeersError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, TypeError, AttributeError, KeyError, ValueError) as error:
        raise PeersError(
            f"{file} describes no peers: {error!r}; bench/peers.toml says how to"
        ) from error
    return peers


def run(options: argparse.Namespace, peers: list[Peer], ends: Ends) -> None:
    """Run all cases, and keep what was measured after each rotation."""
    cases = [
        (peer, load)
        for load in LOADS
        for peer in peers
        if load.rate in peer.rates
        and (peer.widths is None or load.width in peer.widths)
        and load.rate in options.rates.split(",")
        and (not options.sizes or f"{load.width}x{load.height}" in options.sizes.split(";"))
        and (not options.only or peer.name in options.only.split(";"))
    ]
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    runs: list[dict[str, Any]] = []
    with remotes(ends) as (a, b):
        for end in (a, b):
            end.ask("run", command="modprobe udmabuf")
        results = {
            "format": 1,
            "environment": environment(a, ends),
            "peers": [asdict(peer) for peer in peers],
            "runs": runs,
        }
        for rotation in range(options.rotations):
            # Each rotation begins elsewhere, so that no case always follows the same.
            start = rotation * len(cases) // options.rotations
            for peer, load in cases[start:] + cases[:start]:
                case = {"peer": peer.name, "rotation": rotation, **asdict(load)}
                try:
                    case |= measure(a, b, peer, load)
                    print(result.line(case), flush=True)
                except CaseError as error:
                    case["failed"] = str(error)
                    print(f"{result.name(case)}: failed: {error}", flush=True)
                runs.append(case)
            result.write(results, folder)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rotations", type=int, default=5)
    parser.add_argument("--sizes", default="", help="WIDTHxHEIGHT;…")
    parser.add_argument("--rates", default="hold,saturate")
    parser.add_argument("--only", default="", help="PEER;…")
    parser.add_argument("--peers", type=Path, action="append", default=[], help="a file of more")
    parser.add_argument("--cpu", help="the guests' CPU, as QEMU's -cpu takes it")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "bench")
    options = parser.parse_args()
    try:
        peers = read_peers(CHECKOUT / "bench/peers.toml")
        for file in options.peers:
            peers += read_peers(file)
    except PeersError as error:
        parser.error(str(error))
    if options.cpu:
        os.environ["GUEST_CPU"] = options.cpu
    try:
        check()
        joined = best()
        print(f"two guests: {describe()}", flush=True)
        with joined as ends:
            run(options, peers, ends)
    except (NoGuestError, HungError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"look at {(options.output / 'results.md')}")
    return 0


if __name__ == "__main__":
    assert VENV.exists(), "make build makes it"
    sys.exit(main())
