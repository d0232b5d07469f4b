"""Results to compare: a real run's, and others made of it."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import SHM, receiver_command, sender_command
from v4l_dmabuf.compare import Run

Document = dict[str, Any]


@pytest.fixture(scope="module")
def real() -> Document:
    """Give a real run's result; figures of its are then replaced."""
    path = SHM / f"v4l-dmabuf-{np.random.default_rng().integers(1 << 60)}.json"
    try:
        with receiver_command(9763), sender_command(9763, "-n", 30, "--report", path) as sent:
            assert sent.wait() == 0, sent.stderr
        document: Document = json.loads(path.read_text())
    finally:
        path.unlink(missing_ok=True)
    return document


def noise(generator: np.random.Generator, frames: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Give numbers around 0 each of which takes after the one before."""
    values = np.empty(frames)
    values[0] = generator.normal()
    for n in range(1, frames):
        values[n] = 0.8 * values[n - 1] + 0.6 * generator.normal()
    return values


def run(
    real: Document,
    seed: int,
    *,
    frames: int = 300,
    latency_ms: float = 5.0,
    fps: float = 30.0,
    drops: int = 0,
    spread: float = 0.05,
) -> Run:
    """Make a run whose latencies and intervals are as correlated as real ones."""
    generator = np.random.default_rng(seed)
    document = copy.deepcopy(real)
    whole = latency_ms * (1 + spread * generator.normal())
    latencies = whole * np.exp(0.1 * noise(generator, frames)) / 1e3
    at = np.arange(frames) / fps + 0.0005 * noise(generator, frames)
    samples: dict[str, Sequence[float | None]] = {
        name: [None] * frames for name in document["samples"] if name != "stride"
    }
    samples |= {"at": (at - at[0]).tolist(), "transfer": latencies.tolist()}
    samples["counter"] = list(range(frames))
    document["samples"] = {"stride": 1, **samples}
    document["cpu_seconds"] = frames * 0.002 * (1 + 0.02 * generator.normal())
    document["summary"] |= {
        "frames": frames,
        "captured": frames,
        "driver_drops": drops,
        "drops": drops,
        "round_trip": 0.001 * (1 + 0.05 * generator.normal()),
        "offset_bound": 0.0002,
    }
    return Run(Path(f"run-{seed}.json"), document)


def runs(real: Document, first: int, count: int = 5, **fields: Any) -> list[Run]:
    return [run(real, seed, **fields) for seed in range(first, first + count)]


def row(comparison: Any, name: str) -> Any:
    return next(row for row in comparison.rows if row.name == name)


def without(several: list[Run], stage: str) -> list[Run]:
    for each in several:
        samples = each.document["samples"]
        samples[stage] = [None] * len(samples[stage])
    return several


def written(tmp_path: Path, side: str, several: list[Run]) -> list[str]:
    paths = []
    for each in several:
        path = tmp_path / f"{side}-{each.path.name}"
        path.write_text(json.dumps(each.document))
        paths.append(str(path))
    return paths
