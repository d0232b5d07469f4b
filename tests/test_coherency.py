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
CACHE = Path(__file__).with_name("cache.c")
SIZE = ("-W", "640", "-H", "480")


def by_memory(vivid: Vivid, **fields: Any) -> dict[str, MemoryProbe]:
    probed = probe(vivid.capture, width=640, height=480, **fields)
    return {memory.memory: memory for memory in probed.memories}


def behind_a_cache(folder: Path, cache: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    library = preloaded(folder, CACHE.read_text())
    wrapper = ["env", f"LD_PRELOAD={library}", f"CACHE={cache}"]
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
    told = behind_a_cache(tmp_path, cache, *options, "--json")
    (device,) = json.loads(told.stdout)
    for memory in device["memories"]:
        if memory["memory"] != "mmap":
            assert memory["device_writes"] == cache, memory
            assert memory["device_reads"] == cache, memory
    told = behind_a_cache(tmp_path, cache, *options)
    assert ("take another heap" in told.stdout) == (cache == "lies"), told.stdout
