"""The socket for other processes against the real unixfdsrc, of this system or of the cache."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reference import pattern
from streams import Ends, streaming
from support import LOCALHOST, free_port, receiver, unavailable
from v4l_dmabuf import Receiver, Sender

pytestmark = pytest.mark.gstreamer

WIDTH, HEIGHT = 320, 240
FRAMES = 12
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "v4l-dmabuf/gstreamer"
DMABUFS = [heap for heap in ("/dev/dma_heap/system", "/dev/udmabuf") if Path(heap).exists()]


class Gstreamer:
    """A GStreamer that has unixfdsrc, and a folder that it sees under the same name."""

    def __init__(self, folder: Path, within: list[str]) -> None:
        self.folder = folder
        self.within = within

    def launch(self, pipeline: str, socket: Path) -> str:
        """Run a pipeline behind unixfdsrc to its end; gives what it says."""
        source = f"unixfdsrc socket-path={socket} num-buffers={FRAMES}"
        command = [*self.within, "gst-launch-1.0", "-v", *source.split(), "!", *pipeline.split()]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ERROR" not in done.stderr, done.stderr
        return done.stdout


@pytest.fixture
def gstreamer(tmp_path: Path) -> Gstreamer:
    own = ["gst-inspect-1.0", "--exists", "unixfdsrc"]
    if shutil.which(own[0]) and subprocess.run(own, check=False).returncode == 0:
        return Gstreamer(tmp_path, [])
    if not (CACHE / "usr").is_dir():
        unavailable("no GStreamer with unixfdsrc: tools/setup gstreamer")
    if os.geteuid() != 0:
        unavailable(f"chroot to {CACHE} needs root")
    # In mounts of its own, for a guest has no other way to write below that root.
    mount = 'mount --bind "$1" "$2/tmp" && shift && exec chroot "$@"'
    within = ["unshare", "--mount", "sh", "-c", mount, "sh", tempfile.gettempdir(), str(CACHE)]
    assert tmp_path.is_relative_to("/tmp")  # noqa: S108 -- where the root has it, too
    return Gstreamer(tmp_path, within)


@pytest.fixture(params=DMABUFS or ["memfd"])
def heap(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def handing(gstreamer: Gstreamer, heap: str, pixel_format: str, width: int) -> Iterator[Path]:
    """Hand a stream on beside a block, at a socket."""
    port = free_port()
    path = gstreamer.folder / "frames"
    sender = Sender(
        address=LOCALHOST,
        port=port,
        device="test",
        heap="memfd",
        format=pixel_format,
        width=width,
        height=HEIGHT,
        fps=50.0,
    )
    ends = Ends()
    end: Receiver = receiver(port, heap=heap, unixfd=path)
    with streaming(end, sender, 100_000, ends):
        while not path.exists():
            assert ends.error is None
        yield path
    assert ends.error is None
    report = ends.report
    assert report is not None
    assert report.unixfd_given is not None
    assert report.unixfd_given >= FRAMES


@pytest.mark.parametrize(
    ("pixel_format", "name", "bytes_a_pixel", "width"),
    [
        ("YUYV", "YUY2", 2, WIDTH),
        ("NV12", "NV12", 1.5, WIDTH),
        ("NV16", "NV16", 2, WIDTH),
        ("YU12", "I420", 1.5, 328),
        ("422P", "Y42B", 2, 328),
        ("RGB3", "RGB", 3, 324),
        ("XR24", "BGRx", 4, 322),
        ("GREY", "GRAY8", 1, 324),
        ("Y16 ", "GRAY16_LE", 2, 322),
        ("P010", "P010_10LE", 3, 322),
    ],
)
def test_unixfdsrc_gets_the_bytes_of_each_frame(
    gstreamer: Gstreamer, heap: str, pixel_format: str, name: str, bytes_a_pixel: float, width: int
) -> None:
    dump = gstreamer.folder / "dump"
    with handing(gstreamer, heap, pixel_format, width) as path:
        # A pipeline that reads frames by the layout that it takes them to have.
        copied = f"videoconvert ! video/x-raw,format={name} ! filesink location="
        told = gstreamer.launch(copied + str(dump), path)
    assert f"format=(string){name}, " in told
    assert "framerate=(fraction)50/1" in told
    taken = dump.read_bytes()
    size = int(width * HEIGHT * bytes_a_pixel)
    assert len(taken) == FRAMES * size
    for at in range(0, len(taken), size):
        frame = taken[at : at + size]
        expected = (pattern(number, size, HEIGHT) for number in range(256))
        assert frame in expected, f"frame {at // size} is none of the sender's"


def test_a_pipeline_that_keeps_frames_for_long_goes_on(gstreamer: Gstreamer) -> None:
    with handing(gstreamer, "memfd", "YUYV", WIDTH) as path:
        # Two wait in a queue, one is converted, one is on its way.
        gstreamer.launch(
            "queue max-size-buffers=2 ! videoconvert ! video/x-raw,format=RGB ! fakesink", path
        )
