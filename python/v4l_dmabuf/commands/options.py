"""Command-line options that are the settings of a configuration class."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from v4l_dmabuf import _core
from v4l_dmabuf.config import LAST, ReceiverConfig, SenderConfig
from v4l_dmabuf.option import Option
from v4l_dmabuf.receiver import Receiver
from v4l_dmabuf.sender import Sender
from v4l_dmabuf.setting import Setting, settings

End = TypeVar("End", Sender, Receiver)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {value}")
    return value


class Options:
    """The options of a command: those of its settings, and what all commands have."""

    def __init__(
        self, program: str, description: str, config_class: type[SenderConfig | ReceiverConfig]
    ) -> None:
        self.parser = argparse.ArgumentParser(
            prog=program,
            description=description,
            epilog="Exit status: 0 done, 1 failed, 2 usage, 3 the stream was cut or is not sound, "
            "130 interrupted.",
        )
        self._settings = settings(config_class)
        self._defaults = {field.name: field.default for field in fields(config_class)}
        # What must be told comes first.
        by_need = sorted(self._settings, key=self._place)
        for name in by_need:
            setting = self._settings[name]
            if setting.option is not None:
                self._add(name, setting, setting.option)
        self._add_common()

    def _place(self, name: str) -> tuple[bool, int]:
        last = 1 + LAST.index(name) if name in LAST else 0
        return self._defaults[name] is not MISSING, last

    def _add(self, name: str, setting: Setting, option: Option) -> None:
        long = option.long or "--" + name.replace("_", "-")
        flags = [*([option.short] if option.short else []), long]
        if setting.type is bool:
            self.parser.add_argument(
                *flags, action="store_true", default=argparse.SUPPRESS, help=option.help
            )
            return
        default = self._defaults[name]
        is_mapping = isinstance(setting.type, type) and issubclass(setting.type, Mapping)
        told = "" if default in {MISSING, None} else f" (default: {default})"
        self.parser.add_argument(
            *flags,
            type=option.parse or (setting.type if setting.type in {int, float} else str),
            action="append" if is_mapping else "store",
            choices=setting.choices,
            dest=name,
            metavar=option.metavar or long.removeprefix("--").upper(),
            help=option.help + told,
            required=default is MISSING and not is_mapping,
            default=argparse.SUPPRESS,
        )

    def _add_common(self) -> None:
        self.parser.add_argument(
            "-n", "--frames", type=_count, metavar="N", help="stop after N frames (default: never)"
        )
        talk = self.parser.add_mutually_exclusive_group()
        talk.add_argument(
            "-v", "--verbose", dest="level", action="store_const", const=logging.DEBUG,
            default=logging.INFO, help="say more",
        )  # fmt: skip
        talk.add_argument(
            "-q", "--quiet", dest="level", action="store_const", const=logging.WARNING,
            help="say nothing but warnings and errors",
        )  # fmt: skip
        self.parser.add_argument("--version", action="version", version=_core.__version__)

    def parse(self, arguments: Sequence[str] | None) -> tuple[argparse.Namespace, dict[str, Any]]:
        """Give all options, and those of them that are the configuration's."""
        options = self.parser.parse_args(arguments)
        given = {name: value for name, value in vars(options).items() if name in self._settings}
        if "labels" in given:
            given["labels"] = dict(given["labels"])
        return options, given

    def make(self, endpoint: type[End], given: dict[str, Any]) -> End:
        """Make the endpoint; what its configuration refuses is a matter of usage."""
        try:
            return endpoint(**given)
        except ValueError as error:
            self.parser.error(str(error))
