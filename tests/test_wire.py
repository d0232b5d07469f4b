"""The bytes of the contract, in both directions, against an independent peer."""

from pathlib import Path
from threading import Thread

import pytest

from reference import (
    STREAM,
    STREAM_MAGIC,
    YUYV,
    frame,
    pattern,
    receive_exactly,
    receive_frames,
    stream_header,
)
from support import connect, listening, receiver
from v4l_dmabuf import Report, Sender

MONOTONIC = 0x2000

# Written out by hand from the contract: 4x2 YUYV, 16 bytes, 3 buffers; one frame.
GOLDEN_STREAM = (
    "56344c42 {version:08x} 00000004 00000002 56595559 00000010 00000003"
    "5652464d 00000002 00000010 00002041 0000000000000009 0000000000000001 00000000000003e8"
    "000102030405060708090a0b0c0d0e0f"
)


@pytest.mark.parametrize("version", [1, 2])
def test_the_receiver_takes_the_golden_bytes(port: int, version: int, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    with receiver(port, output=dump) as end, connect(port) as connection:
        connection.sendall(bytes.fromhex(GOLDEN_STREAM.format(version=version)))
        connection.close()
        report = end.run()
    assert dump.read_bytes() == bytes(range(16))
    assert (report.frames, report.bytes, report.error_frames) == (1, 16, 1)
    assert (report.width, report.height, report.format) == (4, 2, "YUYV")
    assert (report.sizeimage, report.buffers) == (16, 3)
    assert (report.memory, report.heap) == ("memfd", "memfd")


def test_our_peer_s_bytes_are_the_golden_ones() -> None:
    header = stream_header(width=4, height=2, pixelformat=YUYV, sizeimage=16, buffer_count=3)
    only = frame(bytes(range(16)), index=2, flags=0x2041, sequence=9, timestamp=(1, 1000))
    assert header + only == bytes.fromhex(GOLDEN_STREAM.format(version=2))


def test_the_sender_s_bytes_are_the_contract_s(port: int) -> None:
    reports: list[Report] = []
    sender = Sender(
        device="test",
        heap="memfd",
        address="127.0.0.1",
        port=port,
        width=34,
        height=3,
        buffers=2,
        protocol=2,
    )
    with listening(port) as server:
        thread = Thread(target=lambda: reports.append(sender.run(frames=5)))
        thread.start()
        connection, _ = server.accept()
        with connection:
            header = receive_exactly(connection, STREAM.size)
            frames = list(receive_frames(connection))
        thread.join()
    assert STREAM.unpack(header) == (STREAM_MAGIC, 2, 34, 3, YUYV, 204, 2)
    assert [got.payload for got in frames] == [pattern(number, 204, 3) for number in range(5)]
    assert [got.sequence for got in frames] == [0, 1, 2, 3, 4]
    assert {got.index for got in frames} <= {0, 1}
    assert {got.flags for got in frames} == {MONOTONIC}
    times = [got.timestamp for got in frames]
    assert times == sorted(times)
    assert all(microseconds < 1_000_000 for _, microseconds in times)
    assert (reports[0].frames, reports[0].bytes, reports[0].drops) == (5, 5 * 204, 0)


def test_compressed_frames_may_be_smaller_than_sizeimage(port: int, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    payloads = [b"abc", b"e", b"x" * 1024, b"d"]
    with receiver(port, output=dump) as end, connect(port) as connection:
        connection.sendall(stream_header())
        for number, payload in enumerate(payloads):
            connection.sendall(frame(payload, sequence=number, index=77))
        connection.close()
        report = end.run()
    assert dump.read_bytes() == b"".join(payloads)
    assert (report.frames, report.format) == (4, "MJPG")


@pytest.mark.parametrize(
    ("sequence", "drops"),
    [
        ([3, 4, 5], 0),
        ([3, 5, 9], 4),
        ([0xFFFFFFFF, 0, 2], 1),
        ([0, 0, 0], None),
        ([0, 0, 1, 3], 1),
        ([4, 5, 5, 6], None),
        ([5, 6, 2], None),
    ],
)
def test_gaps_are_counted_and_unusable_sequences_are_unknown(
    port: int, sequence: list[int], drops: int | None
) -> None:
    with receiver(port) as end, connect(port) as connection:
        connection.sendall(stream_header())
        for number in sequence:
            connection.sendall(frame(b"x", sequence=number))
        connection.close()
        assert end.run().drops == drops


def test_bytes_may_come_one_at_a_time(port: int, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    with receiver(port, output=dump) as end, connect(port) as connection:
        thread = Thread(target=end.run)
        thread.start()
        for byte in stream_header() + frame(b"slowly"):
            connection.sendall(bytes([byte]))
        connection.close()
        thread.join()
    assert dump.read_bytes() == b"slowly"
