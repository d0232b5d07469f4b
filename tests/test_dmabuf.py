"""A frame's memory as descriptors: what comes from another process is not believed."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from frames_support import SIZE, capture, is_whole
from v4l_dmabuf import DmaBuf
from v4l_dmabuf.errors import HeapError


def test_a_memfd_is_handed_out_and_says_that_it_is_no_dmabuf() -> None:
    with capture() as source, source.get() as frame, frame.dmabuf() as ours:
        assert (ours.dmabuf, ours.fourcc, ours.modifier) == (False, "YUYV", 0)
        assert os.path.samestat(os.fstat(ours.fds[0]), os.fstat(frame.planes[0].fileno()))
        with DmaBuf.from_header(ours.header(), [os.dup(fd) for fd in ours.fds]) as theirs:
            assert is_whole(frame, theirs.array().tobytes())
            assert theirs.arrays()[0].shape == theirs.array().shape == frame.array().shape
            assert theirs.bytesused == (SIZE,)
        with pytest.raises(OSError, match="not permitted"):
            os.ftruncate(ours.fds[0], 0)


def test_descriptors_are_closed_and_a_copy_has_none() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with capture() as source, source.get() as frame:
        before = descriptors()
        for _ in range(3):
            with frame.dmabuf() as buffer:
                buffer.array()
            buffer.close()
        assert descriptors() == before
        with pytest.raises(HeapError, match="no descriptor"):
            frame.copy().dmabuf()
        frame.release()
        with pytest.raises(ValueError, match="released"):
            frame.dmabuf()


HEADER: dict[str, Any] = {
    "frame": "v4l-dmabuf-frame",
    "dmabuf": False,
    "width": 2,
    "height": 2,
    "format": "GREY",
    "fourcc": "R8  ",
    "modifier": 0,
    "offsets": [0],
    "strides": [2],
    "bytesused": [4],
    "sequence": 0,
    "timestamp_ns": 0,
    "array": [[0, 0, [2, 2], [2, 1], "u1"]],
    "arrays": [],
}


def look(line: bytes, fd: int) -> None:
    with DmaBuf.from_header(line, [fd]) as buffer:
        buffer.array()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (b"", "no header"),
        (b"\xff", "no header"),
        (b"[]", "no header"),
        ({"frame": "another"}, "no header"),
        ({"width": "2"}, "'width'"),
        ({"offsets": [-1]}, "'offsets'"),
        ({"offsets": [0, 0]}, "2 memory planes"),
        ({"array": [[0, 0, [2, 2], [2], "u1"]]}, "'array'"),
        ({"array": [[0, 0, [2, 2], [2, 1], "O"]]}, "'array'"),
        ({"array": [[1, 0, [2, 2], [2, 1], "u1"]]}, "plane 1"),
        ({"array": [[0, 0, [9, 2], [2, 1], "u1"]]}, None),
        ({"bytesused": [1 << 40]}, None),
        ({"offsets": [1 << 40]}, None),
    ],
    ids=str,
)
def test_a_header_that_can_t_be_is_one_clear_error(wrong: Any, told: str | None) -> None:
    line = wrong if isinstance(wrong, bytes) else json.dumps(HEADER | wrong).encode()
    memfd = os.memfd_create("test")
    os.ftruncate(memfd, 4096)
    try:
        with pytest.raises(ValueError, match=told):
            look(line, os.dup(memfd))
    finally:
        os.close(memfd)


def test_a_header_as_it_should_be_is_taken() -> None:
    memfd = os.memfd_create("test")
    os.write(memfd, b"abcd")
    with DmaBuf.from_header(json.dumps(HEADER).encode(), [memfd]) as buffer:
        assert buffer.array().tolist() == [[97, 98], [99, 100]]
