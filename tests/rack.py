"""A rack of two boards: ssh servers in network namespaces, and labgrid between them and us.

Nothing of this machine's network is touched, and all of it is gone with the processes.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from guests.ssh import Server
from support import PATIENCE

BOARDS = {"a": "10.79.0.1", "b": "10.79.0.2"}
COORDINATOR = "127.0.0.1:20408"
LABGRID = Path(sys.executable).parent
ENVIRONMENT = """
targets:
  A:
    resources:
      RemotePlace: {{name: a}}
    drivers:
      SSHDriver: {{keyfile: {key}, connection_timeout: 5.0}}
  B:
    resources:
      RemotePlace: {{name: b}}
    drivers:
      SSHDriver: {{keyfile: {key}}}
  gone:
    resources:
      NetworkService: {{address: 10.79.0.9, username: root}}
    drivers:
      SSHDriver: {{keyfile: {key}, connection_timeout: 1.0}}
options:
  coordinator_address: {coordinator}
"""


def missing() -> str | None:
    """Say what this machine lacks for a rack."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    if find_spec("labgrid") is None:
        return "labgrid is not installed"
    for program in ("dropbear", "dropbearkey", "ssh-keygen", "ip", "unshare", "nsenter"):
        if shutil.which(program) is None:
            return f"no {program} here"
    return None


@dataclass
class Rack:
    """The boards, and where commands run that reach them."""

    folder: Path
    server: Server
    spaces: dict[str, int] = field(default_factory=dict)
    """Who holds the namespaces: the boards by their names, and ``hub``."""
    servers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> Path:
        return self.folder / "environment.yaml"

    def inside(self, space: str, *command: object) -> list[str]:
        # labgrid's coordinator leaves what it knows where it is.
        enter = ["--target", str(self.spaces[space]), "--net", "--mount", f"--wd={self.folder}"]
        return ["nsenter", *enter, *map(str, command)]

    def run(self, space: str, *command: object) -> str:
        done = subprocess.run(
            self.inside(space, *command), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def client(self, *arguments: str) -> str:
        return self.run("hub", LABGRID / "labgrid-client", "-x", COORDINATOR, *arguments)

    def processes(self, board: str) -> list[str]:
        """Give what runs on a board beside its ssh server: what a lab has left there."""
        left = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                mine = (process / "ns/net").readlink() == self._net(board)
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if mine and "v4l-dmabuf" in command:
                    left.append(command)
        return left

    def is_idle(self, board: str) -> bool:
        return not self.processes(board)

    def _net(self, board: str) -> Path:
        return Path(f"/proc/{self.spaces[board]}/ns/net").readlink()

    def serve(self, board: str) -> None:
        """Start a board's ssh server."""
        command = self.inside(board, "sh", "-c", self.server.script)
        self.servers[board] = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill(self, board: str) -> None:
        """Have a board lose its power: everything in it is gone at once."""
        for process in Path("/proc").glob("[0-9]*"):
            number = int(process.name)
            if number == self.spaces[board]:
                continue
            with contextlib.suppress(OSError):
                if (process / "ns/net").readlink() == self._net(board):
                    os.kill(number, 9)
        self.servers[board].wait()


def _hold(stack: ExitStack) -> int:
    held = subprocess.Popen(["unshare", "--net", "--mount", "sleep", "infinity"])
    stack.callback(held.wait)
    stack.callback(held.kill)
    ours = Path("/proc/self/ns/net").readlink()
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{held.pid}/ns/net").readlink() == ours:
        assert time.monotonic() < deadline, "unshare made no namespace"
        time.sleep(0.01)
    return held.pid


def _background(rack: Rack, stack: ExitStack, *command: object) -> None:
    log = (rack.folder / f"{Path(str(command[0])).name}.log").open("wb")
    process = subprocess.Popen(rack.inside("hub", *command), stdout=log, stderr=log)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    stack.callback(log.close)


def _until(done: Sequence[object], rack: Rack, said: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        told = subprocess.run(
            rack.inside("hub", *done), capture_output=True, text=True, check=False
        )
        if told.returncode == 0 and said in told.stdout:
            return
        assert time.monotonic() < deadline, f"{done}: {told.stdout}{told.stderr}"
        time.sleep(0.1)


@contextlib.contextmanager
def rack(folder: Path) -> Iterator[Rack]:
    """Set the rack up: its boards are acquired."""
    made = Rack(folder, Server(folder / "ssh"))
    with ExitStack() as stack:
        made.spaces["hub"] = _hold(stack)
        made.run("hub", "ip", "link", "set", "lo", "up")
        made.run("hub", "ip", "link", "add", "rack", "type", "bridge")
        made.run("hub", "ip", "address", "add", "10.79.0.100/24", "dev", "rack")
        made.run("hub", "ip", "link", "set", "rack", "up")
        for board, address in BOARDS.items():
            pid = made.spaces[board] = _hold(stack)
            add = ("ip", "link", "add", f"to-{board}", "type", "veth", "peer", "name", "eth0")
            made.run("hub", *add, "netns", pid)
            made.run("hub", "ip", "link", "set", f"to-{board}", "master", "rack", "up")
            made.run(board, "ip", "address", "add", f"{address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                made.run(board, "ip", "link", "set", link, "up")
            made.serve(board)
            stack.callback(made.kill, board)
        places = "".join(
            f"{board}:\n  NetworkService: {{address: {address}, username: root}}\n"
            for board, address in BOARDS.items()
        )
        (folder / "exporter.yaml").write_text(places)
        environment = ENVIRONMENT.format(key=made.server.key, coordinator=COORDINATOR)
        made.environment.write_text(environment)
        _background(made, stack, LABGRID / "labgrid-coordinator", "-l", COORDINATOR)
        client = (LABGRID / "labgrid-client", "-x", COORDINATOR)
        _until([*client, "resources"], made, "")
        exporter = (LABGRID / "labgrid-exporter", "-c", COORDINATOR, "-n", "rack")
        _background(made, stack, *exporter, folder / "exporter.yaml")
        _until([*client, "resources"], made, "rack/b/NetworkService")
        for board in BOARDS:
            made.client("-p", board, "create")
            made.client("-p", board, "add-match", f"rack/{board}/NetworkService")
            made.client("-p", board, "acquire")
        yield made


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    """Give the rack, to a module's tests."""
    lacks = missing()
    if lacks is not None:
        pytest.skip(lacks)
    with rack(tmp_path_factory.mktemp("rack")) as made:
        yield made
