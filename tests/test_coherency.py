"""v4l-dmabuf-probe: what DMA_BUF_IOCTL_SYNC is to a heap's memory."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from preload import preloaded
from support import BIN, Vivid, run
from v4l_dmabuf.probe import MemoryProbe, probe

pytestmark = pytest.mark.vivid

SYSTEM = "/dev/dma_heap/system"
UDMABUF = "/dev/udmabuf"
SIZE = ("-W", "640", "-H", "480")


def by_memory(vivid: Vivid, **fields: Any) -> dict[str, MemoryProbe]:
    probed = probe(vivid.capture, width=640, height=480, **fields)
    return {memory.memory: memory for memory in probed.memories}


def library(folder: Path, name: str) -> Path:
    within = folder / name
    within.mkdir(exist_ok=True)
    return preloaded(within, Path(__file__).with_name(f"{name}.c").read_text())


def behind(
    *libraries: Path, arguments: tuple[str, ...], **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command behind libraries, the first of them nearest to it."""
    wrapper = ["env", f"LD_PRELOAD={' '.join(map(str, libraries))}"]
    wrapper += [f"{name}={value}" for name, value in environment.items()]
    return subprocess.run(
        [*wrapper, BIN / "v4l-dmabuf-probe", *SIZE, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("multiplanar", [1, 2])
def test_memory_in_which_device_and_cpu_see_each_other_s_writes(multiplanar: int) -> None:
    vivid = Vivid(multiplanar=multiplanar)
    vivid.loop()
    memories = by_memory(vivid, loop=vivid.output)
    for heap in (SYSTEM, UDMABUF):
        memory = memories[heap]
        assert memory.device_writes == "coherent", memory.device_writes_reason
        assert memory.device_reads == "coherent", memory.device_reads_reason
    assert (memories["mmap"].device_writes, memories["mmap"].device_reads) == (None, None)


def test_without_a_loop_the_capture_direction_alone_is_told() -> None:
    for heap, memory in by_memory(Vivid()).items():
        assert memory.device_writes == (None if heap == "mmap" else "coherent")
        assert (memory.device_reads, memory.device_reads_reason) == (None, None)


def test_a_loop_that_is_none_is_said() -> None:
    vivid = Vivid()
    run("v4l2-ctl", "-d", vivid.output, "--set-output", "1")
    memory = by_memory(vivid, loop=vivid.output)[SYSTEM]
    assert memory.device_reads == "unknown"
    assert "byte for byte" in str(memory.device_reads_reason)
    gone = by_memory(vivid, loop="/dev/null")[SYSTEM]
    assert gone.device_reads == "unknown"
    assert "/dev/null" in str(gone.device_reads_reason)


def test_an_output_device_alone_does_not_tell_and_the_advice_is_to_verify() -> None:
    vivid = Vivid()
    run("v4l2-ctl", "-d", vivid.output, "--set-output", "1")
    told = run(str(BIN / "v4l-dmabuf-probe"), vivid.output, *SIZE)
    assert "unknown" in told
    assert "--loop" in told
    assert "--verify" in told


@pytest.mark.parametrize("cache", ["cached", "lies"])
def test_caches_that_devices_do_not_look_into(tmp_path: Path, cache: str) -> None:
    """The kernel's SYNC does what it has to, or lies as udmabuf's once did on arm64."""
    vivid = Vivid()
    vivid.loop()
    options = (vivid.capture, "--loop", vivid.output)
    shim = library(tmp_path, "cache")
    told = behind(shim, arguments=(*options, "--json"), CACHE=cache)
    (device,) = json.loads(told.stdout)
    for memory in device["memories"]:
        if memory["memory"] != "mmap":
            assert memory["device_writes"] == cache, memory
            assert memory["device_reads"] == cache, memory
    told = behind(shim, arguments=options, CACHE=cache)
    assert ("take another heap" in told.stdout) == (cache == "lies"), told.stdout


@pytest.mark.parametrize("cache", [None, "cached", "lies"])
def test_a_device_that_converts_frames(tmp_path: Path, cache: str | None) -> None:
    vivid = Vivid()
    vivid.loop()
    shims = [library(tmp_path, "m2m")]
    environment = {"M2M_CAPTURE": vivid.capture, "M2M_OUTPUT": vivid.output}
    if cache is not None:
        shims = [library(tmp_path, "cache"), *shims]
        environment["CACHE"] = cache
    told = behind(*shims, arguments=(vivid.capture, "--json"), **environment)
    assert told.returncode == 0, told.stderr
    (device,) = json.loads(told.stdout)
    assert device["direction"] == "m2m"
    memories = {memory["memory"]: memory for memory in device["memories"]}
    assert memories["mmap"]["works"], memories["mmap"]
    assert memories["mmap"]["device_writes"] is None
    for heap in (SYSTEM, UDMABUF):
        memory = memories[heap]
        assert memory["works"], memory["reason"]
        assert memory["device_writes"] == (cache or "coherent"), memory
        assert memory["device_reads"] == (cache or "coherent"), memory
    told = behind(*shims, arguments=(vivid.capture,), **environment)
    assert "device writes  device reads" in told.stdout, told.stdout


def test_a_device_that_converts_frames_is_probed_when_it_is_named(tmp_path: Path) -> None:
    vivid = Vivid()
    vivid.loop()
    environment = {"M2M_CAPTURE": vivid.capture, "M2M_OUTPUT": vivid.output}
    told = behind(library(tmp_path, "m2m"), arguments=("--json",), **environment)
    assert [device["device"] for device in json.loads(told.stdout)] == [vivid.output]
