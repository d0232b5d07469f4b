"""Limits on figures: as options give them, and as a TOML file does."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v4l_dmabuf.check.figures import figure, names


class LimitError(ValueError):
    """A limit can't be understood."""


_SCALES = {
    "": ("", 1.0),
    "us": ("s", 1e-6),
    "µs": ("s", 1e-6),
    "ms": ("s", 1e-3),
    "s": ("s", 1.0),
    "min": ("s", 60.0),
    "h": ("s", 3600.0),
    "fps": ("fps", 1.0),
    "frames": ("frames", 1.0),
    "%": ("%", 0.01),
    "B": ("B", 1.0),
    "K": ("B", 2.0**10),
    "M": ("B", 2.0**20),
    "G": ("B", 2.0**30),
}
_PERIODS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([a-zA-Zµ%]*)\s*")


@dataclass(frozen=True)
class Quantity:
    """A number and its unit, as given."""

    value: float
    unit: str
    """``s``, ``fps``, ``frames``, ``%``, ``B``; empty where none was given."""
    text: str

    @classmethod
    def parse(cls, text: str) -> "Quantity":
        """Parse ``50ms``, ``29.97``, ``0.1%`` or ``1M``.

        Raises:
            LimitError: it is none of these.

        """
        found = _NUMBER.fullmatch(text)
        if found is None or found[2] not in _SCALES:
            units = ", ".join(unit for unit in _SCALES if unit)
            raise LimitError(f"{text!r} is no number, alone or with one of {units}")
        unit, scale = _SCALES[found[2]]
        return cls(float(found[1]) * scale, unit, text.strip())


@dataclass(frozen=True)
class AtMost:
    """A figure is to be this at most."""

    name: str
    bound: Quantity


@dataclass(frozen=True)
class AtLeast:
    """A figure is to be this at least."""

    name: str
    bound: Quantity


@dataclass(frozen=True)
class Grows:
    """A resource is to grow by this at most."""

    resource: str
    bound: Quantity
    period: float
    """Seconds in which it may."""
    text: str


@dataclass(frozen=True)
class Required:
    """A figure is to be this."""

    name: str
    value: str


Limit = AtMost | AtLeast | Grows | Required

RESOURCES = ("rss", "descriptors", "threads", "dmabufs", "dmabuf_bytes")


def _known(name: str) -> str:
    """Take the name of a figure: a run that has none of it would be told of too late."""
    name = name.strip()
    try:
        figure({}, name)
    except KeyError:
        raise LimitError(
            f"no figure is called {name!r}: give one as the JSON has it, or one of "
            f"{', '.join(names())}; with times goes a statistic, as in 'capture to buffer p99'"
        ) from None
    return name


def _quantity(value: Any) -> Quantity:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise LimitError(f"{value!r} is no number")
    return Quantity.parse(str(value))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not equals or not name.strip():
        raise LimitError(f"{text!r} is not NAME=VALUE")
    return name, value


def at_most(text: str) -> list[Limit]:
    """Parse ``capture to buffer p99=50ms``."""
    name, value = _pair(text)
    return [AtMost(_known(name), Quantity.parse(value))]


def at_least(text: str) -> list[Limit]:
    """Parse ``frame rate=29.9``."""
    name, value = _pair(text)
    return [AtLeast(_known(name), Quantity.parse(value))]


def grows(text: str) -> list[Limit]:
    """Parse ``rss=1M/h``."""
    return [_growth(*_pair(text))]


def _growth(resource: str, value: Any) -> Grows:
    resource, text = resource.strip(), str(value)
    amount, slash, period = text.partition("/")
    if resource not in RESOURCES:
        raise LimitError(f"{resource!r} is none of {', '.join(RESOURCES)}")
    if not slash or period.strip() not in _PERIODS:
        raise LimitError(f"{text!r} is no growth, as 1M/h: a number, and s, min, h or d")
    return Grows(resource, Quantity.parse(amount), _PERIODS[period.strip()], text)


def required(text: str) -> list[Limit]:
    """Parse ``memory=dmabuf,zero_copy=true``."""
    pairs = [_pair(part) for part in text.split(",")]
    return [Required(_known(name), value.strip()) for name, value in pairs]


def min_fps(text: str) -> list[Limit]:
    """Parse ``29.9``."""
    return [AtLeast("frame rate", Quantity.parse(text))]


def max_drops(text: str) -> list[Limit]:
    """Parse ``0`` or ``0.1%``."""
    return [AtMost("frames dropped", Quantity.parse(text))]


def max_lost(text: str) -> list[Limit]:
    """Parse ``0`` or ``0.1%``."""
    return [AtMost("frames lost in transit", Quantity.parse(text))]


_SIMPLE = {"min-fps": min_fps, "max-drops": max_drops, "max-lost": max_lost}


def from_toml(path: Path) -> list[Limit]:
    """Read limits from a file: the options' names, and tables of ``max``, ``min`` and so on.

    Raises:
        LimitError: the file can't be read, or a limit can't be understood.

    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LimitError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise LimitError(f"{path} is no TOML: {error}") from error
    try:
        return [limit for name, told in document.items() for limit in _told(name, told)]
    except LimitError as error:
        raise LimitError(f"{path}: {error}") from error


def _told(name: str, told: Any) -> list[Limit]:
    simple = _SIMPLE.get(name)
    if simple is not None:
        return simple(_quantity(told).text)
    if name not in {"max", "min", "max-growth", "require"}:
        tables = "max, min, max-growth, require"
        raise LimitError(f"{name!r} is none of {', '.join(_SIMPLE)}, or a table of {tables}")
    if not isinstance(told, Mapping):
        raise LimitError(f"{name} is a table: [{name}]")
    match name:
        case "max":
            return [AtMost(_known(key), _quantity(value)) for key, value in told.items()]
        case "min":
            return [AtLeast(_known(key), _quantity(value)) for key, value in told.items()]
        case "max-growth":
            return [_growth(key, value) for key, value in told.items()]
        case _:
            return [Required(_known(key), _plain(value)) for key, value in told.items()]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float | str):
        raise LimitError(f"{value!r} is no single value")
    return str(value)
