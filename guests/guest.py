"""Throw-away guests with a real V4L2 device: Debian's kernel under QEMU, by virtme-ng.

As a command, runs another in a guest with vivid loaded and the checkout
writable; its output and exit status are the command's own:

    python -m guests.guest [--vivid OPTIONS] [--timeout SECONDS] [--or-here] COMMAND...
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from guests.link import Link

CHECKOUT = Path(__file__).resolve().parent.parent
VENV = CHECKOUT / ".venv"
VIVID = "n_devs=1 node_types=0x101"
"""One capture and one output node."""
DISK = "/dev/vda"
"""A guest's disk, where it has one."""

# Longer than a slow command's, shorter than a person's patience.
TIMEOUT = 900.0
_BOOT_FAILED = 125


Sink = Callable[[str], object]
"""Takes a line of output."""


class NoGuestError(Exception):
    """No guest can be had here; the message says why."""


class HungError(Exception):
    """A guest did not end in time. The message holds its console's last lines."""


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "v4l-dmabuf"


def kernel() -> Path:
    """Find the guest kernel that `tools/setup guests` fetched."""
    images = sorted((_cache() / "kernel/boot").glob("vmlinuz-*"))
    if not images:
        raise NoGuestError("there is no guest kernel: tools/setup guests fetches one")
    return images[-1]


def xen() -> Path:
    """Find the hypervisor that `tools/setup xen` fetched."""
    file = _cache() / "xen"
    if not file.exists():
        raise NoGuestError("there is no Xen hypervisor: tools/setup xen fetches one")
    return file


def check() -> None:
    """Raise `NoGuestError` if this machine can't boot guests."""
    kernel()
    for program in ("qemu-system-x86_64", "v4l2-ctl"):
        if shutil.which(program) is None:
            raise NoGuestError(f"there is no {program}: tools/setup guests installs it")
    if not (VENV / "bin/vng").exists():
        raise NoGuestError("there is no virtme-ng: make build installs it")


@functools.cache
def has_kvm() -> bool:
    """Try whether KVM works: /dev/kvm may exist and stock kernels die in it all the same."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    # Without a root file system a kernel that gets that far panics, and reboots.
    command = [
        *("qemu-system-x86_64", "-machine", "q35", "-accel", "kvm", "-cpu", "host"),
        *("-m", "256M", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"),
        *("-kernel", str(kernel()), "-append", "console=ttyS0 panic=-1"),
    ]
    try:
        trial = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return False
    return trial.returncode == 0 and b"Linux version" in trial.stdout


class Guest:
    """A guest that runs one shell command and ends with it."""

    def __init__(
        self,
        command: str,
        *,
        vivid: str | None = VIVID,
        link: Link | None = None,
        disk: Path | None = None,
        memory: str = "1G",
        xen: Path | None = None,
        interactive: bool = False,
        stdout: Sink | None = None,
        stderr: Sink | None = None,
    ) -> None:
        """Boot; ``vivid`` are the driver's module options, None loads none.

        ``disk`` is a file of the host's that the guest has as `DISK`. With ``xen``, a
        hypervisor's ELF, the guest is its first domain.

        What the command writes is collected in ``stdout`` and ``stderr``, and
        passed on to the sinks a line at a time.
        """
        check()
        self._link = link
        self._console = tempfile.NamedTemporaryFile("r", prefix="v4l-dmabuf-console-")  # noqa: SIM115
        # A file for the script: the kernel's command line is short.
        self._script = tempfile.NamedTemporaryFile(  # noqa: SIM115
            "w", prefix=".guest-", suffix=".sh", dir=CHECKOUT
        )
        self._script.write(self._prologue(vivid, link, disk) + command + "\n")
        self._script.flush()
        qemu_options = []
        if link is not None:
            qemu_options.append(link.qemu_options())
        if disk is not None:
            qemu_options.append(
                f"-drive file={disk},format=raw,if=none,id=disk -device virtio-blk-pci,drive=disk"
            )
        arguments = [
            *(str(VENV / "bin/vng"), "--run", str(kernel())),
            *("--user", "root", "--disable-microvm", "--force-9p"),
            *("--cpus", "1", "--memory", memory),
            *("--cwd", str(CHECKOUT), "--rwdir", str(CHECKOUT)),
            *("--append", "ignore_loglevel", "--qemu", str(CHECKOUT / "guests/qemu")),
            *([f"--qemu-opts={' '.join(qemu_options)}"] if qemu_options else []),
            *([] if has_kvm() else ["--disable-kvm"]),
            *("--exec", f"bash {shlex.quote(self._script.name)}"),
        ]
        # Pipes, since virtme-ng reopens its output, and would truncate a file.
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=os.environ
            | {
                "PATH": f"{VENV}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
                "GUEST_CONSOLE": self._console.name,
            }
            | ({} if xen is None else {"GUEST_XEN": str(xen)}),
            start_new_session=True,
        )
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._pumps = [
            _pump(self._process.stdout, self.stdout, stdout),
            _pump(self._process.stderr, self.stderr, stderr),
        ]

    @staticmethod
    def _prologue(vivid: str | None, link: Link | None, disk: Path | None) -> str:
        lines = [f'fail() {{ echo "guest: $1" >&2; exit {_BOOT_FAILED}; }}']
        lines.append(f"export PATH={shlex.quote(str(VENV / 'bin'))}:$PATH:/usr/sbin:/sbin")
        lines += [
            f"export {name}={shlex.quote(os.environ[name])}"
            for name in ("CI", "LANG")
            if name in os.environ
        ]
        lines.append("ip link set lo up")
        if vivid is not None:
            lines.append(f"modprobe vivid {vivid} || fail 'vivid does not load'")
            lines.append("udevadm settle")
        if link is not None:
            lines.append(link.setup())
        if disk is not None:
            lines.append("modprobe virtio_blk")
            lines.append(f"until test -b {DISK}; do sleep 0.1; done")
        return "\n".join(lines) + "\n"

    def write(self, line: str) -> None:
        """Give a line of input to the command, which was said to be ``interactive``."""
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait for the guest's end, and give its command's exit status."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise HungError(
                f"the guest did not end within {timeout:.0f} s; its console:\n{self.console()}"
            ) from None
        finally:
            self.kill()
        return self._process.returncode

    def wait_for(self, text: str, timeout: float = TIMEOUT) -> None:
        """Wait until a line of stderr holds ``text``."""
        deadline = time.monotonic() + timeout
        while not any(text in line for line in self.stderr):
            if self._process.poll() is not None:
                raise HungError(
                    f"the guest ended before it said {text!r}:\n{''.join(self.stderr)}"
                    f"its console:\n{self.console()}"
                )
            if time.monotonic() > deadline:
                raise HungError(
                    f"the guest did not say {text!r} within {timeout:.0f} s; "
                    f"its console:\n{self.console()}"
                )
            time.sleep(0.05)

    def wait_for_link(self, timeout: float = 30.0) -> None:
        """Wait until the other end may be plugged in."""
        path = self._link.socket if self._link is not None else None
        if path is None:
            return
        deadline = time.monotonic() + timeout
        while not path.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise HungError(f"QEMU did not make {path}:\n{''.join(self.stderr)}")
            time.sleep(0.05)

    def console(self, lines: int = 40) -> str:
        """Give the last lines of the guest's console."""
        text = Path(self._console.name).read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def kill(self) -> None:
        """End the guest, however it is."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pump in self._pumps:
            pump.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._script.close()

    def __enter__(self) -> Guest:
        """Make sure that it ends with the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._console.close()


def _pump(source: IO[str] | None, lines: list[str], sink: Sink | None) -> threading.Thread:
    """Collect a stream's lines, and pass them on as they come."""
    assert source is not None

    def run() -> None:
        for line in source:
            lines.append(line)
            if sink is not None:
                sink(line)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def describe() -> str:
    """Say what guests run on, and which kernel they boot."""
    how = "KVM" if has_kvm() else "emulation (TCG): KVM does not work here"
    return f"{kernel().name.removeprefix('vmlinuz-')} under {how}"


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _main() -> int:
    # Ended by timeout(1) and the like, this takes the guest with it.
    signal.signal(signal.SIGTERM, _interrupt)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vivid", default="", help="more options for the vivid module")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds")
    parser.add_argument(
        "--or-here", action="store_true", help="where no guest can be had, run it here"
    )
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    # One word is a shell's command line, several are a program and its arguments.
    words = options.command
    command = words[0] if len(words) == 1 else shlex.join(words)
    try:
        print(f"guest: {describe()}", file=sys.stderr)
        with Guest(
            command,
            vivid=f"{VIVID} {options.vivid}",
            stdout=lambda line: print(line, end="", flush=True),
            stderr=lambda line: print(line, end="", flush=True, file=sys.stderr),
        ) as guest:
            return guest.wait(options.timeout)
    except NoGuestError as error:
        print(f"guest: {error}", file=sys.stderr)
        if not options.or_here:
            return _BOOT_FAILED
        print("guest: running it here instead", file=sys.stderr)
        path = f"{VENV}/bin:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-c", command], env=os.environ | {"PATH": path}, check=False
        ).returncode
    except HungError as error:
        print(f"guest: {error}", file=sys.stderr)
        return _BOOT_FAILED
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(_main())
