"""How long a signal takes to end a sender or a receiver, in each of its waits.

Starts the commands for real, brings them into a wait, and signals. The worst of so many times
counts, from the signal until the process is gone; a process that sleeps in Python alone is the
floor. Where a first signal lets a frame or a stream be finished, the second is the one that
counts. For waits that one stop ends, `stop()` until `run()` returns is there as well, without a
process's end in it. Leaves waits.json and waits.md.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from guests.guest import CHECKOUT, VENV

sys.path.insert(0, str(CHECKOUT / "tests"))
from reference import frame, stream_header
from v4l_dmabuf import Error, Receiver, Sender

LIMIT = 0.1
LOCALHOST = "127.0.0.1"
SETTLE = 0.6
FRAME = 1 << 20
Fields = dict[str, Any]


def _listener(backlog: int = 8) -> socket.socket:
    server = socket.socket()
    server.bind((LOCALHOST, 0))
    server.listen(backlog)
    return server


def _receiver(**more: object) -> Fields:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port = probe.getsockname()[1]
    return {"listen": LOCALHOST, "port": port, "heap": "memfd", **more}


def _sender(port: int, **more: object) -> Fields:
    fields: Fields = {"device": "test", "heap": "memfd", "address": LOCALHOST, "port": port}
    return fields | more


def _connect(fields: Fields) -> socket.socket:
    until = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection((LOCALHOST, int(str(fields["port"]))))
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


@contextlib.contextmanager
def _fifo() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/fifo"
        os.mkfifo(path)
        yield path


Started = tuple[Fields, Callable[[], object]]
"""An end's settings, and what brings it into its wait once it runs."""


@contextlib.contextmanager
def listening() -> Iterator[Started]:
    """Listen, and nobody comes."""
    yield _receiver(), lambda: None


def fifo_of(setting: str) -> Callable[[], contextlib.AbstractContextManager[Started]]:
    """Open a FIFO, as a setting has it, that nobody reads."""

    @contextlib.contextmanager
    def wait() -> Iterator[Started]:
        with _fifo() as path:
            yield _receiver(**{setting: path}), lambda: None

    return wait


@contextlib.contextmanager
def report_fifo() -> Iterator[Started]:
    """Have a report for a FIFO that nobody reads."""
    with _fifo() as path:
        fields = _receiver(report=path)

        def send() -> None:
            with _connect(fields) as connection:
                connection.sendall(stream_header() + frame(b"x"))

        yield fields, send


@contextlib.contextmanager
def talking(what: bytes, **more: object) -> Iterator[Started]:
    """Wait as a receiver for more than a peer says."""
    with contextlib.ExitStack() as stack:
        fields = _receiver(**more)

        def talk() -> None:
            stack.enter_context(_connect(fields)).sendall(what)

        yield fields, talk


@contextlib.contextmanager
def unread_dump() -> Iterator[Started]:
    """Dump into a FIFO that is full."""
    with _fifo() as path:
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        whole = stream_header(sizeimage=FRAME) + frame(bytes(FRAME))
        with talking(whole, output=path) as started:
            yield started
        os.close(reader)


@contextlib.contextmanager
def black_hole() -> Iterator[Started]:
    """Connect to where no SYN is answered: a queue of connections that is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_listener(0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield _sender(server.getsockname()[1]), lambda: None


SILENT_RESOLVER = """
#include <time.h>

int getaddrinfo(const char *node, const char *service, const void *hints, void *result)
{
    const struct timespec time = {.tv_sec = 600};
    nanosleep(&time, 0);
    return -3; /* EAI_AGAIN */
}
"""


@contextlib.contextmanager
def silent_resolver() -> Iterator[Started]:
    """Look up a name where no resolver answers: a library in the C library's place."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "silent.c"), Path(folder, "silent.so")
        source.write_text(SILENT_RESOLVER)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        os.environ["LD_PRELOAD"] = str(library)
        try:
            yield _sender(9, address="camera.test"), lambda: None
        finally:
            del os.environ["LD_PRELOAD"]


@contextlib.contextmanager
def silent_peer(**more: object) -> Iterator[Started]:
    """Send to a peer that neither reads nor says anything."""
    with _listener() as server:
        yield _sender(server.getsockname()[1], **more), lambda: None


@contextlib.contextmanager
def a_receiver(*, hangs: bool, **more: object) -> Iterator[Started]:
    """Send to a receiver; one that hangs takes, acknowledges and ends nothing any more."""
    fields = _receiver()
    with subprocess.Popen(_command("receiver", fields), stderr=subprocess.DEVNULL) as peer:
        # Until it listens: what connects and says nothing is a stranger.
        _connect(fields).close()

        def hang() -> None:
            time.sleep(SETTLE)
            if hangs:
                peer.send_signal(signal.SIGSTOP)

        try:
            yield _sender(int(str(fields["port"])), **more), hang
        finally:
            peer.kill()


@dataclass(frozen=True)
class Wait:
    """A wait: what brings an end there, and how many signals it is said to need."""

    name: str
    role: str
    begin: Callable[[], contextlib.AbstractContextManager[Started]]
    signals: int = 1
    in_process: bool = True
    """Whether a run in this process can be brought there as well."""


HEADER = stream_header(sizeimage=FRAME)
LARGE = {"width": 1920, "height": 1080}
WAITS = [
    Wait("listening", "receiver", listening),
    Wait("a stranger who says nothing", "receiver", lambda: talking(b"")),
    Wait("opening a dump: a FIFO without a reader", "receiver", fifo_of("output")),
    Wait("opening the records: a FIFO without a reader", "receiver", fifo_of("records")),
    Wait("writing the report: a FIFO without a reader", "receiver", report_fifo),
    Wait("waiting for a frame", "receiver", lambda: talking(HEADER)),
    Wait(
        "waiting for the rest of a frame",
        "receiver",
        lambda: talking(HEADER + frame(b"", bytesused=FRAME)),
        signals=2,
    ),
    Wait("draining: a dump whose reader reads nothing", "receiver", unread_dump, signals=2),
    Wait("resolving a name", "sender", silent_resolver, in_process=False),
    Wait("connecting where no SYN is answered", "sender", black_hole),
    Wait("greeting a peer that says nothing", "sender", silent_peer),
    Wait(
        "waiting for the source",
        "sender",
        lambda: a_receiver(hangs=False, fps=0.01),
    ),
    Wait(
        "sending into a full socket",
        "sender",
        lambda: silent_peer(protocol=2, zero_copy="off", **LARGE),
        signals=2,
    ),
    Wait(
        "waiting for completions without a copy",
        "sender",
        lambda: silent_peer(protocol=2, zero_copy="on", **LARGE),
        signals=2,
    ),
    Wait(
        "waiting for acknowledgements",
        "sender",
        lambda: a_receiver(hangs=True, fps=20),
        signals=2,
    ),
]


def _command(role: str, fields: Fields) -> list[str]:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in fields.items()]
    return [str(VENV / "bin" / f"v4l-dmabuf-{role}"), *options]


def _expect(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise RuntimeError(f"{process.args!r}: ended without saying {text!r}")


def time_process(wait: Wait, number: signal.Signals) -> float:
    """Give the seconds from the signal that counts until the process is gone."""
    with (
        wait.begin() as (fields, settle),
        subprocess.Popen(
            _command(wait.role, fields), stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        try:
            settle()
            time.sleep(SETTLE)
            if process.poll() is not None:
                assert process.stderr is not None
                raise RuntimeError(f"{wait.name}: it ended by itself: {process.stderr.read()}")
            for _ in range(wait.signals - 1):
                process.send_signal(number)
                _expect(process, "once more to end at once")
                time.sleep(SETTLE / 4)
            begun = time.perf_counter()
            process.send_signal(number)
            process.wait(60)
            return time.perf_counter() - begun
        finally:
            process.kill()


def time_stop(wait: Wait) -> float:
    """Give the seconds from `stop()` until `run()` returns, in this process."""
    ended: list[float] = []
    with wait.begin() as (fields, settle):
        end = (Sender if wait.role == "sender" else Receiver)(**fields)

        def run() -> None:
            with contextlib.suppress(Error):
                end.run()
            ended.append(time.perf_counter())

        thread = threading.Thread(target=run)
        thread.start()
        settle()
        time.sleep(SETTLE)
        if ended:
            raise RuntimeError(f"{wait.name}: it ended by itself")
        begun = time.perf_counter()
        end.stop()
        thread.join(60)
        return ended[0] - begun


def time_python() -> float:
    """Give the seconds that a process takes to be gone that sleeps in Python: the floor."""
    program = "import signal, sys, time, v4l_dmabuf.commands.sender\n"
    program += "signal.signal(2, lambda *_: sys.exit())\nprint(flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(SETTLE / 4)
        begun = time.perf_counter()
        process.send_signal(signal.SIGINT)
        process.wait(60)
        return time.perf_counter() - begun


@dataclass(frozen=True)
class Row:
    """The times of a wait, in seconds."""

    name: str
    role: str
    signals: int
    processes: list[float]
    stops: list[float] | None


def measure(wait: Wait, times: int) -> Row:
    """Take a wait's times, by SIGINT and SIGTERM in turn."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    processes = [time_process(wait, numbers[turn % 2]) for turn in range(times)]
    has_stops = wait.in_process and wait.signals == 1
    stops = [time_stop(wait) for _ in range(times)] if has_stops else None
    return Row(wait.name, wait.role, wait.signals, processes, stops)


def markdown(rows: list[Row], floor: list[float], times: int) -> str:
    """Give the table."""
    lines = [
        "# How long a signal takes to end a wait",
        "",
        f"`make bench-waits` made this: the worst of {times}, in ms, from the signal until the "
        "process is gone, and from `stop()` until `run()` returns; the limit is "
        f"{LIMIT * 1e3:.0f} ms. Where a first signal lets a frame or a stream be finished, the "
        "second is the one that counts. A process that sleeps in Python alone takes "
        f"{max(floor) * 1e3:.0f} ms to be gone.",
        "",
        "| | the wait | signals | process gone | `stop()` |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        stop = "" if row.stops is None else f"{max(row.stops) * 1e3:.1f}"
        gone = f"{max(row.processes) * 1e3:.1f}"
        lines.append(f"| {row.role} | {row.name} | {row.signals} | {gone} | {stop} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, and write; the status is 1 if a time is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=20, metavar="N")
    parser.add_argument("--only", metavar="TEXT", default="", help="waits whose names have it")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "bench", help="for the results")
    options = parser.parse_args()
    # A shell's background job ignores it, and so would all that this starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    floor = [time_python() for _ in range(options.times)]
    rows = []
    for wait in WAITS:
        if options.only in wait.name:
            rows.append(measure(wait, options.times))
            print(f"{wait.name}: {max(rows[-1].processes) * 1e3:.1f} ms", flush=True)
    result = {"limit": LIMIT, "python": floor, "waits": [asdict(row) for row in rows]}
    (options.folder / "waits.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.folder / "waits.md").write_text(markdown(rows, floor, options.times))
    late = [row.name for row in rows if max(row.stops or row.processes) > LIMIT]
    for name in late:
        print(f"over {LIMIT * 1e3:.0f} ms: {name}", file=sys.stderr)
    return 1 if late else 0


if __name__ == "__main__":
    raise SystemExit(main())
