"""What callers give, as the values that settings have.

Programs have paths as `os.PathLike`, and whole numbers and fractions from numpy and the like.
Each function here takes what can stand for its type, looks at the type before anything else, and
says in its error which setting it is, what is expected, and what came.
"""

import math
import operator
import os
import reprlib
from collections.abc import Mapping
from typing import Any

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 200


def wrong_type(name: str, expected: str, value: object) -> TypeError:
    """Give the error for a value of a type that can't stand for the right one."""
    return TypeError(f"{name} is {expected}, not {_told(value)} of type {type(value).__name__}")


def wrong_value(name: str, expected: str, value: object) -> ValueError:
    """Give the error for a value that is out of its range."""
    return ValueError(f"{name} is {expected}, not {_told(value)}")


def _told(value: object) -> str:
    return _REPR.repr(value)


def text(name: str, value: Any, expected: str) -> str:
    """Take a string that can be passed on: UTF-8, and without NUL."""
    if not isinstance(value, str):
        raise wrong_type(name, expected, value)
    if not value or "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise wrong_value(name, expected, value)
    return value


def path(name: str, value: Any, expected: str = "a path") -> str:
    """Take a string or an `os.PathLike` of one."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise wrong_type(name, expected, value)
    if not value or "\0" in value:
        raise wrong_value(name, expected, value)
    return value


def fourcc(name: str, value: Any) -> str:
    """Take a pixel format's name: four characters, and ``-BE`` behind them or not."""
    expected = "four characters such as 'YUYV' or 'Y16 '"
    letters = text(name, value, expected).removesuffix("-BE")
    if len(letters) != 4 or not (letters.isascii() and letters.isprintable()):
        raise wrong_value(name, expected, value)
    return str(value)


def whole(name: str, value: Any, least: int, most: int) -> int:
    """Take whatever is an integer by itself (``__index__``), and no bool."""
    expected = f"a whole number from {least} to {most}"
    if is_flag(value):
        raise wrong_type(name, expected, value)
    try:
        number = operator.index(value)
    except TypeError:
        raise wrong_type(name, expected, value) from None
    if not least <= number <= most:
        raise wrong_value(name, expected, number)
    return number


def positive(name: str, value: Any, most: float = 1e9) -> float:
    """Take whatever is a number (``__float__``), and neither text nor bool."""
    expected = f"a number above 0, at most {most:g}"
    if isinstance(value, str | bytes | bytearray) or is_flag(value):
        raise wrong_type(name, expected, value)
    try:
        number = float(value)
    except OverflowError:
        raise wrong_value(name, expected, value) from None
    except (TypeError, ValueError):
        raise wrong_type(name, expected, value) from None
    if not (math.isfinite(number) and 0 < number <= most):
        raise wrong_value(name, expected, value)
    return number


def seconds(name: str, value: Any, most: float = 1e9) -> float:
    """Take whatever is a number (``__float__``), 0 or more, and neither text nor bool."""
    if not is_flag(value) and value == 0:
        return 0.0
    return positive(name, value, most)


def is_flag(value: Any) -> bool:
    """Tell whether it is True or False, Python's own or numpy's."""
    return isinstance(value, bool) or type(value).__name__ in {"bool", "bool_"}


def flag(name: str, value: Any) -> bool:
    """Take True or False."""
    if not is_flag(value):
        raise wrong_type(name, "True or False", value)
    return bool(value)


def choice(name: str, value: Any, choices: tuple[str | int, ...]) -> str | int:
    """Take one of some words or numbers."""
    *first, last = choices
    expected = f"{', '.join(map(str, first))} or {last}"
    if isinstance(last, int) and not is_flag(value):
        try:
            value = operator.index(value)
        except TypeError:
            raise wrong_type(name, expected, value) from None
    if is_flag(value) or not isinstance(value, type(last)):
        raise wrong_type(name, expected, value)
    if value not in choices:
        raise wrong_value(name, expected, value)
    return value


def labels(name: str, value: Any) -> dict[str, str]:
    """Take names and texts."""
    expected = "a mapping of names to texts"
    if not isinstance(value, Mapping):
        raise wrong_type(name, expected, value)
    for key, told in value.items():
        for part in (key, told):
            if not isinstance(part, str):
                raise wrong_type(name, expected, part)
        if not key:
            raise wrong_value(name, expected, dict(value))
    return dict(value)


def host_and_port(address: str) -> tuple[str, int]:
    """Split ``[ADDRESS:]PORT``; without an address it is this machine's own."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    return host, int(port)


def listening(name: str, value: Any) -> str:
    """Take where to listen: ``[ADDRESS:]PORT``, an IPv6 address in brackets."""
    expected = "[ADDRESS:]PORT, as in 8080 or [::1]:8080"
    told = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    address = text(name, told, expected)
    try:
        host, port = host_and_port(address)
    except ValueError:
        raise wrong_value(name, expected, value) from None
    if not 0 <= port <= 0xFFFF or not host.strip():
        raise wrong_value(name, expected, value)
    return address
