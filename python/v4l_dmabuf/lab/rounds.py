"""Streams of one or two senders, in turn: whatever else changes meets both alike."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from v4l_dmabuf.lab.host import HostError
from v4l_dmabuf.lab.transfer import Stream, Transfer, transfer


@dataclass(frozen=True)
class Side:
    """One of what is compared."""

    name: str
    """What its results are called."""
    stream: Stream


def rounds(
    sides: Sequence[Side],
    runs: int,
    folder: Path,
    *,
    warm_up: int = 0,
    tell: Callable[[Side, int, str], None] = lambda _side, _number, _line: None,
) -> Iterator[tuple[Side, int, Transfer]]:
    """Run each side ``runs`` times, in turn; give each with its number, from 1 on.

    Before that ``warm_up`` runs of each don't count, and their numbers are 0 and less. Results are
    left in ``folder``: ``NAME-NUMBER.json`` is the sender's, ``receiver-NAME-NUMBER.json`` the
    receiver's. After a run that failed both machines are connected to anew.
    """
    for number in range(1 - warm_up, runs + 1):
        # Who was last goes first: a drift over time is the same for both.
        for side in sides if number % 2 else reversed(sides):
            stem = f"{side.name}-{number}"
            paths = [folder / f"{stem}.json", folder / f"receiver-{stem}.json"]
            done = transfer(
                side.stream,
                *paths,
                tell=partial(tell, side, number),
            )
            if done.why:
                _recover(side.stream)
            yield side, number, done
            if number < 1:
                for path in paths:
                    path.unlink(missing_ok=True)


def _recover(stream: Stream) -> None:
    # One machine may be both.
    for host in dict.fromkeys([stream.sender, stream.receiver]):
        try:
            host.reconnect()
        except HostError:
            # The next run says so.
            continue
