"""Sending without a copy: chosen by trial, told in the report, and right to the byte."""

import logging
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reference import frame, pattern, stream_header
from support import (
    LOCALHOST,
    SHM,
    Command,
    Vivid,
    listening,
    receiver_command,
    sender_command,
    transfer,
)
from v4l_dmabuf import Sender, errors

SIZE = 640 * 480 * 2
SYSTEM_HEAP = "/dev/dma_heap/system"
UDMABUF = "/dev/udmabuf"


@pytest.fixture
def dump() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        yield Path(folder) / "dump"


def check_pattern(dump: Path, count: int) -> None:
    with dump.open("rb") as file:
        for number in range(count):
            assert file.read(SIZE) == pattern(number, SIZE, 480), f"frame {number} differs"


def test_source(port: int, **fields: Any) -> Sender:
    return Sender(device="test", address=LOCALHOST, port=port, **{"heap": "memfd"} | fields)


test_source.__test__ = False  # type: ignore[attr-defined] # a sender, not a test


@pytest.mark.parametrize("buffers", [1, 2, 5])
def test_every_byte_arrives_without_a_copy(port: int, dump: Path, buffers: int) -> None:
    sender = test_source(port, zero_copy="on", buffers=buffers)
    sent, received = transfer(sender, 30, port, dump)
    assert (sent.zero_copy, sent.zero_copy_frames, sent.fallback_frames) == (True, 30, 0)
    assert "can refer to buffers of memfd" in str(sent.zero_copy_reason)
    assert received.zero_copy is None
    check_pattern(dump, 30)


def test_auto_stops_where_the_kernel_copies_all_the_same(port: int, dump: Path) -> None:
    sent, _ = transfer(test_source(port), 30, port, dump)
    assert sent.zero_copy is False
    assert "as over loopback" in str(sent.zero_copy_reason)
    assert 0 < sent.zero_copy_frames < 30
    check_pattern(dump, 30)


def test_what_is_in_flight_when_the_sender_gives_up_stays_as_it_was(port: int) -> None:
    """The network still refers to it, and sends it once the receiver takes it."""
    header, taken = len(frame(b"")), bytearray()
    with listening(port) as server:
        with sender_command(
            port, "--protocol", 2, "--zero-copy", "on", "--peer-timeout", 0.5
        ) as sender:
            connection = server.accept()[0]
            assert sender.wait() == 3, sender.stderr
        with connection:
            while more := connection.recv(1 << 20):
                taken += more
    del taken[: len(stream_header())]
    assert len(taken) > SIZE, "less than a frame was in flight"
    for number, begin in enumerate(range(0, len(taken), header + SIZE)):
        assert taken[begin : begin + 4] == b"VRFM"[: len(taken) - begin], (
            f"frame {number}'s header"
        )


def test_off_is_off(port: int) -> None:
    sent, _ = transfer(test_source(port, zero_copy="off"), 5, port)
    assert (sent.zero_copy, sent.zero_copy_frames) == (False, 0)
    assert sent.zero_copy_reason == "not wanted"


def test_no_locked_memory_falls_back(port: int, dump: Path) -> None:
    # Root is exempt from the limit as long as it has this capability.
    unprivileged = ["setpriv", "--bounding-set=-ipc_lock"] if os.geteuid() == 0 else []
    with (
        receiver_command(port, "-o", dump) as end,
        Command(
            "sender",
            *("-d", "test", "-e", "memfd", "-a", LOCALHOST, "-p", port, "-n", 10),
            *("--zero-copy", "on"),
            wrapper=[*unprivileged, "prlimit", "--memlock=65536:65536"],
        ) as sender,
    ):
        assert sender.wait() == 0, sender.stderr
        assert end.wait() == 0, end.stderr
    assert "10 frames fell back" in " ".join(sender.stderr.split())
    check_pattern(dump, 10)


@pytest.mark.vivid
@pytest.mark.parametrize("memory", [{"heap": UDMABUF, "memory": "dmabuf"}, {"memory": "mmap"}])
def test_a_camera_s_frames_leave_without_a_copy(
    port: int, dump: Path, memory: dict[str, str]
) -> None:
    vivid = Vivid()
    vivid.stand_still()
    sender = vivid.sender(port, zero_copy="on", **memory)
    sent, _ = transfer(sender, 20, port, dump)
    assert (sent.zero_copy, sent.zero_copy_frames) == (True, 20)
    frame = vivid.captured_by_another(640, 480, "YUYV")
    assert dump.read_bytes() == frame * 20


@pytest.mark.vivid
def test_memory_without_pages_is_copied_or_refused(port: int) -> None:
    for allocators, memory, named in (
        (0, {"heap": SYSTEM_HEAP}, SYSTEM_HEAP),
        (1, {"memory": "mmap"}, "the driver's own buffers"),
    ):
        vivid = Vivid(allocators=allocators)
        sent, _ = transfer(vivid.sender(port, **memory), 3, port)
        assert sent.zero_copy is False
        assert re.search(f"can't refer to .*{named} .Bad address", str(sent.zero_copy_reason))
        with pytest.raises(errors.ZeroCopyError, match=f"{named}.*-e /dev/udmabuf") as refused:
            vivid.sender(port, zero_copy="on", **memory).run()
        assert refused.value.errno == 14


@pytest.mark.vivid
def test_no_room_for_completions_falls_back_frame_by_frame(port: int, dump: Path) -> None:
    limit = Path("/proc/sys/net/core/optmem_max")
    before = limit.read_text()
    limit.write_text("1")
    try:
        sent, _ = transfer(test_source(port, zero_copy="on"), 10, port, dump)
    finally:
        limit.write_text(before)
    assert sent.fallback_frames == 10
    check_pattern(dump, 10)


@pytest.mark.vivid
def test_auto_takes_the_heap_that_can_be_sent_without_a_copy(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    sent, _ = transfer(Vivid().sender(port, heap="auto"), 3, port)
    assert (sent.memory, sent.heap) == ("dmabuf", UDMABUF)
    assert transfer(test_source(port, heap="auto"), 3, port)[0].heap == UDMABUF
    caplog.set_level(logging.DEBUG)
    size = {"width": 1280, "height": 720}
    vivid = Vivid(allocators=1)
    sent, _ = transfer(vivid.sender(port, heap="auto", **size), 3, port)
    assert sent.memory == "mmap"
    for rejected in (f"heap {UDMABUF}: .*VIDIOC_QBUF", f"heap {SYSTEM_HEAP}: .*without a copy"):
        assert re.search(rejected, caplog.text), rejected
    with pytest.raises(errors.ImportRefusedError, match="-v tells of each heap"):
        vivid.sender(port, heap="auto", memory="dmabuf", **size).run()
