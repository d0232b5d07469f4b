"""A sender and a receiver, each in a guest of its own, and a link between them.

As a command, joins them by a bridge with offloads, which needs root, and prints
what became of both as JSON:

    python -m guests.pair SENDER-OPTIONS RECEIVER-OPTIONS
"""

import json
import sys
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from guests.guest import Guest, Sink
from guests.link import RECEIVER_ADDRESS, Ends, bridge, cable, enter_namespace

PORT = 9000


@dataclass(frozen=True)
class Outcome:
    """What one side's command did."""

    status: int
    stderr: str


def run_pair(
    sender: str,
    receiver: str,
    *,
    joined: AbstractContextManager[Ends] | None = None,
    prepare: str = ":",
    receiver_vivid: str | None = None,
    prepare_receiver: str = ":",
    disk: Path | None = None,
    tell: Sink | None = None,
    timeout: float = 300.0,
) -> tuple[Outcome, Outcome]:
    """Run ``v4l-dmabuf-sender SENDER`` in guest A and ``v4l-dmabuf-receiver RECEIVER`` in guest B.

    They are ``joined`` by a cable unless told otherwise. Addresses and ports are
    added. A boots while B does, runs ``prepare``, and tries until B listens. B has vivid only with
    ``receiver_vivid``, its options, and runs ``prepare_receiver``. ``disk`` is B's. Gives the
    sender's and the receiver's outcome.
    """
    say = tell or (lambda _line: None)
    with (
        joined or cable() as ends,
        Guest(
            f"{prepare_receiver}\n"
            f"v4l-dmabuf-receiver --port {PORT} {receiver}\n"
            "status=$?; wait; sync; exit $status",
            vivid=receiver_vivid,
            disk=disk,
            link=ends.receiver,
            stderr=lambda line: say(f"B {line}"),
        ) as b,
    ):
        b.wait_for_link()
        with Guest(
            f"{prepare}\n"
            f"v4l-dmabuf-sender --address {RECEIVER_ADDRESS} --port {PORT} "
            f"--connect-for {timeout:.0f} {sender}",
            link=ends.sender,
            stderr=lambda line: say(f"A {line}"),
        ) as a:
            sent = Outcome(a.wait(timeout), "".join(a.stderr))
        received = Outcome(b.wait(timeout), "".join(b.stderr))
    return sent, received


if __name__ == "__main__":
    enter_namespace()
    outcomes = run_pair(*sys.argv[1:3], joined=bridge())
    print(json.dumps([asdict(outcome) for outcome in outcomes]))
