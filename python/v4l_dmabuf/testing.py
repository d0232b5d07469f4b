"""Fixtures for tests of one's own, of streams on this machine or between labgrid's targets.

Loaded by name alone: ``pytest -p v4l_dmabuf.testing``.

    def test_the_camera_keeps_its_rate(vd_stream):
        ran = vd_stream.run(frames=300, sender=["-d", "/dev/video0", "--fps", "30"])
        assert ran.sent["summary"]["fps"] > 29.9

``--vd-environment FILE --vd-sender TARGET --vd-receiver TARGET`` has it run between targets of a
labgrid environment; else, or for the side that is not named, it is this machine.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from v4l_dmabuf.lab import Host, Stream, Transfer, this_machine, transfer
from v4l_dmabuf.lab.targets import targets
from v4l_dmabuf.reading import read_result


class StreamError(AssertionError):
    """A stream failed: what the test says of it does not hold."""


@dataclass(frozen=True)
class Ran:
    """A stream that was sent whole."""

    sent: dict[str, Any]
    """The sender's result, in the form of docs/result.schema.json."""
    received: dict[str, Any]
    """The receiver's."""
    transfer: Transfer
    """What became of both commands."""


class Streams:
    """Runs streams from one machine to another."""

    def __init__(
        self, sender: Host, receiver: Host, folder: Path, address: str | None, port: int | None
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self._folder = folder
        is_same = sender.name == receiver.name
        self._address = address or ("127.0.0.1" if is_same else receiver.address)
        self._port = port
        self._number = 0

    def run(
        self,
        *,
        frames: int | None = None,
        sender: Sequence[str] = (),
        receiver: Sequence[str] = (),
        patience: float = 120.0,
    ) -> Ran:
        """Run a stream, and wait for its end.

        Args:
            frames: how many; None: what the options say.
            sender: options of v4l-dmabuf-sender, such as ``["-d", "/dev/video0"]``.
            receiver: options of v4l-dmabuf-receiver.
            patience: seconds after which it is stopped, and has failed.

        Raises:
            StreamError: either side failed; it says which, and what that said.
            HostError: a machine can't be reached.

        """
        self._number += 1
        count = [] if frames is None else ["-n", str(frames)]
        stream = Stream(
            self._sender,
            self._receiver,
            self._address,
            self._port or _free_port(),
            [*sender, *count],
            receiver,
            patience,
        )
        paths = [self._folder / f"{role}-{self._number}.json" for role in ("sent", "received")]
        done = transfer(stream, *paths)
        if done.why:
            said = "\n".join([*done.sent.lines[-10:], *done.received.lines[-10:]])
            raise StreamError(f"{done.why}\n{said}")
        sent, received = (read_result(path) for path in paths)
        return Ran(sent, received, done)


def _free_port() -> int:
    with socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("v4l-dmabuf", "streams between machines")
    group.addoption("--vd-environment", metavar="FILE", type=Path, help="labgrid environment file")
    group.addoption("--vd-sender", metavar="TARGET", help="its target that sends")
    group.addoption("--vd-receiver", metavar="TARGET", help="its target that receives")
    group.addoption("--vd-address", help="the receiver's, as the sender reaches it")
    group.addoption("--vd-port", type=int, help="of the stream (default: one that is free here)")
    group.addoption("--vd-bin", metavar="FOLDER", help="where the commands are on the targets")
    group.addoption(
        "--vd-wheel",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="the package, for targets of its architecture that have none; may be repeated",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse targets of nowhere."""
    named = config.getoption("--vd-sender") or config.getoption("--vd-receiver")
    if named and config.getoption("--vd-environment") is None:
        raise pytest.UsageError("--vd-sender and --vd-receiver are targets of --vd-environment")


@pytest.fixture(scope="session")
def _vd_hosts(request: pytest.FixtureRequest) -> Iterator[tuple[Host, Host]]:
    options = request.config.option
    named = [options.vd_sender, options.vd_receiver]
    names = list(dict.fromkeys(filter(None, named)))
    own = this_machine()
    with ExitStack() as stack:
        hosts: dict[str, Host] = {}
        if names:
            hosts = stack.enter_context(targets(options.vd_environment, names))
        if None in named:
            stack.callback(own.close)
            commands = Path(sys.executable).parent
            is_beside = (commands / "v4l-dmabuf-sender").exists()
            own.prepare(folder=str(commands) if is_beside else None)
        for host in hosts.values():
            stack.callback(host.close)
            host.prepare(options.vd_wheel, options.vd_bin)
        sender, receiver = (hosts[name] if name else own for name in named)
        yield sender, receiver


@pytest.fixture(scope="session")
def vd_sender(_vd_hosts: tuple[Host, Host]) -> Host:
    """Give the machine that sends, to prepare it: ``vd_sender.run("modprobe vivid")``."""
    return _vd_hosts[0]


@pytest.fixture(scope="session")
def vd_receiver(_vd_hosts: tuple[Host, Host]) -> Host:
    """Give the machine that receives."""
    return _vd_hosts[1]


@pytest.fixture
def vd_stream(
    vd_sender: Host, vd_receiver: Host, tmp_path: Path, request: pytest.FixtureRequest
) -> Streams:
    """Run streams from ``vd_sender`` to ``vd_receiver``."""
    options = request.config.option
    return Streams(vd_sender, vd_receiver, tmp_path, options.vd_address, options.vd_port)
