"""Frames that are not what their format says, by each wire version."""

import threading
from pathlib import Path

import pytest

import reference
import reference_v3
from reference import MJPG, YUYV, stream_header
from support import connect, receiver, receiver_command
from v4l_dmabuf import Report
from v4l_dmabuf.errors import IntegrityError

ERROR, LAST = 0x40, 0x100000
WHOLE = bytes(range(256)) * 4  # 32x16 YUYV


def received(
    port: int,
    version: int,
    pixel_format: int,
    frames: list[tuple[bytes, int]],
    dump: Path | None = None,
) -> Report:
    """Send ``frames`` of bytes and flags as ``version`` has them; gives the receiver's report."""
    ended: list[Report | IntegrityError] = []

    def run() -> None:
        try:
            ended.append(ours.run())
        except IntegrityError as error:
            ended.append(error)

    with receiver(port, output=dump) as ours:
        thread = threading.Thread(target=run)
        thread.start()
        with connect(port) as connection:
            if version == 3:
                described = reference_v3.description(pixel_format=pixel_format)
                with reference_v3.greet(connection, port, described) as control:
                    for number, (payload, flags) in enumerate(frames):
                        sent = reference_v3.frame(payload, counter=number, flags=flags)
                        connection.sendall(sent)
                    connection.sendall(reference_v3.end(len(frames), len(frames)))
                    reference_v3.result_of(control)
            else:
                connection.sendall(stream_header(version=version, pixelformat=pixel_format))
                for number, (payload, flags) in enumerate(frames):
                    connection.sendall(reference.frame(payload, sequence=number, flags=flags))
        thread.join(10)
    assert ended, "the receiver did not end"
    (end,) = ended
    if isinstance(end, IntegrityError):
        assert end.report is not None
        assert end.report.incomplete_frames, f"it failed for another reason: {end}"
        return end.report
    assert end.incomplete_frames == 0, "it ended well in spite of incomplete frames"
    return end


@pytest.mark.parametrize("version", [1, 2, 3])
def test_short_and_empty_raw_frames_are_counted_apart(
    port: int, version: int, tmp_path: Path
) -> None:
    dump = tmp_path / "dump"
    payloads = [WHOLE, WHOLE[:-1], b"", WHOLE]
    frames = [(payload, 0) for payload in payloads]
    report = received(port, version, YUYV, frames, dump)
    assert (report.incomplete_frames, report.error_frames) == (2, 0)
    assert (report.frames, report.received) == (4, 4)
    assert dump.read_bytes() == b"".join(payloads), "the dump keeps the bytes as they came"


@pytest.mark.parametrize("version", [1, 2, 3])
def test_frames_that_the_driver_flags_count_as_such_alone(port: int, version: int) -> None:
    report = received(port, version, YUYV, [(b"", ERROR), (WHOLE[:9], ERROR), (WHOLE, 0)])
    assert (report.frames, report.error_frames, report.incomplete_frames) == (3, 2, 0)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_compressed_frames_vary_but_have_some_bytes(port: int, version: int) -> None:
    frames = [(b"x", 0), (WHOLE, 0), (b"", ERROR), (b"", LAST)]
    assert received(port, version, MJPG, frames).incomplete_frames == 0
    assert received(port, version, MJPG, [*frames, (b"", 0)]).incomplete_frames == 1


@pytest.mark.parametrize("version", [1, 2, 3])
def test_unknown_formats_are_not_judged(port: int, version: int) -> None:
    assert received(port, version, 0x21212121, [(b"", 0), (b"x", 0)]).incomplete_frames == 0


def test_the_command_names_the_first_once_and_ends_with_3(port: int) -> None:
    with receiver_command(port) as command, connect(port) as connection:
        connection.sendall(stream_header(pixelformat=YUYV))
        for number, payload in enumerate([WHOLE, WHOLE[:1000], WHOLE[:7]]):
            connection.sendall(reference.frame(payload, sequence=number))
        connection.close()
        assert command.wait() == 3, command.stderr
    first = (
        "frame 2 is incomplete, as others may be: plane 0 has 1000 bytes, and its rows take 1024"
    )
    assert command.stderr.count(first) == 1, command.stderr
    assert command.stderr.count("as others may be") == 1, command.stderr
    assert "2 incomplete" in command.stderr
    assert "2 frames are incomplete" in command.stderr
