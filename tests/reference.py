"""An independent peer, written from the documents of wire format and test pattern alone."""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

STREAM = struct.Struct(">7I")
FRAME = struct.Struct(">4I3Q")
STREAM_MAGIC = 0x56344C42
FRAME_MAGIC = 0x5652464D
YUYV = 0x56595559
MJPG = 0x47504A4D


def stream_header(
    *,
    magic: int = STREAM_MAGIC,
    version: int = 2,
    width: int = 32,
    height: int = 16,
    # Compressed, so that a frame may have as few bytes as a test needs.
    pixelformat: int = MJPG,
    sizeimage: int = 1024,
    buffer_count: int = 4,
) -> bytes:
    return STREAM.pack(magic, version, width, height, pixelformat, sizeimage, buffer_count)


def frame(
    payload: bytes,
    *,
    magic: int = FRAME_MAGIC,
    index: int = 0,
    bytesused: int | None = None,
    flags: int = 0,
    sequence: int = 0,
    timestamp: tuple[int, int] = (0, 0),
) -> bytes:
    used = len(payload) if bytesused is None else bytesused
    return FRAME.pack(magic, index, used, flags, sequence, *timestamp) + payload


@dataclass(frozen=True)
class ReceivedFrame:
    index: int
    flags: int
    sequence: int
    timestamp: tuple[int, int]
    payload: bytes


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(min(count, 1 << 20))
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def receive_frames(connection: socket.socket) -> Iterator[ReceivedFrame]:
    """Yield a stream's frames, after its header, until it ends between two of them."""
    while header := receive_exactly(connection, FRAME.size):
        magic, index, bytesused, flags, sequence, seconds, microseconds = FRAME.unpack(header)
        assert magic == FRAME_MAGIC
        payload = receive_exactly(connection, bytesused)
        assert len(payload) == bytesused, "the stream ended inside a payload"
        yield ReceivedFrame(index, flags, sequence, (seconds, microseconds), payload)


def pattern(number: int, length: int, height: int) -> bytes:
    """Give frame ``number`` of the built-in source: see the documentation of the test pattern."""
    row = -(-length // height)
    ramp = bytes((x // 8 + x % 4) % 256 for x in range(row))
    rows = []
    for y in range(-(-length // row)):
        added = (y + 5 * (y // 256) + 7 * number) % 256
        rows.append(ramp.translate(_ADD[added]))
    return b"".join(rows)[:length]


_ADD = [bytes((value + added) % 256 for value in range(256)) for added in range(256)]
