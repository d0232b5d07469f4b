"""Runs in a guest: starts what is measured, and reads the guest's own counters.

Takes one JSON object a line on stdin, and answers with one a line on stdout.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from v4l_dmabuf import Error, Receiver, Sender
from v4l_dmabuf.environment import environment

_HZ = os.sysconf("SC_CLK_TCK")
_PATIENCE = 5.0
_RUN_PATIENCE = 30.0


class Agent:
    """At most one command at a time, and what it costs."""

    def __init__(self, interface: str) -> None:
        """Count the traffic of ``interface``."""
        self._counters = Path("/sys/class/net", interface, "statistics")
        self._process: subprocess.Popen[bytes] | None = None
        self._receiver: Receiver | None = None
        self._receiving: threading.Thread | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as the guest

    def run(self, command: str) -> dict[str, Any]:
        """Run a command to its end."""
        done = subprocess.run(
            command, shell=True, capture_output=True, text=True, check=False, timeout=_RUN_PATIENCE
        )
        return {"status": done.returncode, "output": (done.stdout + done.stderr)[-2000:]}

    def start(self, command: str) -> dict[str, Any]:
        """Start a command, and leave it to itself."""
        self._output.seek(0)
        self._output.truncate()
        self._process = subprocess.Popen(
            f"exec {command}",
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )
        return {}

    def receive(self, frames: int, **settings: Any) -> dict[str, Any]:
        """Listen, and receive a stream while other things are asked for."""
        self._receiver = Receiver(**settings)
        self._receiver.listen()
        self._receiving = threading.Thread(target=self._receiver.run, args=(frames,), daemon=True)
        self._receiving.start()
        return {}

    def received(self) -> dict[str, Any]:
        """Wait for the end of the stream that is received."""
        if self._receiving is None or self._receiver is None:
            return {}
        self._receiving.join(_PATIENCE)
        ended = not self._receiving.is_alive()
        self._receiver.close()
        self._receiving.join(_PATIENCE)
        return {"ended": ended}

    def send(self, frames: int, **settings: Any) -> dict[str, Any]:
        """Send a stream, and give its result."""
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            Sender(**settings, report=file.name).run(frames)
            return {"result": json.loads(Path(file.name).read_text())}

    def environment(self) -> dict[str, Any]:
        """Say what this guest is."""
        return environment()

    def clock(self) -> dict[str, Any]:
        """Read CLOCK_MONOTONIC, in seconds."""
        return {"monotonic": time.monotonic()}

    def sample(self, counts: str | None) -> dict[str, Any]:
        """Read the counters: seconds, bytes, and how often the command said ``counts``."""
        # user, nice, system, idle, iowait, irq and softirq; see proc_stat(5)
        ticks = [int(word) / _HZ for word in Path("/proc/stat").read_text().split()[1:8]]
        now = time.monotonic()
        received = {
            name: int((self._counters / name).read_text()) for name in ("rx_bytes", "rx_packets")
        }
        return {
            "time": now,
            "idle": ticks[3] + ticks[4],
            "ticks": sum(ticks) - ticks[3] - ticks[4],
            "cpus": os.cpu_count(),
            **received,
            "counted": self._counted(counts),
            "alive": self._process is not None and self._process.poll() is None,
        }

    def _counted(self, text: str | None) -> int | None:
        if text is None:
            return None
        return os.pread(self._output.fileno(), 1 << 24, 0).count(text.encode())

    def memory(self) -> dict[str, Any]:
        """Read what the command's processes take at most, in bytes.

        ``shared`` is the part of it that is frame buffers in plain memory.
        """
        totals = {"VmHWM": 0, "RssShmem": 0}
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError, ProcessLookupError):
                if (
                    self._process is None
                    or os.getsid(int(status.parent.name)) != self._process.pid
                ):
                    continue
                for line in status.read_text().splitlines():
                    name, _, value = line.partition(":")
                    if name in totals:
                        totals[name] += int(value.split()[0]) * 1024
        return {"peak": totals["VmHWM"], "shared": totals["RssShmem"]}

    def stop(self) -> dict[str, Any]:
        """Interrupt the command as Ctrl-C does, once, and then end it."""
        if self._process is None:
            return {"status": None, "output": ""}
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        status = self._process.returncode
        self._process = None
        output = os.pread(self._output.fileno(), 1 << 24, 0).decode(errors="replace")
        return {"status": status, "output": output[-3000:]}


def main() -> None:
    """Do what stdin says, until it ends."""
    # What is ignored here, as in the background of a script, a command would go on ignoring.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    agent = Agent(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        operation = getattr(agent, request.pop("do"))
        try:
            answer = operation(**request)
        except (subprocess.SubprocessError, Error) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
