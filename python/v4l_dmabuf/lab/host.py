"""A machine that runs commands: this one, or one behind ssh.

It needs a POSIX shell, and nothing else: files go through ``cat``, since small systems have
neither scp nor sftp.
"""

import shlex
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

_PATIENCE = 60.0
"""Seconds for a command of the lab's own."""
_PARTING = 10.0
"""Seconds for the last of them: who ends a lab does not wait for a dead machine."""
_LOST = 255
"""What ssh ends with when it has lost the other side."""
_LAST_LINES = 200
_COMMANDS = ("sender", "receiver")

_WATCHED = """
cd {folder} || exit 125
exec 3<&0
(cat <&3; kill -INT $$; for i in {turns}; do kill -0 $$ || exit; sleep 0.1 || sleep 1; done
kill -KILL $$) >/dev/null 2>&1 &
exec {command} </dev/null 3<&-
"""
"""A command that is stopped when its standard input ends: whoever holds the other end lets go,
dies, or loses the connection."""

GRACE = 5
"""Seconds that a command has to end by itself when it is told to."""


class HostError(OSError):
    """A machine can't be had, or does not do what it is told."""


class Process:
    """A command that runs on a machine until it ends, or is told to."""

    def __init__(self, host: "Host", command: Sequence[str]) -> None:
        script = _WATCHED.format(
            folder=shlex.quote(host.folder),
            turns=" ".join(["."] * (10 * GRACE)),
            command=shlex.join(command),
        )
        self.host = host
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)
        """What it wrote to its standard error, lately."""
        # An interrupt at the terminal is for the lab, which tells its processes in their turn.
        self._process = subprocess.Popen(
            host.argv(script),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 -- it was asked for
        for line in self._process.stderr:
            self.lines.append(line.decode(errors="replace").rstrip())

    @property
    def status(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    @property
    def is_lost(self) -> bool:
        """Whether the connection to its machine ended before it did."""
        status = self.status
        # One that was killed here did not hear of it there.
        return self.host.is_remote and status is not None and (status == _LOST or status < 0)

    def tell_to_end(self) -> None:
        """Have it end as at an interrupt: it finishes what is under way, and reports."""
        assert self._process.stdin is not None  # noqa: S101 -- it was asked for
        try:
            self._process.stdin.close()
        except OSError:
            # It is gone.
            return

    def close(self) -> None:
        """End what is left of it here."""
        self.tell_to_end()
        try:
            self._process.wait(GRACE + 2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(1)


class Host:
    """A machine by its shell."""

    def __init__(
        self,
        name: str,
        prefix: Sequence[str],
        address: str,
        reconnect: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        """Take a machine.

        Args:
            name: what it is called.
            prefix: what a command of the shell's follows, as one argument, to run there.
            address: by which others reach it.
            reconnect: makes a lost connection anew, and gives the prefix; None of this machine.

        """
        self.name = name
        self.address = address
        self.folder = ""
        """A folder there for what is of one lab; empty before `open`."""
        self.commands: dict[str, list[str]] = {}
        """How a command of the package is called there, if it is not by its name."""
        self._wheels: Sequence[Path] = ()
        self._prefix = prefix
        self._reconnect = reconnect

    @property
    def is_remote(self) -> bool:
        """Whether a connection to it may be lost."""
        return self._reconnect is not None

    def argv(self, script: str) -> list[str]:
        """Give the command here that runs ``script`` there."""
        if self.is_remote:
            # Whatever shell its user has.
            return [*self._prefix, f"sh -c {shlex.quote(script)}"]
        return [*self._prefix, script]

    def run(self, script: str, data: bytes = b"", patience: float = _PATIENCE) -> bytes:
        """Run commands that have to succeed; give what they print.

        Raises:
            HostError: they fail, or take longer than ``patience`` seconds.

        """
        try:
            done = subprocess.run(
                self.argv(script),
                input=data,
                capture_output=True,
                timeout=patience,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise HostError(f"{self.name}: no answer in {patience:.0f} s to: {script}") from None
        if done.returncode == 0:
            return done.stdout
        if self.is_remote and done.returncode == _LOST:
            why = done.stderr.decode(errors="replace").strip()
            raise HostError(f"{self.name}: the connection is lost{': ' if why else ''}{why}")
        why = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
        raise HostError(f"{self.name}: {script}: {why}")

    def open(self) -> None:
        """Make the folder for what is of this lab.

        Raises:
            HostError: it can't be made.

        """
        self.folder = self.run("mktemp -d /tmp/v4l-dmabuf-lab.XXXXXX").decode().strip()

    def close(self) -> None:
        """Remove the folder.

        Raises:
            HostError: it can't be reached.

        """
        if self.folder:
            self.run(f"rm -rf {shlex.quote(self.folder)}", patience=_PARTING)
            self.folder = ""

    def reconnect(self) -> None:
        """Make the connection anew, and what `prepare` made: it may have been rebooted.

        Raises:
            HostError: it can't be had.

        """
        if self._reconnect is not None:
            self._prefix = self._reconnect()
        folder = shlex.quote(self.folder)
        is_new = self.run(f"test -d {folder} || {{ mkdir {folder} && echo new; }}")
        if is_new and self._wheels:
            self.install(self._wheels)

    def start(self, command: str, *arguments: str) -> Process:
        """Start a command of the package's in the lab's folder."""
        return Process(self, [*self._called(command), *arguments])

    def _called(self, command: str) -> list[str]:
        return self.commands.get(command, [f"v4l-dmabuf-{command}"])

    def read(self, name: str) -> bytes | None:
        """Give a file of the lab's folder; None if there is none.

        Raises:
            HostError: the machine can't be reached.

        """
        path = shlex.quote(f"{self.folder}/{name}")
        return self.run(f"test -e {path} || exit 0; cat {path}") or None

    def write(self, name: str, data: bytes) -> str:
        """Write a file into the lab's folder; give its path there.

        Raises:
            HostError: it can't be written.

        """
        path = f"{self.folder}/{name}"
        self.run(f"cat > {shlex.quote(path)}", data)
        return path

    def install(self, wheels: Sequence[Path]) -> None:
        """Unpack that of these wheels that is for the machine; it needs Python there, no pip.

        Raises:
            HostError: none is, or Python is missing or too old.

        """
        machine = self.run("uname -m").decode().strip()
        fit = [wheel for wheel in wheels if wheel.stem.endswith(machine)]
        if not fit:
            given = ", ".join(wheel.name for wheel in wheels)
            raise HostError(f"{self.name} is {machine}, and no wheel is for it: {given}")
        path = self.write(fit[0].name, fit[0].read_bytes())
        site = f"{self.folder}/site"
        self.run(f"python3 -m zipfile -e {shlex.quote(path)} {shlex.quote(site)}")
        for command in _COMMANDS:
            code = (
                f"import sys; sys.path.insert(0, {site!r}); "
                f"from v4l_dmabuf.commands.{command} import {command}_main; "
                f"sys.exit({command}_main())"
            )
            self.commands[command] = ["python3", "-c", code]

    def prepare(self, wheels: Sequence[Path] = (), folder: str | None = None) -> str:
        """Make it ready for streams, which `close` undoes; give the version of the package there.

        Args:
            wheels: the package, if it is to be brought.
            folder: where its commands are there; None: wherever a shell finds them.

        Raises:
            HostError: it can't be had.

        """
        self.open()
        if folder is not None:
            self.commands = {it: [f"{folder}/v4l-dmabuf-{it}"] for it in _COMMANDS}
        self._wheels = wheels
        if wheels:
            self.install(wheels)
        return self.version()

    def version(self) -> str:
        """Give the version of the package there.

        Raises:
            HostError: it has none.

        """
        called = shlex.join(self._called("sender"))
        try:
            return self.run(f"{called} --version").decode().strip()
        except HostError as error:
            raise HostError(f"{error}; --wheel brings the package") from None


def this_machine(name: str = "here") -> Host:
    """Give the machine that this runs on."""
    return Host(name, ["sh", "-c"], "127.0.0.1")
