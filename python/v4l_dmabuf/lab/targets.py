"""Machines of a labgrid environment: those of its targets that have an SSHDriver."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from v4l_dmabuf.lab.host import Host, HostError

T = TypeVar("T")

_LOOK_AGAIN = 0.05


def beside(call: Callable[[], T]) -> T:
    """Run a call on a thread that an interrupt at the terminal leaves alone, and its children.

    Whoever waits here is interrupted; labgrid's connections have to last beyond that.
    """
    outcome: list[Any] = []

    def run() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            outcome.append((call(), None))
        # Whatever it is, it is raised where it was called from.
        except BaseException as error:  # noqa: BLE001
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_AGAIN)
    result, error = outcome[0]
    if error is not None:
        raise error
    told: T = result
    return told


class _Said(logging.Handler):
    """Keeps the last line of ssh's that says something."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line."""
        if record.levelno >= logging.WARNING:
            line = record.getMessage().removeprefix("ssh: ").strip()
            self.last = line or self.last


class _Target:
    """A target of labgrid's, and its connection."""

    def __init__(self, environment: Any, name: str, file: Path) -> None:
        self._name = name
        target = beside(lambda: environment.get_target(name))
        if target is None:
            known = ", ".join(environment.config.get_targets()) or "none"
            raise HostError(f"{file} has no target {name!r}; its targets: {known}")
        self._target = target
        self._driver = target.get_driver("SSHDriver", activate=False)
        self._ssh = environment.config.get_tool("ssh")
        self._said = _Said()
        # What ssh says is told with the error, not each time that it is tried.
        self._driver.logger.addHandler(self._said)
        self._driver.logger.propagate = False

    def connect(self) -> list[str]:
        """Connect, anew if need be; give what runs a command there."""

        def activate() -> None:
            self._target.deactivate(self._driver)
            self._target.activate(self._driver)

        try:
            beside(activate)
        # labgrid raises what it likes, Exception itself among it.
        except Exception as error:
            said = f" ({self._said.last})" if self._said.last else ""
            raise HostError(f"{self._name}: cannot connect: {_line(error)}{said}") from error
        service = self._driver.networkservice
        user = self._driver.username or service.username
        return [
            *(self._ssh, "-x", *self._driver.ssh_prefix, "-p", str(service.port), "-l", user),
            service.address,
        ]

    @property
    def address(self) -> str:
        """By which it is reached."""
        address: str = self._driver.networkservice.address
        return address


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def targets(file: Path, names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """Connect to targets of a labgrid environment, in the context of a block.

    Raises:
        HostError: the file can't be read, has no such target, or one can't be reached.
        ImportError: labgrid is not installed.

    """
    # The extra `lab` brings it. It has no types.
    labgrid: Any = import_module("labgrid")
    try:
        environment: Any = beside(lambda: labgrid.Environment(str(file)))
        found = {name: _Target(environment, name, file) for name in names}
    except HostError:
        raise
    # labgrid raises what it likes, Exception itself among it.
    except Exception as error:
        raise HostError(f"{file}: {_line(error)}") from error
    try:
        yield {
            name: Host(name, target.connect(), target.address, target.connect)
            for name, target in found.items()
        }
    finally:
        beside(environment.cleanup)
