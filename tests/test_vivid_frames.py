"""Frames of a real device, in real DMABUFs."""

import gc
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from preload import around_ioctl, without_expbuf
from support import LOCALHOST, Vivid, receiver, run
from test_examples import output, start
from v4l_dmabuf import Capture, Sender
from v4l_dmabuf.errors import HeapError

pytestmark = pytest.mark.vivid

SYSTEM_HEAP = "/dev/dma_heap/system"


@pytest.mark.parametrize(
    "fields", [{"memory": "mmap"}, {"heap": "/dev/udmabuf"}, {"heap": SYSTEM_HEAP}], ids=str
)
def test_frames_are_what_another_program_captures(vivid: Vivid, fields: dict[str, Any]) -> None:
    vivid.stand_still()
    expected = vivid.captured_by_another(640, 480, "YUYV")
    with Capture(device=vivid.capture, fps=30, **fields) as capture:
        held = []
        for number in range(10):
            frame = capture.get(timeout=10)
            assert frame.array().shape == (480, 640, 2)
            assert bytes(frame) == expected, f"frame {number}"
            assert (frame.clock, frame.field) == ("monotonic", "none")
            if number < 2:
                held.append((frame, memoryview(frame)))
        assert all(bytes(view) == expected for _, view in held)
        del frame
        assert capture.held == [frame.sequence for frame, _ in held]
    del held
    gc.collect()


def test_a_dmabuf_is_the_frame_in_another_process(vivid: Vivid) -> None:
    vivid.stand_still()
    expected = vivid.captured_by_another(640, 480, "YUYV")
    code = """
import socket, sys
from v4l_dmabuf import DmaBuf
peer = socket.socket(fileno=int(sys.argv[1]))
header, fds, _, _ = socket.recv_fds(peer, 1 << 16, maxfds=8)
with DmaBuf.from_header(header, fds) as buffer:
    assert (buffer.fourcc, buffer.modifier, buffer.dmabuf) == ("YUYV", 0, True), header
    sys.stdout.buffer.write(buffer.array().tobytes())
"""
    ours, theirs = socket.socketpair()
    with (
        Capture(device=vivid.capture, heap=SYSTEM_HEAP, fps=30) as capture,
        capture.get(timeout=10) as frame,
        frame.dmabuf() as buffer,
        ours,
        theirs,
    ):
        socket.send_fds(ours, [buffer.header()], buffer.fds)
        done = subprocess.run(
            [sys.executable, "-c", code, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            capture_output=True,
            check=False,
        )
        assert done.stdout == expected, done.stderr.decode()
        assert os.path.samestat(os.fstat(buffer.fds[0]), os.fstat(frame.planes[0].fileno()))


def test_a_buffer_that_was_handed_out_is_captured_into_again(vivid: Vivid) -> None:
    with Capture(device=vivid.capture, heap=SYSTEM_HEAP, buffers=3, fps=30) as capture:
        numbers = []
        for _ in range(12):
            with capture.get(timeout=10) as frame, frame.dmabuf():
                numbers.append(frame.sequence)
    assert numbers == sorted(set(numbers))


def test_a_forked_child_that_collects_frames_costs_its_parent_none(vivid: Vivid) -> None:
    # A rate at which a fork, which takes its time, costs no frame.
    with Capture(device=vivid.capture, fps=5, buffers=8) as capture:
        held = [capture.get(timeout=10) for _ in range(3)]
        child = os.fork()
        if child == 0:
            status = 1
            try:
                del held
                gc.collect()
                status = 0
            finally:
                # As Python ends, but without pytest's own end.
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        numbers = [frame.sequence for frame in held]
        held.clear()
        numbers += [capture.get(timeout=10).sequence for _ in range(12)]
    assert numbers == list(range(numbers[0], numbers[0] + 15)), "STREAMOFF would have ended it"


def test_planes_in_memory_of_their_own() -> None:
    vivid = Vivid(multiplanar=2)
    with Capture(device=vivid.capture, format="NM12", fps=30) as capture:
        frame = capture.get(timeout=10)
        luma, chroma = frame.arrays()
        assert (luma.shape, chroma.shape) == ((480, 640), (240, 320, 2))
        with pytest.raises(ValueError, match=r"arrays\(\)"):
            frame.array()
        with frame.dmabuf() as buffer:
            assert len(buffer.fds) == len(frame.planes) == 2
            assert all(
                (one == other).all()
                for one, other in zip(buffer.arrays(), frame.arrays(), strict=True)
            )
        del luma, chroma


def test_frames_of_a_driver_that_exports_nothing_are_seen_and_not_handed_out(
    vivid: Vivid, tmp_path: Path
) -> None:
    code = f"""
from v4l_dmabuf import Capture
from v4l_dmabuf.errors import HeapError
with Capture(device={vivid.capture!r}, memory="mmap") as capture:
    frame = capture.get(timeout=10)
    assert frame.array().shape == (480, 640, 2)
    try:
        frame.dmabuf()
    except HeapError as error:
        print(error)
"""
    library = without_expbuf(tmp_path)
    told = run("env", f"LD_PRELOAD={library}", sys.executable, "-c", code)
    assert "has no descriptor" in told
    assert issubclass(HeapError, OSError)


COUNTS = """
static int counts[2];
__attribute__((destructor)) static void tell(void)
{
    fprintf(stderr, "SYNC %d %d\\n", counts[0], counts[1]);
}
"""
COUNTS_SYNC = """
    if (request == 0x40086200) /* DMA_BUF_IOCTL_SYNC */
        __atomic_fetch_add(&counts[(*(unsigned long long *)argument & 4) != 0], 1, 0);
"""
WAITS_IN_SYNC = """
    if (request == 0x40086200 && !(*(unsigned long long *)argument & 4))
        sleep(2); /* as for a device's fence */
"""


def test_each_access_of_the_cpu_that_begins_ends(vivid: Vivid, tmp_path: Path) -> None:
    """Whatever is done with the views: overlapping, left open, by arrays and tensors."""
    code = f"""
import numpy as np
from v4l_dmabuf import Capture
with Capture(device={vivid.capture!r}, heap={SYSTEM_HEAP!r}, fps=30, buffers=6) as capture:
    for number, frame in enumerate(capture):
        one, two = memoryview(frame), frame.array()
        three = np.from_dlpack(frame)
        if number % 2:
            frame.release()
        del one, two
        if number % 3 == 0:
            three.sum()
        if not number % 2 and not number % 3 == 0:
            frame.copy()
        if number == 20:
            break
    del frame, three
"""
    done = subprocess.run(
        [
            "env",
            f"LD_PRELOAD={around_ioctl(tmp_path, COUNTS_SYNC, COUNTS)}",
            sys.executable,
            "-c",
            code,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("SYNC ")]
    begun, ended = map(int, told.split()[1:])
    assert begun == ended >= 21, told


def test_the_interpreter_is_free_while_the_kernel_waits_for_a_fence(
    vivid: Vivid, tmp_path: Path
) -> None:
    code = f"""
import threading, time
from v4l_dmabuf import Capture
longest, done = 0.0, False
def work():
    global longest
    last = time.monotonic()
    while not done:
        now = time.monotonic()
        longest, last = max(longest, now - last), now
with Capture(device={vivid.capture!r}, heap={SYSTEM_HEAP!r}, fps=30) as capture:
    frame = capture.get(timeout=60)
    thread = threading.Thread(target=work)
    thread.start()
    begun = time.monotonic()
    view = memoryview(frame)
    took = time.monotonic() - begun
    done = True
    thread.join()
assert took >= 2, f"the ioctl was not the one that waits: {{took}}"
assert longest < 1, f"another thread stood still for {{longest}} s"
"""
    run(
        *("env", f"LD_PRELOAD={around_ioctl(tmp_path, WAITS_IN_SYNC)}", sys.executable, "-c", code)
    )


def test_a_tap_leaves_a_camera_what_it_needs(vivid: Vivid, port: int) -> None:
    with receiver(port, heap=SYSTEM_HEAP) as end:
        sender = Sender(device=vivid.capture, address=LOCALHOST, port=port, fps=30)
        tap = sender.subscribe(depth=3)
        sending = threading.Thread(target=sender.run)
        sending.start()
        frames = [frame.copy() for frame, _ in zip(end, range(30), strict=False)]
        sender.stop()
        sending.join(20)
        held = list(tap)
    assert len(frames) == 30
    assert [frame.gap for frame in frames[1:]] == [0] * 29, "the tap slowed the stream"
    assert 1 <= len(held) <= 3
    assert tap.report.received >= 30


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("hand_over", (), "YUYV, mean"),
        ("model_rate", (20,), "frames a second"),
        ("motion", (20,), ""),
        ("two_cameras", ("test", 5), "mean"),
    ],
)
def test_an_example_runs_with_a_device(
    vivid: Vivid, name: str, arguments: tuple[object, ...], told: str
) -> None:
    assert told in output(start(name, vivid.capture, *arguments))
