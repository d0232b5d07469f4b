"""How a setting is given on a command line: told beside the setting itself."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Option:
    """The option of a setting. Its default, type and choices are the setting's."""

    help: str
    """What it does, in a line or two."""
    short: str | None = None
    """Its short name, as ``-d``."""
    long: str | None = None
    """Its long name; None: the setting's."""
    metavar: str | None = None
    """What its value is called; None: its name, in capitals."""
    parse: Callable[[str], Any] | None = None
    """Makes its value of the text that was given; None: its type does."""


def byte_count(text: str) -> int:
    """Parse ``1073741824``, ``1024M`` or ``1G``."""
    shift = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper(), 0)
    return int(text[:-1] if shift else text) << shift


_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> float:
    """Parse ``90``, ``90s``, ``1.5h``, ``7d`` or ``1h30m`` as seconds."""
    parts = re.findall(r"(\d+\.?\d*|\.\d+)([smhd])", text)
    if parts and "".join(map("".join, parts)) == text:
        return sum(float(number) * _PERIODS[period] for number, period in parts)
    return float(text)


def label(text: str) -> tuple[str, str]:
    """Parse ``KEY=VALUE``."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError
    return key, value
