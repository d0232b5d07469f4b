"""The benchmark's arithmetic, and the form of its files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import between_guests, result
from bench.between_guests import CaseError, Load, Peer, figures
from bench.result import COPYING, FLOOR, ZERO_COPY, Results, Spread
from guests.guest import CHECKOUT

LOAD = Load(640, 480, "hold", 30)
FRAME = LOAD.frame_bytes
ENVIRONMENT = {
    "date": "2026-01-02T03:04:05+00:00",
    "commit": "abc",
    "host": {"cpu": "a CPU", "cpus": 2, "kernel": "6"},
    "guests": {"kernel": "6.12", "cpus": 1, "link": "a bridge"},
    "versions": {"iperf3": "iperf 3"},
}


def sample(time: float, idle: float, **more: object) -> dict[str, Any]:
    counters = {"ticks": 0.0, "rx_bytes": 0, "rx_packets": 0, "cpus": 1, "counted": None}
    return {"time": time, "idle": idle, **counters, **more}


def test_figures_are_a_frame_and_without_what_the_link_adds() -> None:
    peer = Peer("a peer", "send", "receive")
    frames, packets = 60, 600
    arrived = frames * FRAME + packets * between_guests.HEADERS
    measured = figures(
        peer,
        LOAD,
        (sample(10, 5), sample(100, 90)),
        (sample(12, 6.4), sample(102, 91.7, rx_bytes=arrived, rx_packets=packets)),
    )
    assert measured["frames_a_second"] == pytest.approx(30)
    assert measured["bytes_a_second"] == pytest.approx(30 * FRAME)
    assert measured["sender_cpu_ms"] == pytest.approx(0.6 / 60 * 1000)
    assert measured["receiver_cpu_ms"] == pytest.approx(0.3 / 60 * 1000)


def test_a_peer_that_counts_by_itself_is_believed() -> None:
    peer = Peer("capture", "capture", counts="<")
    before, after = sample(0, 0, counted=3), sample(2, 1, counted=23)
    measured = figures(peer, LOAD, (before, sample(0, 0)), (after, sample(2, 2)))
    assert measured["frames_a_second"] == pytest.approx(10)
    assert measured["receiver_cpu_ms"] is None


def test_nothing_that_came_is_a_failure_and_no_figure() -> None:
    with pytest.raises(CaseError, match="no frame came"):
        figures(Peer("a", "b", "c"), LOAD, (sample(0, 0),) * 2, (sample(2, 1),) * 2)


def run(peer: str, rotation: int, cpu: float, fps: float = 10.0) -> dict[str, Any]:
    return {
        "peer": peer,
        "rotation": rotation,
        "frames_a_second": fps,
        "bytes_a_second": 1e6,
        "width": 1920,
        "height": 1080,
        "rate": "hold",
        "fps": 10,
        "sender_cpu_ms": cpu,
        "sender_ticks_ms": cpu / 2,
        "receiver_cpu_ms": 5.0,
        "sender_memory": {"peak": 40 << 20, "shared": 16 << 20},
        "receiver_memory": {"peak": 0, "shared": 0},
    }


def results() -> dict[str, Any]:
    runs = [run(ZERO_COPY, n, cpu) for n, cpu in enumerate([2.0, 4.0, 3.0])]
    runs += [run(COPYING, n, cpu) for n, cpu in enumerate([20.0, 20.0, 33.0])]
    runs += [run(FLOOR, n, 1.0, fps=20.0) for n in range(3)]
    failed = {name: runs[0][name] for name in ("width", "height", "rate", "fps")}
    runs.append(
        {"peer": "broken", "rotation": 0, "failed": "the sender ended\nand more", **failed}
    )
    peers = [{"name": name} for name in (ZERO_COPY, COPYING, FLOOR, "broken")]
    return {"environment": ENVIRONMENT, "peers": peers, "runs": runs}


def test_ratios_are_of_cases_of_the_same_rotation() -> None:
    asked = Results(results())
    cases = (COPYING, 1920, "hold"), (ZERO_COPY, 1920, "hold")
    assert asked.ratio(*cases, "sender_cpu_ms") == Spread(10, 5, 11)
    assert asked.above_floor(cases[1]) == Spread(2, 1, 3)
    assert asked.spread((FLOOR, 1920, "saturate"), "sender_cpu_ms") is None


def test_the_table_has_losses_memory_and_failures(tmp_path: Path) -> None:
    result.write(results(), tmp_path)
    table = (tmp_path / "results.md").read_text()
    (row,) = (line for line in table.splitlines() if line.startswith(f"| {ZERO_COPY} |"))
    assert "| 50% | 3.00 (2.00-4.00) | 2.00 (1.00-3.00) |" in row
    assert row.endswith("| 24, - |")
    assert "| broken | failed: the sender ended |" in table
    assert (tmp_path / "cpu.svg").read_text().startswith("<?xml")
    # Made anew of the file alone, it is the same.
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    command = [sys.executable, "-m", "bench.result", str(tmp_path)]
    subprocess.run(command, check=True, cwd=CHECKOUT)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_peers_of_the_repository_can_be_filled_in() -> None:
    peers = between_guests.read_peers(CHECKOUT / "bench/peers.toml")
    assert {ZERO_COPY, COPYING, FLOOR, "iperf3 -Z"} <= {peer.name for peer in peers}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "peer = 3",
        "[[peer]]\nname = 'x'",
        "[[peer]]\nname = 'x'\nsender = 'x'\nreciever = 'y'",
        "[[peer]]\nname = 'x'\nsender = '{adress}'",
        "[[peer]]\nname = 'x'\nsender = 'awk {print}'",
        "[[peer]",
    ],
)
def test_a_file_that_describes_no_peers_is_a_matter_of_usage(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    command = [sys.executable, "-m", "bench.between_guests", "--peers", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "describes no peers" in done.stderr


def test_the_results_of_the_repository_are_those_of_its_tables() -> None:
    folder = CHECKOUT / "bench"
    kept = json.loads((folder / "results.json").read_text())
    assert result.markdown(Results(kept)) == (folder / "results.md").read_text()
