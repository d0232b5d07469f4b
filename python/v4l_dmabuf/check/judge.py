"""Judges a result by limits."""

from collections.abc import Iterable
from typing import Any

from v4l_dmabuf.check.figures import Document, Figure, figure
from v4l_dmabuf.check.limits import AtLeast, AtMost, Grows, Limit, Quantity, Required
from v4l_dmabuf.verdicts import Outcome, Verdict
from v4l_dmabuf.verdicts.verdict import number


def check(document: Document, limits: Iterable[Limit]) -> list[Verdict]:
    """Judge a result: the run itself, and each limit."""
    return [_run(document), *(_judge(document, limit) for limit in limits)]


def _run(document: Document) -> Verdict:
    """Judge the run: it is to have done what was asked for."""
    outcome, error = document.get("outcome"), document.get("error")
    is_done = error is None and outcome == "complete"
    why = "" if error is None else str(error)
    return Verdict(
        "run",
        Outcome.PASS if is_done else Outcome.FAIL,
        str(outcome),
        limit="is to be complete",
        why=why,
    )


def _judge(document: Document, limit: Limit) -> Verdict:
    match limit:
        case Grows():
            return _grown(document, limit)
        case Required():
            return _required(figure(document, limit.name), limit)
        case _:
            return _bounded(figure(document, limit.name), limit)


def _skip(name: str, limit: str, why: str, unit: str = "") -> Verdict:
    return Verdict(name, Outcome.SKIP, unit=unit, limit=limit, why=why)


def _required(found: Figure, limit: Required) -> Verdict:
    told = f"is to be {limit.value}"
    if found.value is None:
        return _skip(limit.name, told, found.why)
    value = found.value if isinstance(found.value, str) else number(found.value)
    is_it = value == limit.value or _is_number(found.value, limit.value)
    outcome = Outcome.PASS if is_it else Outcome.FAIL
    return Verdict(limit.name, outcome, found.value, found.unit, told)


def _is_number(value: Any, text: str) -> bool:
    try:
        return not isinstance(value, str) and float(value) == float(text)
    except ValueError:
        return False


def _bounded(found: Figure, limit: AtMost | AtLeast) -> Verdict:
    bound = limit.bound
    words = "at most" if isinstance(limit, AtMost) else "at least"
    # A printed time without a unit is in milliseconds, as it is printed.
    is_bare_time = found.unit == "s" and not bound.unit and found.is_printed
    told = f"{words} {bound.text}{' ms' if is_bare_time else ''}"
    if found.value is None:
        return _skip(limit.name, told, found.why)
    if isinstance(found.value, str):
        return _skip(limit.name, told, f"{found.value!r} is no number")
    share = _share(found, bound)
    if share is None and bound.unit not in {"", found.unit}:
        return _skip(limit.name, told, f"it is in {found.unit or 'no unit'}, and the limit is not")
    value = found.value if share is None else share
    most = bound.value * (1e-3 if is_bare_time else 1)
    is_within = value <= most if isinstance(limit, AtMost) else value >= most
    is_time = found.unit == "s" and found.is_printed
    shown, unit = (value * 1e3, "ms") if is_time else (value, found.unit)
    if share is not None:
        shown, unit = share * 100, "%"
    why = "" if found.of is None else f"{number(found.value)} of {found.of} frames"
    outcome = Outcome.PASS if is_within else Outcome.FAIL
    return Verdict(limit.name, outcome, shown, unit, told, why)


def _share(found: Figure, bound: Quantity) -> float | None:
    """Give a count as a share of the frames, where the limit is one."""
    if bound.unit != "%" or not found.of or isinstance(found.value, str | None):
        return None
    return found.value / found.of


def _grown(document: Document, limit: Grows) -> Verdict:
    name = f"growth of {limit.resource}"
    told = f"at most {limit.text}"
    resources = document.get("resources")
    resource = resources.get(limit.resource) if isinstance(resources, dict) else None
    if not isinstance(resource, dict):
        return _skip(name, told, "the result does not have it")
    slope = resource.get("slope")
    if not isinstance(slope, int | float):
        why = "not enough data: a run of less than ten minutes has no slope"
        return _skip(name, told, why)
    outcome = Outcome.PASS if slope * limit.period <= limit.bound.value else Outcome.FAIL
    unit = "B/h" if limit.resource in {"rss", "dmabuf_bytes"} else "/h"
    return Verdict(name, outcome, slope * 3600, unit, told)
