"""A real V4L2 output device: what the receiver shows is what vivid's loop captures."""

import itertools
import re
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reference import pattern
from streams import Ends, streaming
from support import LOCALHOST, SHM, Command, Vivid, receiver, receiver_command, run
from v4l_dmabuf import Capture, Report, Sender, Slot, errors

pytestmark = pytest.mark.vivid

SYSTEM_HEAP = "/dev/dma_heap/system"
WIDTH, HEIGHT = 640, 480
README = Path(__file__).parent.parent / "README.md"
FORMATS = ("YUYV", "NV12", "NV16", "YU12", "XR24", "RGB3", "BGR3", "GREY", "Y16 ")


def number_of(picture: bytes, height: int = HEIGHT) -> int:
    """Give the number of the built-in source's frame that these bytes are, modulo 256."""
    number = next(number for number in range(256) if 7 * number % 256 == picture[0])
    whole = pattern(number, len(picture), height)
    if picture != whole:
        differs = np.flatnonzero(np.frombuffer(picture, "u1") != np.frombuffer(whole, "u1"))
        pytest.fail(f"{len(differs)} bytes differ from frame {number}'s, from {differs[0]} on")
    return number


@contextmanager
def showing(
    vivid: Vivid, port: int, frames: int = 600, sender: Sender | None = None, **fields: Any
) -> Iterator[Ends]:
    """Show a stream beside a block, and end it with the block."""
    fields = {"device": vivid.output, "heap": SYSTEM_HEAP} | fields
    with streaming(receiver(port, **fields), sender or built_in(port), frames) as shown:
        yield shown


def built_in(port: int, **fields: Any) -> Sender:
    own: dict[str, Any] = {"device": "test", "heap": SYSTEM_HEAP, "fps": 30.0}
    return Sender(address=LOCALHOST, port=port, **own | fields)


def captured(vivid: Vivid, count: int, pixel_format: str = "YUYV") -> list[bytes]:
    """Capture frames from the loop, a second after the stream began to be shown."""
    with Capture(device=vivid.capture, format=pixel_format, memory="mmap") as capture:
        begun = time.monotonic()
        # Before that the loop has a picture of vivid's own.
        next(frame for frame in capture if time.monotonic() - begun > 1)
        taken = []
        for frame in itertools.islice(capture, count):
            taken.append(b"".join(bytes(plane) for plane in frame.planes))
            frame.release()
        return taken


def check_sums(report: Report | None) -> Report:
    """Check that each frame that came is accounted for by the device."""
    assert report is not None
    assert report.device_shown is not None
    assert report.device_drops is not None
    assert report.device_errors is not None
    assert report.device_left is not None
    told = report.device_shown + report.device_drops + report.device_errors + report.device_left
    assert report.frames == told
    return report


@pytest.fixture
def loop(vivid: Vivid) -> Vivid:
    vivid.loop()
    return vivid


@pytest.mark.parametrize("memory", ["dmabuf", "mmap"])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_what_is_shown_is_what_was_sent_and_never_goes_back(
    loop: Vivid, port: int, pixel_format: str, memory: Any
) -> None:
    sender = built_in(port, format=pixel_format)
    with showing(loop, port, sender=sender, device_memory=memory) as shown:
        pictures = captured(loop, 40, pixel_format)
    numbers = [number_of(picture) for picture in pictures]
    steps = [(after - before) % 256 for before, after in itertools.pairwise(numbers)]
    assert max(steps) < 30, f"the counters go back: {numbers}"
    assert sum(steps) > 5, f"the picture stands still: {numbers}"
    report = check_sums(shown.report)
    assert report.device_memory == memory
    assert (report.device_memory_reason is None) == (memory == "dmabuf")
    assert report.device_drops == report.device_errors == 0
    assert report.stages["on_device"].count == report.device_shown


def test_a_multi_planar_device(port: int) -> None:
    vivid = Vivid(multiplanar=2)
    vivid.loop()

    def draw(slot: Slot) -> None:
        time.sleep(0.02)
        for number, plane in enumerate(slot.arrays()):
            plane[:] = 100 + number

    sender = Sender(address=LOCALHOST, port=port, format="NM12", heap=SYSTEM_HEAP, source=draw)
    with showing(vivid, port, sender=sender, device_memory="dmabuf") as shown:
        pictures = captured(vivid, 10, "NM12")
    luma = WIDTH * HEIGHT
    whole = bytes([100]) * luma + bytes([101]) * (luma // 2)
    assert all(picture == whole for picture in pictures)
    assert check_sums(shown.report).device_memory == "dmabuf"


def test_a_driver_that_imports_nothing_gets_copies_and_it_is_said_why(port: int) -> None:
    vivid = Vivid(allocators=1)
    vivid.loop()
    with showing(vivid, port) as shown:
        numbers = [number_of(picture) for picture in captured(vivid, 10)]
    assert len({*numbers}) > 1
    report = check_sums(shown.report)
    assert report.device_memory == "mmap"
    assert report.device_memory_reason is not None
    assert "contiguous memory" in report.device_memory_reason
    with showing(vivid, port, device_memory="dmabuf") as shown:
        shown.wait_for_error()
    assert isinstance(shown.error, errors.ImportRefusedError | errors.RefusedError)


@pytest.mark.parametrize(
    ("control", "said"),
    [
        ("inject_vidioc_reqbufs_error", "VIDIOC_REQBUFS"),
        ("inject_vidioc_qbuf_error", "VIDIOC_QBUF"),
        ("inject_vidioc_streamon_error", "VIDIOC_STREAMON"),
    ],
)
def test_a_device_that_fails_to_begin(loop: Vivid, port: int, control: str, said: str) -> None:
    run("v4l2-ctl", "-d", loop.output, "-c", f"{control}=1")
    with (
        receiver_command(
            port,
            "-d",
            loop.output,
            "-m",
            "dmabuf",
            "-e",
            SYSTEM_HEAP,
            "--device-on-overrun",
            "block",
        ) as end,
        Command("sender", "-d", "test", "-a", LOCALHOST, "-p", port, "-e", SYSTEM_HEAP) as sender,
    ):
        error = end.error()
        assert said in error
        assert sender.wait() != 0, "the sender was not told"
    # It is as usable as before.
    with showing(loop, port) as shown:
        captured(loop, 1)
    assert check_sums(shown.report).device_shown


@pytest.mark.parametrize("control", ["inject_fatal_streaming_error", "disconnect"])
def test_a_device_that_fails_during_the_stream(loop: Vivid, port: int, control: str) -> None:
    with showing(loop, port) as shown:
        captured(loop, 1)
        run("v4l2-ctl", "-d", loop.output, "-c", f"{control}=1")
        shown.wait_for_error()
    assert isinstance(shown.error, errors.DeviceError), shown.error
    assert shown.error.report is not None
    assert shown.error.report.frames > 0


def test_a_device_slower_than_the_stream_drops_by_its_policy(loop: Vivid, port: int) -> None:
    # The device shows 60 frames a second.
    for policy in ("drop-oldest", "drop-newest"):
        with showing(
            loop, port, sender=built_in(port, fps=200.0), device_on_overrun=policy
        ) as shown:
            numbers = [number_of(picture) for picture in captured(loop, 30)]
        report = check_sums(shown.report)
        assert report.device_drops, "a device slower than the stream dropped nothing"
        assert report.device_shown
        steps = [(after - before) % 256 for before, after in itertools.pairwise(numbers)]
        assert max(steps) < 60, f"the counters go back: {numbers}"
        assert report.sender_drops == 0, "the stream was slowed"


def test_a_device_slower_than_the_stream_may_slow_it(loop: Vivid, port: int) -> None:
    sender = built_in(port, fps=200.0)
    with showing(loop, port, sender=sender, frames=200, device_on_overrun="block") as shown:
        time.sleep(5)
    report = check_sums(shown.report)
    assert report.device_drops == 0
    assert report.fps is not None
    assert report.fps < 90


def test_the_dump_beside_it_has_every_frame(loop: Vivid, port: int, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    with showing(loop, port, sender=built_in(port, fps=100.0), frames=100, output=dump) as shown:
        time.sleep(4)
    report = check_sums(shown.report)
    assert report.frames == 100
    size = WIDTH * HEIGHT * 2
    assert dump.stat().st_size == 100 * size
    with dump.open("rb") as file:
        assert all(number_of(file.read(size)) == number for number in range(100))


def test_the_readme_s_virtual_camera_shows_what_comes() -> None:
    blocks = re.findall(r"^```\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    (block,) = (text for text in blocks if "modprobe vivid" in text)
    *prepare, last = block.replace("sudo ", "").splitlines()
    run("modprobe", "-r", "vivid")
    run("sh", "-e", "-c", "\n".join(prepare))
    source = built_in(9000, width=1280, height=720)
    sending = threading.Thread(target=source.run)
    name, *arguments = last.split()
    with Command(name.removeprefix("v4l-dmabuf-"), *arguments) as end:
        end.wait_for("listening on")
        sending.start()
        end.wait_for("showing 1280x720 YUYV on /dev/video1")
        time.sleep(2)
        with tempfile.NamedTemporaryFile(dir=SHM) as file:
            run(
                *("v4l2-ctl", "-d", "/dev/video0", "--stream-mmap", "--stream-count=1"),
                "--set-fmt-video=width=1280,height=720,pixelformat=YUYV",
                f"--stream-to={file.name}",
            )
            number_of(Path(file.name).read_bytes(), 720)
        with urllib.request.urlopen("http://localhost:8080/frame?whole") as picture:
            assert len(picture.read()) == 16 + 1280 * 720 * 3
        source.stop()
        assert end.wait() == 0, end.stderr
    sending.join(10)


def test_what_is_no_free_output_device_is_said_before_anything_is_awaited(
    loop: Vivid, port: int
) -> None:
    for path, said in [
        (loop.capture, "takes no video"),
        ("/dev/null", "VIDIOC_QUERYCAP"),
        ("/dev/video99", "no such device"),
    ]:
        with Command("receiver", "-p", port, "-d", path, "-e", SYSTEM_HEAP) as end:
            assert said in end.error()
            assert "listening" not in end.stderr
