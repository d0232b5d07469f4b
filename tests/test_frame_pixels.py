"""A frame's pixels: which byte is where, for how long, and that nobody copies them."""

import contextlib
import gc
import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from frames_support import HEIGHT, SIZE, WIDTH, capture, given, is_whole, mappings, sending
from reference import MJPG, YUYV
from reference_v3 import description
from support import receiver
from v4l_dmabuf import Frame
from v4l_dmabuf.errors import IntegrityError

FOURCC = {
    name: int.from_bytes(name.encode(), "little")
    for name in ("NV12", "NM12", "YU12", "Y16 ", "GREY", "RGB3", "XR24", "UYVY", "BA81", "P010")
} | {"YUYV": YUYV, "MJPG": MJPG, "Y16 -BE": int.from_bytes(b"Y16 ", "little") | 1 << 31}


def payload(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311


def described(
    name: str, width: int, height: int, planes: list[tuple[int, int | None]]
) -> dict[str, object]:
    told = [
        {"sizeimage": size} | ({} if stride is None else {"bytesperline": stride})
        for size, stride in planes
    ]
    return description(pixel_format=FOURCC[name], width=width, height=height) | {"planes": told}


def one(port: int, name: str, width: int, height: int, stride: int | None, size: int) -> Frame:
    bytes_ = payload(size)
    stream = described(name, width, height, [(size, stride)])
    with given(port, stream, [[bytes_]]) as end:
        frame: Frame = end.get(timeout=10)
        assert bytes(frame) == bytes_
        return frame


@pytest.mark.parametrize(
    ("name", "pixel", "channels"),
    [
        ("YUYV", 2, 2),
        ("UYVY", 2, 2),
        ("RGB3", 3, 3),
        ("XR24", 4, 4),
        ("GREY", 1, 0),
        ("BA81", 1, 0),
    ],
)
@pytest.mark.parametrize("padding", [0, 6])
def test_each_element_is_the_byte_that_the_format_has_there(
    port: int, name: str, pixel: int, channels: int, padding: int
) -> None:
    width, height = 642, 5
    stride = width * pixel + padding
    frame = one(port, name, width, height, stride, stride * height)
    array, raw = frame.array(), bytes(frame)
    assert array.shape == (height, width) + ((channels,) if channels else ())
    for y, x in ((0, 0), (0, 641), (2, 333), (4, 641)):
        begin = y * stride + x * pixel
        assert array[y, x].tobytes() == raw[begin : begin + pixel], (y, x)
    assert not array.flags.writeable
    assert np.shares_memory(array, np.frombuffer(memoryview(frame), np.uint8)), (
        "a view, and no copy"
    )


@pytest.mark.parametrize(("name", "order"), [("Y16 ", "<u2"), ("Y16 -BE", ">u2")])
def test_words_have_the_format_s_order(port: int, name: str, order: str) -> None:
    frame = one(port, name, 6, 4, 16, 64)
    array, raw = frame.array(), bytes(frame)
    assert array.dtype == np.dtype(order)
    expected = int.from_bytes(raw[2 * 16 + 6 : 2 * 16 + 8], "big" if order == ">u2" else "little")
    assert array[2, 3] == expected


def test_nv12_is_one_array_or_its_two_planes(port: int) -> None:
    width, height, stride = 642, 4, 704
    frame = one(port, "NV12", width, height, stride, stride * height * 3 // 2)
    raw = bytes(frame)
    assert frame.array().shape == (height * 3 // 2, width)
    luma, chroma = frame.arrays()
    assert (luma.shape, chroma.shape) == ((4, 642), (2, 321, 2))
    assert luma[3, 641] == raw[3 * stride + 641]
    assert chroma[1, 320].tobytes() == raw[5 * stride + 640 : 5 * stride + 642]
    assert frame.array()[5, 640] == chroma[1, 320, 0]


def test_planes_in_memory_of_their_own(port: int) -> None:
    planes = [payload(8 * 4), payload(8 * 2, 2)]
    stream = described("NM12", 6, 4, [(32, 8), (16, 8)])
    with given(port, stream, [planes]) as end:
        frame = end.get(timeout=10)
        with pytest.raises(ValueError, match=r"arrays\(\)"):
            frame.array()
        with pytest.raises(BufferError, match="planes"):
            memoryview(frame)
        luma, chroma = frame.arrays()
        assert (luma.shape, chroma.shape) == ((4, 6), (2, 3, 2))
        assert chroma[1, 2].tobytes() == planes[1][12:14]
        assert [bytes(plane) for plane in frame.planes] == planes
        assert [plane.bytesperline for plane in frame.planes] == [8, 8]
        assert [bytes(plane) for plane in frame.copy().planes] == planes


def test_yu12_is_one_array_only_without_padding(port: int) -> None:
    tight = one(port, "YU12", 6, 4, 6, 36)
    assert tight.array().shape == (6, 6)
    assert [plane.shape for plane in tight.arrays()] == [(4, 6), (2, 3), (2, 3)]
    padded = one(port, "YU12", 6, 4, 8, 48)
    with pytest.raises(ValueError, match=r"arrays\(\)"):
        padded.array()
    raw = bytes(padded)
    assert padded.arrays()[2][1, 2] == raw[8 * 4 + 4 * 2 + 4 + 2]


def test_a_distance_that_nobody_tells_is_no_guess(port: int) -> None:
    assert one(port, "YUYV", 32, 16, None, 1024).array().shape == (16, 32, 2)
    with pytest.raises(ValueError, match="unknown"):
        one(port, "YUYV", 32, 16, None, 2048).array()


def test_a_short_frame_never_shows_older_bytes(port: int) -> None:
    stream = described("YUYV", 32, 16, [(1024, 64)])
    frames = [[payload(1024)], [payload(1000)]]
    with given(port, stream, frames) as end:
        assert end.get(timeout=10).array().shape == (16, 32, 2)
        short = end.get(timeout=10)
        with pytest.raises(ValueError, match="short"):
            short.array()
        assert bytes(short) == frames[1][0]
        with pytest.raises(IntegrityError):
            end.get(timeout=10)


def test_a_compressed_frame_is_its_bytes(port: int) -> None:
    frames = [[b"\xff\xd8 a picture"], [b"x"]]
    with given(port, description(), frames) as end:
        for expected in frames:
            frame = end.get(timeout=10)
            assert frame.array().tobytes() == expected[0]
            assert frame.array().shape == (len(expected[0]),)


def test_the_buffer_goes_back_when_nobody_sees_it_any_more() -> None:
    with capture(buffers=4, on_overrun="drop-oldest") as source:
        frame = source.get()
        assert frame.release()
        assert not frame.release(), "it has gone back already"
        frame = source.get()
        view = memoryview(frame)
        array = frame.array()
        assert not frame.release(), "two views are left"
        assert is_whole(frame, view)
        for call in (frame.array, frame.arrays, frame.copy, lambda: memoryview(frame)):
            with pytest.raises(ValueError, match="released"):
                call()
        view.release()
        time.sleep(0.05)
        assert is_whole(frame, array.tobytes()), "the array holds it"
        assert source.held == [frame.sequence]
        del array
        gc.collect()
        assert source.held == []


def test_with_gives_a_frame_back() -> None:
    with capture() as source:
        with source.get() as frame:
            assert source.held == [frame.sequence]
        assert source.held == []


def test_a_memoryview_s_release_leaves_an_array_over_it_valid() -> None:
    with capture(buffers=3) as source:
        frame = source.get()
        array = np.frombuffer(memoryview(frame), np.uint8)
        expected = array.tobytes()
        frame.release()
        del frame
        for _ in range(50):
            source.get().release()
        assert array.tobytes() == expected


def test_what_is_not_counted_shows_other_pixels_and_does_not_crash() -> None:
    source = capture(buffers=2)
    for _ in range(2):
        frame = source.get()
        # NumPy closes this buffer at once, and knows the frame alone.
        array: np.ndarray = np.ndarray(SIZE, np.uint8, buffer=frame)  # type: ignore[arg-type]
        frame.release()
        for _ in range(10):
            source.get().release()
        assert array.sum() >= 0
    source.close()
    del frame
    gc.collect()
    assert array.sum() >= 0, "the mapping outlives the stream for as long as the array"


def test_an_array_outlives_its_stream_and_is_unmapped_after_it(port: int) -> None:
    gc.collect()
    before = mappings()
    with receiver(port, buffers=3) as end, sending(port, 20):
        array = end.get(timeout=10).array()
        expected = array.tobytes()
        for frame in end:
            frame.release()
    del end, frame
    gc.collect()
    assert mappings() == before + 1, "one buffer is seen, and no other kept"
    assert array.tobytes() == expected
    del array
    gc.collect()
    assert mappings() == before


def test_a_copy_holds_no_buffer_and_is_the_same_frame() -> None:
    with capture(buffers=2) as source:
        copies = [frame.copy() for frame, _ in zip(source, range(20), strict=False)]
    assert [frame.sequence for frame in copies] == list(range(20))
    for frame in copies:
        assert is_whole(frame, frame)
        assert frame.array().shape == (HEIGHT, WIDTH, 2)
        assert frame.array().flags.writeable is False
        assert not frame.release(), "there is no buffer to go back"


def test_a_view_is_bytes_in_one_dimension_to_read(tmp_path: Path) -> None:
    with capture() as source:
        frame = source.get()
        view = memoryview(frame)
        assert (view.ndim, view.nbytes, view.readonly, view.contiguous) == (1, SIZE, True, True)
        with (tmp_path / "frame").open("wb", buffering=0) as file:
            assert file.write(frame) == SIZE
        assert is_whole(frame, (tmp_path / "frame").read_bytes())
        with pytest.raises(TypeError):
            view[0] = 0


def test_held_views_never_change() -> None:
    """Each pixel is its frame's, however long and by whomever it is seen."""
    rng = random.Random(3)  # noqa: S311
    held: list[tuple[Frame, memoryview]] = []
    with capture(buffers=6) as source:
        for frame in source:
            held.append((frame, memoryview(frame)))
            frame.release()
            while len(held) > rng.randint(0, 4):
                one, view = held.pop(rng.randrange(len(held)))
                assert is_whole(one, view), f"frame {one.sequence} changed while it was seen"
                view.release()
            if frame.sequence >= 500:
                break


def test_a_loop_with_exceptions_leaves_nothing_behind() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    counts = []
    with capture(buffers=4) as source:
        for frame in source:
            with contextlib.suppress(IndexError):
                frame.array()[99]
            if frame.sequence % 10_000 == 9_999:
                counts.append((descriptors(), mappings(), threading.active_count()))
            if frame.sequence == 99_999:
                break
        del frame
        assert source.held == []
    assert len(set(counts)) == 1, counts
