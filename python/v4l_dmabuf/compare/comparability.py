"""Whether two sides can be compared at all, and what differs that may explain a difference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from v4l_dmabuf.compare.runs import Run

_MUST_MATCH = {
    "role": ("role",),
    "tool": ("tool", "version"),
    "protocol": ("summary", "protocol"),
    "format": ("summary", "format"),
    "width": ("summary", "width"),
    "height": ("summary", "height"),
    "frame bytes": ("summary", "sizeimage"),
    "memory planes": ("summary", "planes"),
    "memory": ("summary", "memory"),
    "heap": ("summary", "heap"),
    "buffers": ("summary", "buffers"),
    "without a copy": ("summary", "zero_copy"),
    "rate asked for": ("settings", "fps"),
    "on overrun": ("settings", "on_overrun"),
    "verified": ("settings", "verify"),
}
"""What has to be the same, or figures say nothing of the systems: where it is in a result."""

_OF_THE_SENDER = {
    "sender's memory": ("stream", "memory"),
    "sender's heap": ("stream", "heap"),
    "sender sends without a copy": ("stream", "zero_copy"),
    "sender's frame interval": ("stream", "frame_interval"),
    "sender verifies": ("stream", "verify"),
}
"""What a receiver's result tells of that in its sender, in place of settings."""

# The frame interval among them: what a driver grants is its own doing.
_OF_THE_DEVICE = (
    *("driver", "card", "bus", "capabilities", "frame_interval"),
    *("timestamp_flags", "field", "colorimetry"),
)


@dataclass(frozen=True)
class Difference:
    """Something that is not the same on both sides."""

    name: str
    """What."""
    a: tuple[Any, ...]
    """The values of the first side's runs, each once."""
    b: tuple[Any, ...]
    """The second's."""


def mismatches(a: Sequence[Run], b: Sequence[Run]) -> list[Difference]:
    """Give what has to be the same in all runs and is not."""
    receivers = all(run.document["role"] == "receiver" for run in [*a, *b])
    found = []
    for name, path in (_MUST_MATCH | (_OF_THE_SENDER if receivers else {})).items():
        values = _values(a, path), _values(b, path)
        if values[0] != values[1] or len(values[0]) != 1:
            found.append(Difference(name, *values))
    return found


def explanations(a: Sequence[Run], b: Sequence[Run]) -> list[Difference]:
    """Give what differs in environment, labels and clocks, and may explain other figures."""
    paths = {
        ("frames_wanted",),
        ("summary", "clock"),
        *(("network", name) for name in ("driver", "mtu", "speed")),
        *(("stream", name) for name in _OF_THE_DEVICE),
    }
    for run in [*a, *b]:
        for part in ("environment", "labels"):
            paths.update(_leaves(run.document.get(part) or {}, (part,)))
        offloads = (run.document["network"] or {}).get("offloads")
        paths.update(_leaves(offloads, ("network", "offloads")))
    found = []
    for path in sorted(paths):
        values = _values(a, path), _values(b, path)
        if values[0] != values[1]:
            found.append(Difference(" ".join(path).replace("_", " "), *values))
    return found


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    else:
        yield path


def _values(runs: Sequence[Run], path: tuple[str, ...]) -> tuple[Any, ...]:
    seen: list[Any] = []
    for run in runs:
        value: Any = run.document
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value not in seen:
            seen.append(value)
    return tuple(seen)
