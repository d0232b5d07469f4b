"""The figures of a result, by the names that the summary, the comparison and the JSON have."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from v4l_dmabuf.report import STAGES, Report

Document = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A figure of a result."""

    value: float | str | None
    """It, in its unit; None if it is not known."""
    unit: str = ""
    """``s`` for times, ``fps``, ``B``, ``frames``, or nothing."""
    of: int | None = None
    """A count: of so many frames, if that is known."""
    why: str = ""
    """Why it is not known."""
    is_printed: bool = False
    """Whether its name is the one that is printed, where times are in milliseconds."""


_PERCENTILES = {
    "median": "p50",
    "50 %": "p50",
    "90 %": "p90",
    "99 %": "p99",
    "99.9 %": "p99.9",
    **{name: name for name in ("p50", "p90", "p99", "p99.9")},
}
_EXTREMES = {
    "mean": "mean",
    "longest": "most",
    "most": "most",
    "max": "most",
    "shortest": "least",
    "least": "least",
    "min": "least",
}
_STATISTICS = "|".join(
    map(re.escape, sorted({**_PERCENTILES, **_EXTREMES}, key=len, reverse=True))
)
_TIMES = re.compile(rf"(?P<stage>.+?),? (?P<statistic>{_STATISTICS})")

_PRINTED = {words.strip(): stage for stage, words in STAGES.items()}
# As the comparison calls it.
_PRINTED["jitter of the frame interval"] = "jitter"

_HEADS = frozenset(
    {
        *("summary", "settings", "labels", "stream", "environment", "network", "outcome", "error"),
        *("role", "tool", "resources", "cpu_seconds", "steal_seconds", "wall_seconds"),
        *("frames_wanted", "began", "consumers"),
    }
)
_FIELDS = frozenset(field.name for field in fields(Report))


def figure(document: Document, name: str) -> Figure:
    """Give a figure of a result.

    ``name`` is a stage as the summary prints it and a statistic (``capture to buffer p99``,
    ``capture to buffer, 99 %``), another figure as ``v4l-dmabuf-compare`` prints it (``frame
    rate``), or as the JSON has it: ``fps`` and other fields of the summary, ``end_to_end p99``,
    ``environment.kernel.release``.

    Raises:
        KeyError: nothing is called so.

    """
    printed = _OTHERS.get(name)
    if printed is not None:
        return printed(document)
    found = _TIMES.fullmatch(name)
    if found is not None:
        words = found["stage"]
        stage = _PRINTED.get(words, words)
        if words in _PRINTED or re.fullmatch(r"\w+", words):
            return _times(document, stage, found["statistic"], is_printed=words in _PRINTED)
    if is_path(name):
        return _at(document, name.split("."))
    raise KeyError(name)


def is_path(name: str) -> bool:
    """Say whether a name is one of the JSON's."""
    head = name.partition(".")[0]
    return re.fullmatch(r"\w+(\.[\w-]+)*", name) is not None and head in _HEADS | _FIELDS


def _summary(document: Document) -> Document | None:
    summary = document.get("summary")
    return summary if isinstance(summary, dict) else None


_NO_FIGURES = "the run has no figures"


def _times(document: Document, stage: str, statistic: str, *, is_printed: bool) -> Figure:
    summary = _summary(document)
    if summary is None:
        return Figure(None, "s", why=_NO_FIGURES, is_printed=is_printed)
    stages = summary.get("stages")
    times = stages.get(stage) if isinstance(stages, dict) else None
    if not isinstance(times, dict):
        why = summary.get("offset_reason") or summary.get("clock_reason")
        told = f"the run has no times of it{f': {why}' if why else ''}"
        return Figure(None, "s", why=told, is_printed=is_printed)
    percentile = _PERCENTILES.get(statistic)
    if percentile is None:
        value = _number(times.get(_EXTREMES[statistic]))
    else:
        percentiles = times.get("percentiles")
        value = _number(percentiles.get(percentile) if isinstance(percentiles, dict) else None)
    why = f"not enough data: fewer than five of its {times.get('count')} times lie beyond"
    return Figure(value, "s", why="" if value is not None else why, is_printed=is_printed)


def _number(value: Any) -> float | None:
    """Take a number: what a file has may be anything."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None


def _at(document: Document, path: list[str]) -> Figure:
    """Give what the JSON has at a path; the summary's fields need no head."""
    value: Any = document
    head = path[0]
    if head not in document or head in _FIELDS - _HEADS:
        value = _summary(document)
        if value is None:
            return Figure(None, why=_NO_FIGURES)
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    unit = "s" if path[-1] in _SECONDS or path[-1].endswith("seconds") else ""
    if value is None:
        return Figure(None, unit, why="the result does not know it")
    if isinstance(value, bool):
        return Figure("true" if value else "false")
    if isinstance(value, int | float | str):
        return Figure(value, unit)
    return Figure(None, why="it is no single figure")


_SECONDS = frozenset({"offset", "offset_bound", "round_trip"})


def _rate(document: Document) -> Figure:
    found = _at(document, ["fps"])
    is_short = found.why and _summary(document) is not None
    why = "not enough data: fewer than two frames" if is_short else found.why
    return Figure(found.value, "fps", why=why, is_printed=True)


def _seen(summary: Document) -> int:
    """Give how many frames there were to lose."""
    seen = _number(summary.get("captured"))
    if seen is None:
        seen = _number(summary.get("frames"))
    return int((seen or 0) + (_by_the_driver(summary) or 0))


def _by_the_driver(summary: Document) -> float | None:
    return _number(summary.get("drops" if summary.get("captured") is None else "driver_drops"))


def _dropped(summary: Document) -> float | None:
    before = _by_the_driver(summary)
    own = _number(summary.get("sender_drops"))
    # At a receiver of an old version's stream, the gaps have both.
    if summary.get("captured") is None:
        return before
    return None if before is None or own is None else before + own


def _count(of: Callable[[Document], float | None], why: str) -> Callable[[Document], Figure]:
    def counted(document: Document) -> Figure:
        summary = _summary(document)
        if summary is None:
            return Figure(None, "frames", why=_NO_FIGURES, is_printed=True)
        count = of(summary)
        if count is None:
            return Figure(None, "frames", why=why, is_printed=True)
        return Figure(int(count), "frames", of=_seen(summary), is_printed=True)

    return counted


def _field(name: str) -> Callable[[Document], float | None]:
    return lambda summary: _number(summary.get(name))


def _cpu(document: Document) -> Figure:
    frames = _number((_summary(document) or {}).get("frames"))
    spent = _number(document.get("cpu_seconds"))
    if spent is None or not frames:
        return Figure(None, "s", why=_NO_FIGURES, is_printed=True)
    return Figure(spent / frames, "s", is_printed=True)


def _round_trip(document: Document) -> Figure:
    found = _at(document, ["round_trip"])
    return Figure(found.value, "s", why=found.why, is_printed=True)


_UNUSABLE = "the driver's sequence numbers can't tell"
_UNTOLD = "the other side does not tell"
_NOT_VERIFIED = "the run was not verified, or the sender does not tell"

_OTHERS: dict[str, Callable[[Document], Figure]] = {
    "frame rate": _rate,
    "frames dropped": _count(_dropped, _UNUSABLE),
    "frames dropped before the sender had them": _count(_by_the_driver, _UNUSABLE),
    "frames dropped by the sender": _count(_field("sender_drops"), _UNTOLD),
    "frames lost in transit": _count(_field("lost"), _UNTOLD),
    "frames spoiled": _count(_field("spoiled"), _NOT_VERIFIED),
    "frames not written by the driver": _count(_field("unwritten"), _NOT_VERIFIED),
    "incomplete frames": _count(_field("incomplete_frames"), _UNTOLD),
    "frames flagged in error": _count(_field("error_frames"), _UNTOLD),
    "CPU of the process a frame": _cpu,
    "round trip of the fastest clock reading": _round_trip,
}


def names() -> list[str]:
    """Give the names that are printed: of times, and of the others."""
    return [*_PRINTED, *_OTHERS]
