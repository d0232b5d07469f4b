"""What several tests need: the commands as processes, and both ends in one process."""

import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import pytest

from reference import frame, stream_header
from v4l_dmabuf import Receiver, Report, Sender

BIN = Path(os.environ.get("V4L_DMABUF_BIN") or Path(sys.executable).parent)
LOCALHOST = "127.0.0.1"
PATIENCE = 30.0
SHM = Path("/dev/shm")  # noqa: S108 -- files of hundreds of megabytes, in memory


def free_port() -> int:
    """Give a port that no connection takes meanwhile: the kernel's own are above 32767."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 -- no secret
        with socket.socket() as probe:
            try:
                probe.bind((LOCALHOST, port))
            except OSError:
                continue
            return port


def unavailable(reason: str) -> NoReturn:
    """Skip a test that can't run here; where CI runs, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to run this, and can't: {reason}", pytrace=False)
    pytest.skip(reason)


class Command:
    """A command of ours that runs; its stderr is collected as it comes."""

    def __init__(
        self,
        name: str,
        *arguments: object,
        stdout: int | None = subprocess.DEVNULL,
        wrapper: Sequence[str] = (),
    ) -> None:
        self.process = subprocess.Popen(
            [*wrapper, str(BIN / f"v4l-dmabuf-{name}"), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(line.decode())

    @property
    def stderr(self) -> str:
        return "".join(self._lines)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.stderr:
            assert self.process.poll() is None or self._reader.is_alive(), (
                f"ended without saying {text!r}: {self.stderr}"
            )
            assert time.monotonic() < deadline, f"did not say {text!r}: {self.stderr}"
            time.sleep(0.01)

    def wait(self) -> int:
        status = self.process.wait(PATIENCE)
        self._reader.join()
        return status

    def error(self, status: int = 1) -> str:
        """Give the one line of a failure, having checked that it is one, with that exit status."""
        assert self.wait() == status, self.stderr
        assert "Traceback" not in self.stderr
        assert "panicked" not in self.stderr
        errors = [line for line in self.stderr.splitlines() if " error: " in line]
        assert len(errors) == 1, self.stderr
        return errors[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def receiver_command(
    port: int,
    *arguments: object,
    stdout: int | None = subprocess.DEVNULL,
    wrapper: Sequence[str] = (),
) -> Command:
    """Start a receiver on plain memory, and wait until it listens."""
    command = Command(
        "receiver",
        *("--listen", LOCALHOST, "--port", port, "--heap", "memfd", *arguments),
        stdout=stdout,
        wrapper=wrapper,
    )
    command.wait_for("listening on")
    return command


def sender_command(port: int, *arguments: object) -> Command:
    """Start a sender of the built-in source on plain memory."""
    return Command(
        "sender",
        *("--device", "test", "--heap", "memfd", "--address", LOCALHOST, "--port", port),
        *arguments,
    )


def connect(port: int) -> socket.socket:
    return socket.create_connection((LOCALHOST, port), timeout=PATIENCE)


def send_a_frame(port: int) -> None:
    """Be a sender of one frame."""
    with connect(port) as connection:
        connection.sendall(stream_header() + frame(b"x"))


def connect_when_it_listens(port: int) -> socket.socket:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return connect(port)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nothing came to listen"
            time.sleep(0.01)


def listening(port: int) -> socket.socket:
    server = socket.create_server((LOCALHOST, port))
    server.settimeout(PATIENCE)
    return server


def transfer(
    sender: Sender, frames: int, port: int, output: Path | None = None, heap: str = "memfd"
) -> tuple[Report, Report]:
    """Run a sender and a receiver in this process; gives the reports of both.

    Where both fail, the sender's error is raised.
    """
    with (
        ThreadPoolExecutor(1) as executor,
        receiver(port, output=output, heap=heap) as end,
        sender,
    ):
        received = executor.submit(end.run)
        sent = sender.run(frames=frames)
        return sent, received.result(PATIENCE)


def receiver(port: int, *, heap: str = "memfd", **fields: Any) -> Receiver:
    """Make a receiver for this process, on plain memory unless told otherwise."""
    return Receiver(listen=LOCALHOST, port=port, heap=heap, **fields)


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Vivid:
    """The driver, loaded with certain options."""

    def __init__(self, **options: object) -> None:
        options = {"n_devs": 1, "node_types": "0x101"} | options
        subprocess.run(["modprobe", "-r", "vivid"], check=True)
        run("modprobe", "vivid", *(f"{name}={value}" for name, value in options.items()))
        run("udevadm", "settle")
        names = {
            path.parent.name: path.read_text().strip()
            for path in Path("/sys/class/video4linux").glob("*/name")
        }
        (self.capture,) = (f"/dev/{node}" for node, name in names.items() if "vid-cap" in name)
        (self.output,) = (f"/dev/{node}" for node, name in names.items() if "vid-out" in name)

    def set(self, **controls: int) -> None:
        settings = ",".join(f"{name}={value}" for name, value in controls.items())
        run("v4l2-ctl", "-d", self.capture, "-c", settings)

    def stand_still(self) -> None:
        """Make every frame the same: no text, no movement."""
        self.set(osd_text_mode=2)

    def stamp_the_start_of_exposure(self) -> None:
        """Make timestamps lie before the frame; else they are its end's, reckoned ahead."""
        self.set(timestamp_source=1)

    def loop(self, timings: int = 0) -> None:
        """Have the capture node show what the output node is given; 0 is 640x480 at 59.94 fps."""
        run("v4l2-ctl", "-d", self.output, "--set-output=1")
        run("v4l2-ctl", "-d", self.capture, "--set-input=3")
        for node in (self.output, self.capture):
            run("v4l2-ctl", "-d", node, "--set-dv-bt-timings", f"index={timings}")
        self.set(hdmi_000_0_is_connected_to=2, osd_text_mode=2)

    def sender(self, port: int, **fields: Any) -> Sender:
        return Sender(
            address=LOCALHOST, port=port, **{"device": self.capture, "fps": 30.0, **fields}
        )

    def captured_by_another(self, width: int, height: int, pixel_format: str) -> bytes:
        """Give a frame as another V4L2 program captures it."""
        with tempfile.NamedTemporaryFile(dir=SHM) as file:
            run(
                *("v4l2-ctl", "-d", self.capture, "--stream-mmap", "--stream-count=1"),
                f"--set-fmt-video=width={width},height={height},pixelformat={pixel_format}",
                f"--stream-to={file.name}",
            )
            return Path(file.name).read_bytes()
