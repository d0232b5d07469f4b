"""Drivers that do what they may, or should not: a preloaded library answers their ioctls."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from preload import preloaded
from support import BIN, LOCALHOST, PATIENCE, Command, receiver_command

SOURCE = Path(__file__).with_name("driver.c")
HAS_NO_HEAP = "/dev/dma_heap/nowhere"
IO_MC = 0x20000000


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return preloaded(tmp_path_factory.mktemp("driver"), SOURCE.read_text())


class Driver:
    """A device that is scripted."""

    def __init__(self, library: Path) -> None:
        # A terminal is a character device that is readable when it is made so.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._library = library

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)

    def wrapper(self, **script: int) -> list[str]:
        if script.get("frames"):
            os.write(self._master, b"frames")
        settings = ",".join(f"{name}={value}" for name, value in script.items())
        return [
            "env",
            f"LD_PRELOAD={self._library}",
            f"DRIVER_DEVICE={self.path}",
            f"DRIVER={settings}",
        ]

    def sender(self, port: int, *arguments: object, **script: int) -> Command:
        command = ("-d", self.path, "-W", 100, "-H", 100, "-a", LOCALHOST, "-p", port)
        return Command("sender", *command, *arguments, wrapper=self.wrapper(**script))

    def probe(self, *arguments: str, **script: int) -> subprocess.CompletedProcess[str]:
        command = [*self.wrapper(**script), str(BIN / "v4l-dmabuf-probe"), self.path, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )


@pytest.fixture
def driver(library: Path) -> Iterator[Driver]:
    driver = Driver(library)
    yield driver
    driver.close()


def failed(driver: Driver, port: int, *arguments: object, **script: int) -> str:
    """Give the error of a sender that fails beside a receiver."""
    with (
        receiver_command(port),
        driver.sender(port, "-m", "mmap", *arguments, **script) as sender,
    ):
        return sender.error()


def test_a_frame_of_a_scripted_driver_arrives(driver: Driver, port: int, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    with (
        receiver_command(port, "-o", dump) as receiver,
        driver.sender(port, "-m", "mmap", "-n", 3, frames=100) as sender,
    ):
        assert sender.wait() == 0, sender.stderr
        assert receiver.wait() == 0, receiver.stderr
    assert dump.stat().st_size == 3 * 20_000


@pytest.mark.parametrize("memory", ["mmap", "auto"])
def test_buffers_with_other_planes_than_their_format_are_the_driver_s_fault(
    driver: Driver, port: int, memory: str
) -> None:
    error = failed(driver, port, "-m", memory, format_planes=3, buffer_planes=1, frames=100)
    assert "its format has 3 memory planes, and its buffer 0 has 1" in error
    assert driver.path in error


def test_the_probe_finds_buffers_with_other_planes_than_their_format(driver: Driver) -> None:
    told = driver.probe("--json", format_planes=3, buffer_planes=1, frames=100)
    assert told.returncode == 1, told.stdout
    (device,) = json.loads(told.stdout)
    for memory in device["memories"]:
        assert not memory["works"], memory
    assert "3 memory planes" in device["memories"][0]["reason"]


def test_what_a_driver_adds_to_a_frame_is_not_sent(
    driver: Driver, port: int, tmp_path: Path
) -> None:
    """Buffers are made of whole pages, and some drivers fill them."""
    dump, report = tmp_path / "dump", tmp_path / "report"
    with (
        receiver_command(port, "-o", dump, "--report", report) as receiver,
        driver.sender(port, "-m", "mmap", "-n", 3, frames=100, excess=480) as sender,
    ):
        assert receiver.wait() == 0, receiver.stderr
        assert sender.wait() == 0, sender.stderr
    assert dump.stat().st_size == 3 * 20_000, "frames have more bytes than their format"
    assert json.loads(report.read_text())["summary"]["error_frames"] == 3
    assert sender.stderr.count("frames of 20480 bytes, and its format has 20000") == 1


@pytest.mark.parametrize(
    "arguments", [("-m", "mmap"), ("-m", "auto"), ("-m", "auto", "-e", HAS_NO_HEAP)]
)
def test_the_device_is_mapped_where_its_exports_cannot_be(
    driver: Driver, port: int, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    dump = tmp_path / "dump"
    script = {"frames": 100, "exports_what_cannot_be_mapped": 1}
    with (
        receiver_command(port, "-o", dump) as receiver,
        driver.sender(port, *arguments, "-n", 3, **script) as sender,
    ):
        assert sender.wait() == 0, sender.stderr
        assert receiver.wait() == 0, receiver.stderr
    assert dump.stat().st_size == 3 * 20_000
    assert "mapping the device instead" in sender.stderr
    if "auto" in arguments:
        (warning,) = [line for line in sender.stderr.splitlines() if "falling back" in line]
        assert "use -m mmap" not in warning, "it does so already"


def probed(driver: Driver, **script: int) -> tuple[int, dict[str, Any]]:
    """Give the probe's exit status, and what it says of the driver's own buffers."""
    told = driver.probe("--json", "-W", "100", "-H", "100", **script)
    assert "Traceback" not in told.stderr
    (device,) = json.loads(told.stdout)
    memory: dict[str, Any] = device["memories"][0]
    assert memory["memory"] == "mmap"
    return told.returncode, memory


def test_the_probe_says_that_a_device_works_that_gives_frames(driver: Driver) -> None:
    status, memory = probed(driver, frames=100)
    assert status == 0
    assert (memory["works"], memory["frames"], memory["error_frames"]) == (True, 4, 0)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({}, "gives no frame in 3 s"),
        ({"frames": 100, "short": 200}, "4 of 4 frames are incomplete: plane 0 has 19800 bytes"),
    ],
)
def test_the_probe_says_that_a_device_does_not_work_that_a_stream_fails_with(
    driver: Driver, script: dict[str, int], words: str
) -> None:
    status, memory = probed(driver, **script)
    assert (status, memory["works"]) == (1, False)
    assert words in memory["reason"]


def test_the_probe_passes_on_that_frames_are_flagged(driver: Driver) -> None:
    _, memory = probed(driver, frames=100, excess=1)
    assert (memory["works"], memory["error_frames"]) == (True, 4)
    assert "flags 4 of 4 frames as corrupt" in driver.probe(frames=100, excess=1).stdout


def test_the_probe_heeds_an_interrupt_while_the_device_hangs(driver: Driver) -> None:
    with Command("probe", driver.path, "-v", wrapper=driver.wrapper(hangs=20)) as probe:
        probe.wait_for("capturing 1920x1080")
        begun = time.monotonic()
        probe.process.send_signal(signal.SIGINT)
        assert probe.wait() == 130, probe.stderr
        assert time.monotonic() - begun < 10, "it waited for the device"


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOLINK, errno.EINVAL])
def test_a_device_that_does_not_start_says_where_to_look(
    driver: Driver, port: int, number: int
) -> None:
    for script, words in (
        ({"capabilities": IO_MC}, "media-ctl -p shows links and formats"),
        ({"signal": 1080}, "a signal of 1920x1080 at 60 frames/s: v4l2-ctl"),
        ({"signal": errno.ENOLINK}, "there is no signal"),
        ({}, f"v4l2-ctl -d {driver.path} --all"),
    ):
        error = failed(driver, port, streamon=number, **script)
        assert "VIDIOC_STREAMON" in error
        assert errno.errorcode[number] in error
        assert words in error
        assert "kernel log" not in error


@pytest.mark.parametrize(
    "script",
    [
        {"event_after": 3},
        {"event_after": 3, "then": errno.EIO},
        {"event_after": 3, "then": errno.EPIPE},
        {"then": errno.EIO},
        {"then": errno.EPIPE},
    ],
)
def test_a_source_that_changes_ends_the_run_with_what_it_is_now(
    driver: Driver, port: int, script: dict[str, int]
) -> None:
    error = failed(driver, port, frames=3, signal=1080, signal_later=720, **script)
    assert "its source changed: now there is a signal of 1280x720 at 60 frames/s" in error
    assert "--set-dv-bt-timings query" in error
    assert driver.path in error


def test_a_source_that_changes_into_what_nobody_tells(driver: Driver, port: int) -> None:
    assert "its source changed, and the driver does not tell" in failed(
        driver, port, frames=3, event_after=3
    )


def test_frames_shorter_than_their_format_are_incomplete(driver: Driver, port: int) -> None:
    with (
        receiver_command(port) as receiver,
        driver.sender(port, "-m", "mmap", "-n", 3, frames=100, short=6400) as sender,
    ):
        for end in (sender, receiver):
            assert "3 frames are incomplete" in end.error(status=3)
            assert "plane 0 has 13600 bytes, and its rows take 20000" in end.stderr


def test_neither_side_calls_frames_sound_that_nobody_wrote(driver: Driver, port: int) -> None:
    with (
        receiver_command(port) as receiver,
        driver.sender(port, "-m", "mmap", "-n", 3, "--verify", frames=100) as sender,
    ):
        for end in (sender, receiver):
            assert "3 frames were not written by the driver" in end.error(status=3)
            assert "all sound" not in end.stderr


def test_alternating_fields_are_told_apart(driver: Driver, port: int, tmp_path: Path) -> None:
    records = {side: tmp_path / side for side in ("sender", "receiver")}
    reports = {side: tmp_path / f"{side}.json" for side in ("sender", "receiver")}
    options = {side: ("--records", records[side], "--report", reports[side]) for side in records}
    with (
        receiver_command(port, *options["receiver"]) as receiver,
        driver.sender(
            port, "-m", "mmap", "-n", 6, *options["sender"], frames=100, alternates=1
        ) as sender,
    ):
        assert sender.wait() == 0, sender.stderr
        assert receiver.wait() == 0, receiver.stderr
    for side, path in records.items():
        with path.open() as lines:
            rows = [(int(row["sequence"]), int(row["field"])) for row in csv.DictReader(lines)]
        assert rows == [(0, 2), (0, 3), (1, 2), (1, 3), (2, 2), (2, 3)], side
        summary = json.loads(reports[side].read_text())["summary"]
        assert (summary["drops"], summary["field"]) == (0, "alternate"), side


HOLDING = """
import sys
from v4l_dmabuf import Capture
from v4l_dmabuf.errors import FramesHeldError
size = {"width": 100, "height": 100, "memory": "mmap", "buffers": 6}
with Capture(device=sys.argv[1], on_overrun="drop-oldest", **size) as capture:
    held = []
    try:
        while True:
            held.append(capture.get(timeout=0.5))
    except FramesHeldError:
        print(len(held))
"""


@pytest.mark.parametrize(("script", "held"), [({}, 5), ({"min_buffers": 4}, 3)])
def test_a_program_leaves_a_driver_the_buffers_that_it_says_it_needs(
    driver: Driver, script: dict[str, int], held: int
) -> None:
    command = [*driver.wrapper(frames=100, **script), sys.executable, "-c", HOLDING, driver.path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (0, f"{held}\n"), done.stderr
