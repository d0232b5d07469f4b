"""What is known of each field of a configuration: told beside the field, by its annotation."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from v4l_dmabuf import values
from v4l_dmabuf.option import Option


@dataclass(frozen=True)
class Takes:
    """What a field takes: its function gets the field's name and what was given."""

    value: Callable[[str, Any], Any]


@dataclass(frozen=True)
class Setting:
    """What is known of a field of a configuration."""

    type: Any
    """Its type, without None."""
    choices: tuple[str | int, ...] | None
    """The values that it may have, if they are few."""
    takes: Callable[[str, Any], Any]
    """Makes its value of its name and what was given, or raises."""
    is_optional: bool
    """Whether it may be None."""
    option: Option | None
    """How a command line gives it."""


def settings(cls: Any) -> dict[str, Setting]:
    """Give what is known of each field of a configuration class, in their order."""
    hints = get_type_hints(cls, include_extras=True)
    return {one.name: _setting(hints[one.name], one.default is None) for one in fields(cls)}


def _setting(hint: Any, is_optional: bool) -> Setting:
    kind, *told = get_args(hint)
    choices = get_args(kind) if get_origin(kind) is Literal else None
    option = next((one for one in told if isinstance(one, Option)), None)
    if choices is not None:
        choose = partial(values.choice, choices=choices)
        return Setting(type(choices[-1]), choices, choose, is_optional, option)
    (takes,) = (one.value for one in told if isinstance(one, Takes))
    first = next(iter(get_args(kind)), kind) if get_origin(kind) in {Union, UnionType} else kind
    return Setting(get_origin(first) or first, None, takes, is_optional, option)


def take_all(config: Any) -> None:
    """Replace what was given by the values that it stands for."""
    for name, setting in settings(config.__class__).items():
        value = getattr(config, name)
        if not (value is None and setting.is_optional):
            # The one change of what is frozen, before anybody else has it.
            object.__setattr__(config, name, setting.takes(name, value))
