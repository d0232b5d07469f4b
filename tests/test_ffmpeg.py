"""What is printed to watch a dump shows the picture, however its rows are padded."""

import shlex
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import av
import av.filter
import pytest

from reference_v3 import description, end, frame, greet
from support import connect, receiver_command

FRAMES = 3


class Component(NamedTuple):
    """The samples of one kind: rows, the bytes of a row, and from each row to the next."""

    rows: int
    row: int
    stride: int


def fourcc(name: str) -> int:
    return int.from_bytes(name.encode(), "little")


def samples(component: Component, seed: int) -> list[bytes]:
    random = Random(seed)  # noqa: S311 -- a picture
    return [random.randbytes(component.row) for _ in range(component.rows)]


def in_memory(component: Component, rows: list[bytes]) -> bytes:
    return b"".join(row.ljust(component.stride, b"\xee") for row in rows)


def components_shown(name: str, picture: list[list[bytes]]) -> list[list[bytes]]:
    """Give the samples as ffmpeg has them after a crop, plane by plane."""
    if name == "YUYV":
        # It crops no packed pairs, and separates them first.
        (rows,) = picture
        return [[row[first::step] for row in rows] for first, step in ((0, 2), (1, 4), (3, 4))]
    if name == "YV12":
        return [picture[0], picture[2], picture[1]]
    return picture


def decoded(line: str) -> list[list[tuple[int, bytes]]]:
    """Read the dump as the line has ffplay do it; gives each frame's strides and planes."""
    words = shlex.split(line.removeprefix("to watch: ffplay "))
    options = {name.removeprefix("-"): value for name, value in zip(words[::2], words[1::2])}  # noqa: B905
    form, path, filters = options.pop("f"), options.pop("i"), options.pop("vf", "null")
    with av.open(path, "r", format=form, options=options) as container:
        graph = av.filter.Graph()
        last = graph.add_buffer(template=container.streams.video[0])
        for name, _, arguments in (part.partition("=") for part in filters.split(",")):
            following = graph.add(name, arguments or None)
            last.link_to(following)
            last = following
        last.link_to(graph.add("buffersink"))
        graph.configure()
        frames = []
        for read in container.decode(video=0):
            graph.vpush(read)
            shown = graph.vpull()
            frames.append([(plane.line_size, bytes(plane)) for plane in shown.planes])
        return frames


def printed(port: int, dump: Path, described: dict[str, Any], memory: list[list[bytes]]) -> str:
    """Send frames to the receiver; gives what it says on how to watch them."""
    with receiver_command(port, "-o", dump) as command:
        with connect(port) as connection, greet(connection, port, described):
            for counter, planes in enumerate(memory):
                connection.sendall(frame(*planes, counter=counter))
            connection.sendall(end(len(memory), len(memory)))
        assert command.wait() == 0, command.stderr
    return command.stderr


LUMA = Component(48, 60, 80)
CASES = {
    "YUYV": ([Component(48, 120, 160)], 0),
    "YUYV with rows below": ([Component(48, 120, 160)], 4 * 160),
    "RGB3": ([Component(48, 180, 192)], 0),
    "NV12": ([LUMA, Component(24, 60, 80)], 0),
    "NV16": ([LUMA, Component(48, 60, 80)], 0),
    "NV24": ([LUMA, Component(48, 120, 160)], 0),
    "YU12": ([LUMA, Component(24, 30, 40), Component(24, 30, 40)], 0),
    "YV12": ([LUMA, Component(24, 30, 40), Component(24, 30, 40)], 0),
    "422P": ([LUMA, Component(48, 30, 40), Component(48, 30, 40)], 0),
    "P010": ([Component(48, 120, 160), Component(24, 120, 160)], 0),
    "NM12": ([LUMA, Component(24, 60, 80)], 0),
    "YM12": ([LUMA, Component(24, 30, 40), Component(24, 30, 40)], 0),
}


@pytest.mark.parametrize("case", CASES)
def test_padded_rows_are_shown_as_the_picture(port: int, tmp_path: Path, case: str) -> None:
    components, below = CASES[case]
    name = case[:4]
    pictures = [
        [samples(component, 10 * number + index) for index, component in enumerate(components)]
        for number in range(FRAMES)
    ]
    memory = [
        [in_memory(*pair) for pair in zip(components, picture, strict=True)]
        for picture in pictures
    ]
    if name[1] != "M":
        memory = [[b"".join(planes) + b"\xee" * below] for planes in memory]
    strides = [component.stride for component in components]
    planes = [
        {"sizeimage": len(plane), "bytesperline": stride}
        for plane, stride in zip(memory[0], strides)  # noqa: B905 -- one memory plane has the first
    ]
    described = description(width=60, height=48, pixel_format=fourcc(name), planes=planes)
    told = printed(port, tmp_path / "dump", described, memory)
    (line,) = (line for line in told.splitlines() if "to watch" in line)
    shown = decoded(line[line.index("to watch") :])
    assert len(shown) == FRAMES
    for number, (planes_shown, picture) in enumerate(zip(shown, pictures, strict=True)):
        expected = components_shown(name, picture)
        for index, (stride, plane) in enumerate(planes_shown):
            rows = [
                plane[y * stride : y * stride + len(row)] for y, row in enumerate(expected[index])
            ]
            assert rows == expected[index], f"frame {number}, plane {index}, by {line}"
        assert len(planes_shown) == len(expected)


def test_frames_that_no_command_shows_are_named(port: int, tmp_path: Path) -> None:
    planes = [
        {"sizeimage": 80 * 48, "bytesperline": 80},
        {"sizeimage": 96 * 24, "bytesperline": 96},
    ]
    described = description(width=60, height=48, pixel_format=fourcc("NM12"), planes=planes)
    memory = [[bytes(80 * 48), bytes(96 * 24)]]
    told = printed(port, tmp_path / "dump", described, memory)
    assert "ffplay -f" not in told
    assert (
        "no ffplay command shows these frames of NM12: the planes are padded each in its own way"
        in told
    )
