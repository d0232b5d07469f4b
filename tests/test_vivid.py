"""A real V4L2 device: vivid, with options of each test's own."""

import gc
import json
import logging
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from guests.guest import CHECKOUT
from preload import without_expbuf
from support import (
    LOCALHOST,
    SHM,
    Command,
    Vivid,
    receiver_command,
    run,
    transfer,
    unavailable,
)
from v4l_dmabuf import Sender, errors

pytestmark = pytest.mark.vivid

SYSTEM_HEAP = "/dev/dma_heap/system"
UDMABUF = "/dev/udmabuf"


@pytest.fixture
def dump() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        yield Path(folder) / "dump"


def check_frames(dump: Path, expected: bytes, count: int) -> None:
    with dump.open("rb") as file:
        for number in range(count):
            assert file.read(len(expected)) == expected, f"frame {number} differs"
        assert file.read() == b""


@pytest.mark.parametrize(
    ("heap", "memory", "used"),
    [
        (SYSTEM_HEAP, "auto", ("dmabuf", SYSTEM_HEAP)),
        (SYSTEM_HEAP, "dmabuf", ("dmabuf", SYSTEM_HEAP)),
        (UDMABUF, "dmabuf", ("dmabuf", UDMABUF)),
        (SYSTEM_HEAP, "mmap", ("mmap", None)),
    ],
)
def test_frames_are_what_another_program_captures(
    vivid: Vivid, port: int, dump: Path, heap: str, memory: str, used: tuple[str, str | None]
) -> None:
    vivid.stand_still()
    sender = vivid.sender(port, heap=heap, memory=memory, width=1280, height=720)
    sent, received = transfer(sender, 10, port, dump, heap=heap)
    assert (sent.memory, sent.heap) == used
    assert (received.memory, received.heap) == ("dmabuf", heap)
    assert sent.frames == received.frames == 10
    assert sent.drops == received.drops
    assert sent.error_frames == received.error_frames == 0
    check_frames(dump, vivid.captured_by_another(1280, 720, "YUYV"), 10)


@pytest.mark.parametrize("pixel_format", ["UYVY", "NV12", "RGB3", "Y16 ", "422P"])
def test_other_formats(vivid: Vivid, port: int, dump: Path, pixel_format: str) -> None:
    vivid.stand_still()
    sender = vivid.sender(port, format=pixel_format)
    sent, received = transfer(sender, 5, port, dump, heap=SYSTEM_HEAP)
    assert sent.format == received.format == pixel_format
    check_frames(dump, vivid.captured_by_another(640, 480, pixel_format), 5)


def test_a_multi_planar_device(port: int, dump: Path) -> None:
    vivid = Vivid(multiplanar=2)
    vivid.stand_still()
    for memory in ("dmabuf", "mmap"):
        sent, _ = transfer(vivid.sender(port, memory=memory), 5, port, dump, heap=SYSTEM_HEAP)
        assert sent.memory == memory
        check_frames(dump, vivid.captured_by_another(640, 480, "YUYV"), 5)


def test_a_driver_that_exports_nothing(
    vivid: Vivid, port: int, dump: Path, tmp_path: Path
) -> None:
    """As virtio-media guests may find it; vivid does export, so the ioctl is kept from it."""
    library = without_expbuf(tmp_path)
    vivid.stand_still()
    with (
        receiver_command(port, "-o", dump) as end,
        Command(
            "sender",
            *(
                "-d",
                vivid.capture,
                "-m",
                "mmap",
                "--fps",
                30,
                "-n",
                5,
                "-a",
                LOCALHOST,
                "-p",
                port,
            ),
            wrapper=["env", f"LD_PRELOAD={library}"],
        ) as sender,
    ):
        assert sender.wait() == 0, sender.stderr
        assert end.wait() == 0, end.stderr
    assert "which it does not export as DMABUFs" in sender.stderr
    check_frames(dump, vivid.captured_by_another(640, 480, "YUYV"), 5)


@pytest.mark.parametrize(
    "memory",
    [
        {"memory": "mmap"},
        {"heap": "/dev/udmabuf", "zero_copy": "on"},
        {"heap": SYSTEM_HEAP, "zero_copy": "off"},
    ],
)
@pytest.mark.parametrize(("pixel_format", "planes"), [("NM12", 2), ("YM12", 3)])
def test_formats_of_several_memory_planes(
    port: int, dump: Path, memory: dict[str, str], pixel_format: str, planes: int
) -> None:
    vivid = Vivid(multiplanar=2)
    vivid.stand_still()
    sender = vivid.sender(port, format=pixel_format, verify=True, **memory)
    sent, received = transfer(sender, 5, port, dump, heap=SYSTEM_HEAP)
    assert sent.planes == received.planes == planes
    assert (received.spoiled, sent.unwritten) == (0, 0)
    check_frames(dump, vivid.captured_by_another(640, 480, pixel_format), 5)


def test_version_2_refuses_what_it_can_t_carry(port: int) -> None:
    sender = Vivid(multiplanar=2).sender(port, format="NM12", protocol=2)
    with pytest.raises(errors.FormatError, match=r"2 memory planes.*--protocol 3"):
        sender.run()


def test_a_receiver_is_told_what_the_driver_tells(vivid: Vivid, port: int, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with receiver_command(port, "--report", path) as end:
        vivid.sender(port).run(frames=3)
        assert end.wait() == 0, end.stderr
    stream = json.loads(path.read_text())["stream"]
    assert (stream["driver"], stream["card"]) == ("vivid", "vivid")
    assert stream["planes"] == [{"sizeimage": 614400, "bytesperline": 1280}]
    assert stream["frame_interval"][1] / stream["frame_interval"][0] == pytest.approx(30, abs=1)
    assert stream["colorimetry"]["colorspace"] > 0
    assert stream["timestamp_flags"] & 0x2000
    assert stream["capabilities"] & 0x04000000, "V4L2_CAP_STREAMING"


def test_verified_frames_of_a_still_picture_are_the_same_and_written(
    vivid: Vivid, port: int
) -> None:
    vivid.stand_still()
    sent, received = transfer(vivid.sender(port, verify=True), 20, port, heap=SYSTEM_HEAP)
    assert (sent.verified_frames, sent.unwritten, sent.spoiled) == (20, 0, 0)
    assert sent.repeated_frames == received.repeated_frames == 19
    assert sent.zero_frames == received.zero_frames == 0
    assert sent.verify_cpu_seconds is not None
    assert sent.verify_cpu_seconds > 0


def test_what_the_driver_does_not_write_is_found(vivid: Vivid, port: int) -> None:
    """Composed into the upper half of the frame, a picture leaves the lower as it was."""
    half = "target=compose,width=640,height=240,left=0,top=0"
    whole = "--set-fmt-video=width=640,height=480,pixelformat=YUYV"
    # The webcam, which is the default input, can't compose.
    run("v4l2-ctl", "-d", vivid.capture, "-i", "3")
    run("v4l2-ctl", "-d", vivid.capture, whole)
    run("v4l2-ctl", "-d", vivid.capture, "--set-selection", half)
    with pytest.raises(errors.IntegrityError, match="not written by the driver") as caught:
        transfer(vivid.sender(port, verify=True), 20, port, heap=SYSTEM_HEAP)
    assert caught.value.report is not None
    assert caught.value.report.frames == 20
    assert caught.value.report.unwritten
    with receiver_command(port, "-n", 5) as receiver:
        with pytest.raises(errors.IntegrityError):
            vivid.sender(port, verify=True).run(frames=5)
        assert "not written by the driver" in receiver.error(status=3)


def test_a_driver_that_needs_contiguous_memory(
    port: int, dump: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vivid = Vivid(allocators=1)
    vivid.stand_still()
    size = {"width": 1280, "height": 720}
    with caplog.at_level(logging.WARNING):
        sent, _ = transfer(vivid.sender(port, heap=SYSTEM_HEAP, **size), 5, port, dump)
    assert (sent.memory, sent.heap) == ("mmap", None)
    assert re.search(r"falling back .*VIDIOC_QBUF.*EFAULT.*contiguous memory", caplog.text)
    check_frames(dump, vivid.captured_by_another(1280, 720, "YUYV"), 5)
    with pytest.raises(errors.ImportRefusedError, match=r"contiguous memory.*-m mmap") as refused:
        vivid.sender(port, heap=SYSTEM_HEAP, memory="dmabuf", **size).run()
    assert refused.value.filename == vivid.capture


@pytest.mark.parametrize("where", ["reqbufs", "qbuf"])
def test_a_refused_import_falls_back(
    vivid: Vivid, port: int, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    inject = {f"inject_vidioc_{where}_error": 1}
    vivid.set(**inject)
    with caplog.at_level(logging.WARNING):
        sent, _ = transfer(vivid.sender(port, heap=SYSTEM_HEAP), 3, port)
    assert sent.memory == "mmap"
    assert f"VIDIOC_{where.upper()}" in caplog.text
    vivid.set(**inject)
    with pytest.raises(errors.ImportRefusedError, match=f"VIDIOC_{where.upper()}"):
        vivid.sender(port, heap=SYSTEM_HEAP, memory="dmabuf").run()
    assert transfer(vivid.sender(port), 3, port)[0].heap == UDMABUF


def test_drops_are_counted_at_both_ends(vivid: Vivid, port: int) -> None:
    vivid.set(percentage_of_dropped_buffers=50)
    sent, received = transfer(vivid.sender(port), 30, port)
    assert sent.drops is not None
    assert sent.drops >= 5
    assert received.drops == sent.drops


def test_fields_that_alternate(vivid: Vivid, port: int) -> None:
    """As HDMI brings them: both fields of a frame have one sequence number."""
    run("v4l2-ctl", "-d", vivid.capture, "-i", "3")
    timings = run("v4l2-ctl", "-d", vivid.capture, "--list-dv-timings")
    each = re.findall(r"Index: (\d+)\n(.*?)(?=\n\s*\n|\Z)", timings, re.DOTALL)
    index = next(index for index, told in each if "interlaced" in told)
    run("v4l2-ctl", "-d", vivid.capture, f"--set-dv-bt-timings=index={index}")
    sender = vivid.sender(port, width=320, height=240, fps=None)
    with receiver_command(port) as command:
        sent = sender.run(frames=20)
        assert command.wait() == 0, command.stderr
    assert sent.field == "alternate"
    assert sent.drops is not None, "the sequence numbers could not be used"
    assert "20 fields" in command.stderr
    assert "drops unknown" not in command.stderr
    assert "drops can't be counted" not in command.stderr


def test_a_camera_s_frames_have_an_age_by_this_machine_s_clock(vivid: Vivid, port: int) -> None:
    vivid.stamp_the_start_of_exposure()
    sent, received = transfer(vivid.sender(port), 20, port)
    assert sent.clock == "monotonic", sent.clock_reason
    assert sent.stages["capture_age"].count == 20
    assert sent.stages["capture_age"].most < 2
    assert received.clock is None
    assert "capture_age" not in received.stages


def test_a_sequence_that_wraps_is_no_drop(vivid: Vivid, port: int) -> None:
    vivid.set(wrap_sequence_number=1)
    for _ in range(3):
        sent, received = transfer(vivid.sender(port, width=320, height=180, fps=60.0), 150, port)
        if sent.drops is not None:
            break  # now and then vivid gives its first two frames the same number
    assert sent.drops is not None
    assert sent.drops < 1000
    assert received.drops == sent.drops


def test_the_test_source_in_dmabufs(port: int, dump: Path) -> None:
    from reference import pattern  # noqa: PLC0415 -- of this test alone

    for heap in (SYSTEM_HEAP, UDMABUF):
        sender = Sender(device="test", heap=heap, address=LOCALHOST, port=port, width=333)
        size = 333 * 480 * 2
        transfer(sender, 20, port, dump, heap=heap)
        with dump.open("rb") as file:
            for number in range(20):
                assert file.read(size) == pattern(number, size, 480), f"frame {number} differs"


def test_a_dump_into_a_9p_folder(vivid: Vivid, port: int) -> None:
    """9p pins the pages of what it writes, which a DMABUF's mapping has none of."""
    kind = run("findmnt", "-n", "-o", "FSTYPE", "-T", str(CHECKOUT)).strip()
    if kind != "9p":
        unavailable(f"the checkout is on {kind}, not on 9p")
    vivid.stand_still()
    with tempfile.TemporaryDirectory(dir=CHECKOUT, prefix=".guest-") as folder:
        dump = Path(folder) / "dump"
        transfer(vivid.sender(port), 5, port, dump, heap=SYSTEM_HEAP)
        check_frames(dump, vivid.captured_by_another(640, 480, "YUYV"), 5)


def test_a_full_disk_keeps_whole_frames(vivid: Vivid, port: int, tmp_path: Path) -> None:
    run("mount", "-t", "tmpfs", "-o", "size=2m", "none", str(tmp_path))
    dump = tmp_path / "dump"
    try:
        with (
            receiver_command(port, "-o", dump) as end,
            Command("sender", "-d", vivid.capture, "--fps", 30, "-a", LOCALHOST, "-p", port),
        ):
            error = end.error()
        assert f"{dump}: No space left on device" in error
        assert "3 whole frames" in error
        assert dump.stat().st_size == 3 * 640 * 480 * 2
    finally:
        run("umount", str(tmp_path))


def open_files() -> list[str]:
    # What earlier tests left in cycles has descriptors until it is collected.
    gc.collect()
    links = Path("/proc/self/fd").iterdir()
    return sorted(str(link.readlink()) for link in links if link.exists())


def test_no_descriptors_are_left_after_20_runs(vivid: Vivid, port: int) -> None:
    transfer(vivid.sender(port), 1, port)
    before = open_files()
    for number in range(20):
        memory = ("dmabuf", "mmap")[number % 2]
        transfer(vivid.sender(port, memory=memory), 1, port, heap=SYSTEM_HEAP)
    assert open_files() == before
