"""What a result has to look like where it is compared: other documents are refused.

Only what is read here: a result of an older version may lack what is new.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_MOST = 1e12
"""Seconds, frames: whatever is more is no measurement, and overflows what is reckoned with it."""
_DEEPEST = 40

Check = Callable[[Any], str | None]
"""Say what a value has to be, or None if it is."""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _is_seconds(value: Any) -> bool:
    # NaN is in no range.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST


def _a(what: str, is_so: Callable[[Any], bool]) -> Check:
    return lambda value: None if is_so(value) else what


def _or_null(check: Check) -> Check:
    def both(value: Any) -> str | None:
        what = None if value is None else check(value)
        return what and f"{what} or null"

    return both


def _one_of(*values: Any) -> Check:
    def is_one(value: Any) -> bool:
        return any(value == each and type(value) is type(each) for each in values)

    return _a(" or ".join("null" if each is None else str(each) for each in values), is_one)


_COUNT = _a("a count", _is_count)
_SECONDS = _a("a number of seconds", _is_seconds)
_TEXT = _a("text", lambda value: isinstance(value, str))
_OBJECT = _a("an object", lambda value: isinstance(value, dict))


def _are_in_range(values: Any, types: set[type]) -> bool:
    """Tell whether it is a list of these types, the numbers of it from 0 on."""
    if not isinstance(values, list) or not set(map(type, values)) <= types:
        return False
    numbers = [value for value in values if value is not None]
    # The sum shows NaN, which compares with nothing.
    return not numbers or (min(numbers) >= 0 and max(numbers) <= _MOST and sum(numbers) >= 0)


_COUNTS = _a("a list of counts", lambda values: _are_in_range(values, {int}))
_TIMES = _a(
    "a list of seconds or nulls", lambda values: _are_in_range(values, {int, float, type(None)})
)

_STAGES = (
    *("at", "capture_age", "before_socket", "into_socket", "into_buffer", "into_dump"),
    *("transfer", "end_to_end", "acknowledged"),
)
_RESULT: dict[str, Check] = {
    "role": _one_of("sender", "receiver", "capture"),
    "outcome": _one_of("complete", "stopped", "short", "failed"),
    "error": _or_null(_TEXT),
    "began": _TEXT,
    "cpu_seconds": _SECONDS,
    **dict.fromkeys(("tool", "settings", "labels", "environment"), _OBJECT),
    **dict.fromkeys(("summary", "samples", "series"), _OBJECT),
    **dict.fromkeys(("stream", "network"), _or_null(_OBJECT)),
}
_SUMMARY: dict[str, Check] = {
    **dict.fromkeys(("frames", "error_frames"), _COUNT),
    **dict.fromkeys(("captured", "drops", "driver_drops", "sender_drops"), _or_null(_COUNT)),
    **dict.fromkeys(("lost", "spoiled", "unwritten", "verified_frames"), _or_null(_COUNT)),
    **dict.fromkeys(("offset_bound", "round_trip"), _or_null(_SECONDS)),
    "incomplete_frames": _COUNT,
    "protocol": _one_of(1, 2, 3, None),
}
_LATER = {"incomplete_frames"}
"""What results of the first version lack."""
_SAMPLES: dict[str, Check] = {
    "stride": _a("a count from 1 on", lambda value: _is_count(value) and value > 0),
    "counter": _COUNTS,
    **dict.fromkeys(_STAGES, _TIMES),
}
_SERIES: dict[str, Check] = {
    "seconds": _a("a length of time", lambda value: _is_seconds(value) and value > 0),
    **dict.fromkeys(("frames", "drops", "sender_drops", "error_frames"), _COUNTS),
}


def fault(document: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a result whose ``summary`` and ``samples`` are there, if anything."""
    if _is_deeper(document, _DEEPEST):
        return "it nests too deep"
    parts: list[tuple[str, Mapping[str, Check]]] = [
        ("", _RESULT),
        ("summary", _SUMMARY),
        ("samples", _SAMPLES),
        ("series", _SERIES),
    ]
    for part, checks in parts:
        values = document[part] if part else document
        for name, check in checks.items():
            whole = f"{part}.{name}" if part else name
            if name not in values:
                if name in _LATER:
                    continue
                return f"it lacks {whole}"
            what = check(values[name])
            if what is not None:
                return f"{whole} is not {what}"
    return (
        _uneven("samples", document["samples"], ("counter", *_STAGES))
        or _uneven("series", document["series"], _SERIES.keys() - {"seconds"})
        or _disorder(document["samples"])
    )


def _uneven(part: str, columns: Mapping[str, Any], names: Any) -> str | None:
    lengths = {len(columns[name]) for name in names}
    return None if len(lengths) == 1 else f"the columns of {part} are not of one length"


def _disorder(samples: Mapping[str, Any]) -> str | None:
    at = np.array([each for each in samples["at"] if each is not None], dtype=np.float64)
    if np.any(np.diff(at) < 0):
        return "samples.at goes back in time"
    if np.any(np.diff(np.array(samples["counter"], dtype=np.int64)) <= 0):
        return "samples.counter does not count up"
    return None


def _is_deeper(value: Any, deepest: int) -> bool:
    level: list[Any] = [value]
    for _ in range(deepest):
        level = [inner for each in level for inner in _nested(each)]
        if not level:
            return False
    return True


def _nested(value: Any) -> list[Any]:
    if not isinstance(value, dict | list):
        return []
    inside = value.values() if isinstance(value, dict) else value
    # Columns of samples are long, and have numbers alone.
    if not any(issubclass(each, dict | list) for each in set(map(type, inside))):
        return []
    return [each for each in inside if isinstance(each, dict | list)]
