"""Two joined guests that do what they are told: each runs an agent (agent.py)."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guests.guest import Guest, HungError
from guests.link import Ends, Link

_BOOT_PATIENCE = 180.0


class Remote:
    """A guest with an agent in it."""

    def __init__(self, guest: Guest, answers: queue.Queue[str]) -> None:
        """Speak to the agent of ``guest``, whose output goes to ``answers``."""
        self._guest = guest
        self._answers = answers

    def ask(self, do: str, *, patience: float = 60.0, **arguments: object) -> dict[str, Any]:
        """Have the agent do something."""
        try:
            self._guest.write(json.dumps({"do": do, **arguments}) + "\n")
            answer: dict[str, Any] = json.loads(self._answers.get(timeout=patience))
        except (queue.Empty, BrokenPipeError):
            raise HungError(
                f"no answer to {do!r}; the guest's console:\n{self._guest.console()}"
            ) from None
        return answer

    def wait_until_booted(self) -> None:
        """Wait for the agent's first answer."""
        self.ask("run", command="true", patience=_BOOT_PATIENCE)

    def run(self, command: str) -> str:
        """Run a command that has to succeed."""
        answer = self.ask("run", command=command)
        if answer.get("status") != 0:
            raise HungError(f"in a guest: {command}: {answer}")
        return str(answer["output"])


@contextlib.contextmanager
def remote(name: str, link: Link, *, xen: Path | None = None) -> Iterator[Remote]:
    """Boot a guest that is called ``name``, as a domain of ``xen`` if there is one."""
    answers: queue.Queue[str] = queue.Queue()
    with Guest(
        # What is run there may want to name the network's device.
        'export link; python -m guests.agent "$link"',
        link=link,
        memory="2G",
        xen=xen,
        interactive=True,
        stdout=answers.put,
        stderr=lambda line: print(f"{name} {line}", end="", file=sys.stderr),
    ) as guest:
        guest.wait_for_link()
        booted = Remote(guest, answers)
        yield booted


@contextlib.contextmanager
def remotes(ends: Ends) -> Iterator[tuple[Remote, Remote]]:
    """Boot guest A, which has the camera, and guest B."""
    with remote("B", ends.receiver) as b, remote("A", ends.sender) as a:
        for each in (a, b):
            each.wait_until_booted()
        yield a, b
