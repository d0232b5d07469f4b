"""v4l-dmabuf-probe: what works, and for what does not, the likely cause."""

import json
import subprocess
from pathlib import Path

import pytest

from support import BIN, Vivid, run
from v4l_dmabuf.probe import MemoryProbe, devices, probe

SYSTEM = "/dev/dma_heap/system"
UDMABUF = "/dev/udmabuf"


def by_memory(vivid: Vivid) -> dict[str, MemoryProbe]:
    return {memory.memory: memory for memory in probe(vivid.capture).memories}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "v4l-dmabuf-probe", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.vivid
def test_a_driver_that_takes_any_memory() -> None:
    vivid = Vivid(allocators=0)
    vivid.stamp_the_start_of_exposure()
    memories = by_memory(vivid)
    assert set(memories) >= {"mmap", SYSTEM, UDMABUF}
    for memory in memories.values():
        assert memory.works, memory.reason
        assert memory.clock == "monotonic", memory.clock_reason
        assert memory.sizeimage == 1920 * 1080 * 2
        assert memory.read_bytes_per_second is not None
        assert 1e6 < memory.read_bytes_per_second < 1e11
    assert memories["mmap"].zero_copy
    assert memories[UDMABUF].zero_copy
    assert not memories[SYSTEM].zero_copy
    assert memories[SYSTEM].zero_copy_reason


@pytest.mark.vivid
def test_timestamps_that_are_ahead_of_their_frames_are_of_no_known_clock() -> None:
    """By default vivid reckons the frame's end, and hands the frame out before it."""
    for memory in by_memory(Vivid()).values():
        assert memory.clock == "unknown"
        assert memory.clock_reason is not None
        assert "ahead of this machine's CLOCK_MONOTONIC" in memory.clock_reason


@pytest.mark.vivid
def test_a_driver_that_needs_contiguous_memory() -> None:
    memories = by_memory(Vivid(allocators=1))
    assert memories["mmap"].works, memories["mmap"].reason
    assert not memories["mmap"].zero_copy
    assert not memories[SYSTEM].works
    reason = memories[SYSTEM].reason
    assert reason is not None
    assert "contiguous" in reason


@pytest.mark.vivid
def test_the_command_s_json_has_what_the_table_has() -> None:
    vivid = Vivid()
    size = ("-W", "640", "-H", "480")
    told = command(vivid.capture, "--json", *size)
    assert told.returncode == 0, told.stderr
    (device,) = json.loads(told.stdout)
    assert device["driver"] == "vivid"
    told = command(*size)
    assert (told.returncode, told.stderr) == (0, ""), "metadata nodes are passed over in silence"
    assert "640x480 YUYV" in told.stdout
    for memory in device["memories"]:
        assert memory["memory"] in told.stdout


@pytest.mark.vivid
def test_a_device_that_is_in_use_says_so() -> None:
    vivid = Vivid()
    holder = subprocess.Popen(
        ["v4l2-ctl", "-d", vivid.capture, "--stream-mmap"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert holder.stderr is not None
        holder.stderr.read(1)
        told = command(vivid.capture)
    finally:
        holder.kill()
        holder.communicate()
    assert told.returncode == 1
    assert "another program is using the device" in told.stdout


@pytest.mark.parametrize(
    ("device", "words"),
    [("/dev/null", "no V4L2 device"), ("/dev/nowhere", "there is no such device")],
)
def test_what_is_no_capture_device_is_one_clear_line(device: str, words: str) -> None:
    told = command(device)
    assert told.returncode == 1
    assert told.stderr.count("\n") == 1
    assert words in told.stderr


@pytest.mark.parametrize("arguments", [("-W", "0"), ("-f", "no fourcc")])
def test_bad_sizes_and_formats_are_a_matter_of_usage(arguments: tuple[str, str]) -> None:
    told = command("/dev/null", *arguments)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr


def test_a_full_or_closed_standard_output_is_no_traceback() -> None:
    for redirection, words in ((">/dev/full", "No space left on device"), (">&-", "it is closed")):
        told = subprocess.run(
            ["sh", "-c", f"{BIN}/v4l-dmabuf-probe --json {redirection}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 1
        assert "Traceback" not in told.stderr
        assert words in told.stderr


def test_a_machine_without_devices_says_so() -> None:
    if devices():
        pytest.skip("this machine has V4L2 devices")
    told = command()
    assert told.returncode == 1
    assert "no V4L2 device" in told.stderr


@pytest.mark.vivid
@pytest.mark.parametrize("multiplanar", [1, 2])
def test_an_output_device_shows_frames_from_any_memory(multiplanar: int) -> None:
    vivid = Vivid(multiplanar=multiplanar)
    run("v4l2-ctl", "-d", vivid.output, "--set-output", "1")
    probed = probe(vivid.output, width=640, height=480)
    assert probed.direction == "output"
    memories = {memory.memory: memory for memory in probed.memories}
    assert set(memories) >= {"mmap", SYSTEM, UDMABUF}
    for memory in memories.values():
        assert memory.works, memory.reason
        assert (memory.frames, memory.error_frames) == (3, 0), "vivid keeps the one it shows"
        assert (memory.zero_copy, memory.clock) == (None, None)
    told = command(vivid.output, "-W", "640", "-H", "480")
    assert told.returncode == 0, told.stderr
    assert "shown from" in told.stdout


@pytest.mark.vivid
def test_an_output_device_that_needs_contiguous_memory() -> None:
    vivid = Vivid(allocators=1)
    memories = {it.memory: it for it in probe(vivid.output, width=640, height=480).memories}
    assert memories["mmap"].works, memories["mmap"].reason
    assert not memories[SYSTEM].works
    assert "contiguous" in str(memories[SYSTEM].reason)


@pytest.mark.vivid
@pytest.mark.parametrize("ioctl", ["reqbufs", "qbuf", "streamon"])
def test_an_output_device_that_fails_says_at_what(ioctl: str) -> None:
    vivid = Vivid()
    run("v4l2-ctl", "-d", vivid.output, "-c", f"inject_vidioc_{ioctl}_error=1")
    (first, *_) = probe(vivid.output, width=640, height=480).memories
    assert not first.works
    assert f"VIDIOC_{ioctl.upper()}" in str(first.reason)


@pytest.mark.vivid
def test_which_cards_import_dmabufs() -> None:
    subprocess.run(["modprobe", "vgem"], check=True)
    told = command("--cards", "--json")
    assert told.returncode == 0, told.stderr
    took = {card["heap"]: card for card in json.loads(told.stdout) if card["driver"] == "vgem"}
    assert set(took) >= {SYSTEM, UDMABUF}
    for card in took.values():
        assert card["imports"], card["reason"]
    told = command("--cards")
    assert "(vgem)" in told.stdout
    assert SYSTEM in told.stdout


def test_a_machine_without_cards_says_so() -> None:
    if Path("/dev/dri").exists():
        pytest.skip("this machine has DRM cards")
    told = command("--cards")
    assert told.returncode == 1
    assert "no DRM card" in told.stderr
    assert command("--cards", "/dev/video0").returncode == 2
