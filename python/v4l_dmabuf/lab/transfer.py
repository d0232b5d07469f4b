"""One stream between two machines: both commands run, are watched, and their results fetched."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from v4l_dmabuf.lab.host import Host, HostError, Process

_LOOK_AGAIN = 0.05
_PARTING = 10.0
"""Seconds that one side has when the other has done its part."""
_PARTING_OF_FAILED = 1.0
"""The same, when the other has failed: what it waits for won't come."""


_ENDED_WITH_OTHER = "it was ended, since the other side had failed"


@dataclass(frozen=True)
class Stream:
    """What is to be sent from where to where."""

    sender: Host
    receiver: Host
    address: str
    """The receiver's, as the sender reaches it."""
    port: int
    sender_options: Sequence[str] = ()
    receiver_options: Sequence[str] = ()
    patience: float = 600.0
    """Seconds after which it is stopped."""


@dataclass(frozen=True)
class End:
    """What became of one side."""

    role: str
    """``sender`` or ``receiver``."""
    host: str
    """The machine's name."""
    status: int | None
    """What the command ended with; None if that is not known, its machine being lost."""
    result: Path | None
    """Its result; None if there is none."""
    lines: Sequence[str]
    """What it said last."""
    why: str
    """Why it failed; empty if it did not."""


@dataclass(frozen=True)
class Transfer:
    """What became of a stream."""

    sent: End
    received: End

    @property
    def why(self) -> str:
        """Why it failed, and where; empty if it did not."""
        ends = [end for end in (self.sent, self.received) if end.why]
        causes = [end for end in ends if end.why != _ENDED_WITH_OTHER]
        return "; ".join(f"{end.role} on {end.host}: {end.why}" for end in causes or ends)


def transfer(
    stream: Stream,
    sent: Path,
    received: Path,
    *,
    tell: Callable[[str], None] = lambda _line: None,
) -> Transfer:
    """Run a stream; leave the sides' results in these files.

    ``tell`` gets the sender's last line, time and again. Whatever ends this, an interrupt among
    it, neither side runs on.
    """
    whole = {"sender": sent, "receiver": received}
    for path in whole.values():
        path.unlink(missing_ok=True)
    running: dict[str, Process] = {}
    failures: dict[str, str] = {}
    try:
        for role, host, options in _commands(stream):
            try:
                running[role] = _start(host, role, options)
            except HostError as error:
                failures[role] = str(error)
                break
        if not failures:
            _watch(stream, running, failures, tell)
    finally:
        # Both are told before either is waited for.
        for process in running.values():
            process.tell_to_end()
        for process in running.values():
            process.close()
    hosts = {"sender": stream.sender, "receiver": stream.receiver}
    ends = {
        role: _end(role, hosts[role], running.get(role), path, failures.get(role, ""))
        for role, path in whole.items()
    }
    return Transfer(ends["sender"], ends["receiver"])


def _commands(stream: Stream) -> list[tuple[str, Host, list[str]]]:
    port = ["-p", str(stream.port)]
    connect = ["-a", stream.address, "--connect-for", "60"]
    return [
        ("receiver", stream.receiver, [*port, *stream.receiver_options]),
        ("sender", stream.sender, [*port, *connect, *stream.sender_options]),
    ]


def _start(host: Host, role: str, options: Sequence[str]) -> Process:
    host.run(f"rm -f {_report(host, role)}")
    return host.start(role, *options, "--report", _report(host, role))


def _report(host: Host, role: str) -> str:
    return f"{host.folder}/{role}.json"


def _watch(
    stream: Stream,
    running: dict[str, Process],
    failures: dict[str, str],
    tell: Callable[[str], None],
) -> None:
    """Wait for both, until one has ended long ago or the time is up."""
    deadline = time.monotonic() + stream.patience
    alone = None
    while waiting := [role for role, process in running.items() if process.status is None]:
        now = time.monotonic()
        ended = [process.status for process in running.values() if process.status is not None]
        if ended and alone is None:
            alone = now
        has_failed = any(ended)
        parting = _PARTING_OF_FAILED if has_failed else _PARTING
        if alone is not None and now - alone > parting:
            for role in waiting:
                why = f"it had not ended {parting:.0f} s after the other side"
                failures[role] = _ENDED_WITH_OTHER if has_failed else why
            return
        if now > deadline:
            for role, process in running.items():
                if process.status is None:
                    failures[role] = f"it was not done within {stream.patience:.0f} s"
            return
        if running["sender"].lines:
            tell(running["sender"].lines[-1])
        time.sleep(_LOOK_AGAIN)


def _end(role: str, host: Host, process: Process | None, path: Path, failure: str) -> End:
    status = None if process is None else process.status
    lines = [] if process is None else list(process.lines)
    result = None
    if process is not None and process.is_lost:
        failure = failure or "the connection was lost in mid-run"
        status = None
    else:
        try:
            found = None if process is None else host.read(f"{role}.json")
        except HostError as error:
            failure, found = failure or str(error), None
        if found:
            path.write_bytes(found)
            result = path
    if not failure and status != 0 and process is not None:
        said = next((line for line in reversed(lines) if "error" in line), "")
        failure = said or f"status {status}"
    return End(role, host.name, status, result, lines, failure)
