"""Two joined guests that do what they are told: each runs an agent (agent.py)."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
from collections.abc import Iterator
from typing import Any

from guest import Guest, HungError
from link import Ends

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

    def run(self, command: str) -> str:
        """Run a command that has to succeed."""
        answer = self.ask("run", command=command)
        if answer.get("status") != 0:
            raise HungError(f"in a guest: {command}: {answer}")
        return str(answer["output"])


@contextlib.contextmanager
def remotes(ends: Ends) -> Iterator[tuple[Remote, Remote]]:
    """Boot guest A, which has the camera, and guest B."""
    # What is run there may want to name the network's device.
    command = 'export link; python tools/agent.py "$link"'
    answers: tuple[queue.Queue[str], queue.Queue[str]] = (queue.Queue(), queue.Queue())

    def boot(end: int) -> Guest:
        return Guest(
            command,
            link=(ends.sender, ends.receiver)[end],
            memory="2G",
            interactive=True,
            stdout=answers[end].put,
            stderr=lambda line: print(f"{'AB'[end]} {line}", end="", file=sys.stderr),
        )

    with boot(1) as b:
        b.wait_for_link()
        with boot(0) as a:
            pair = Remote(a, answers[0]), Remote(b, answers[1])
            for remote in pair:
                remote.ask("run", command="true", patience=_BOOT_PATIENCE)
            yield pair
