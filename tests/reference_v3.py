"""An independent peer of wire version 3, written from its document alone."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from reference import MJPG, STREAM_MAGIC, receive_exactly

PREAMBLE = struct.pack(">2I", STREAM_MAGIC, 3)
MESSAGE = struct.Struct(">2I")
FRAME = struct.Struct(">6Q2IQ2I")
STREAM, ACCEPT, REFUSE, BIND, BOUND = range(1, 6)
FRAME_KIND, END, FIELD, UNWRITTEN = 16, 17, 18, 19
PING, PONG, ACK, RESULT = range(32, 36)
UNKNOWN = (1 << 64) - 1


def message(kind: int, body: bytes = b"") -> bytes:
    return MESSAGE.pack(kind, len(body)) + body


def description(*sizes: int, **more: object) -> dict[str, Any]:
    return {
        "width": 32,
        "height": 16,
        "pixel_format": MJPG,
        "planes": [{"sizeimage": size} for size in sizes or (1024,)],
        "buffers": 4,
        **more,
    }


def stream(described: dict[str, Any]) -> bytes:
    return PREAMBLE + message(STREAM, json.dumps(described).encode())


def frame(
    *planes: bytes,
    counter: int = 0,
    sequence: int | None = None,
    times: tuple[int, int, int, int] = (0, 0, 0, 0),
    checksum: tuple[int, int] = (0, 0),
    flags: int = 0,
) -> bytes:
    number = counter if sequence is None else sequence
    head = FRAME.pack(counter, number, *times, flags, 0, checksum[1], checksum[0], len(planes))
    sizes = struct.pack(f">{len(planes)}I", *map(len, planes))
    return message(FRAME_KIND, head + sizes + b"".join(planes))


def next_field(field: int) -> bytes:
    """Tell the next frame's ``v4l2_buffer.field``."""
    return message(FIELD, struct.pack(">Q", field))


def unwritten(how_much: int) -> bytes:
    """Tell that the driver did not write the next frame: 1 nothing of it, 2 not all."""
    return message(UNWRITTEN, struct.pack(">Q", how_much))


def end(captured: int, sent: int, *, drops: int = 0, left: int = 0, failure: bytes = b"") -> bytes:
    return message(END, struct.pack(">5Q", captured, sent, 0, drops, left) + failure)


def receive_message(connection: socket.socket) -> tuple[int, bytes] | None:
    """Give the next message's type and body; None if the peer has closed."""
    head = receive_exactly(connection, MESSAGE.size)
    if not head:
        return None
    kind, length = MESSAGE.unpack(head)
    body = receive_exactly(connection, length)
    assert len(body) == length, "the stream ended inside a message"
    return kind, body


def greet(
    connection: socket.socket, port: int, described: dict[str, Any] | None = None
) -> socket.socket:
    """Offer a stream as a sender; gives the control connection."""
    connection.sendall(stream(described or description()))
    answer = receive_message(connection)
    assert answer is not None
    kind, name = answer
    assert (kind, len(name)) == (ACCEPT, 16), answer
    control = socket.create_connection(("127.0.0.1", port), timeout=10)
    control.sendall(PREAMBLE + message(BIND, name))
    assert receive_message(control) == (BOUND, b"")
    return control


def result_of(control: socket.socket) -> tuple[int, int, int, str]:
    """Wait for the receiver's result: received, spoiled, had enough, and why it failed."""
    while told := receive_message(control):
        kind, body = told
        if kind == RESULT:
            received, spoiled, had_enough = struct.unpack(">3Q", body[:24])
            return received, spoiled, had_enough, body[24:].decode()
    raise AssertionError("the receiver closed without a result")


@dataclass
class Taken:
    """What an independent receiver took."""

    described: dict[str, Any] = field(default_factory=dict)
    frames: list[tuple[Any, ...]] = field(default_factory=list)
    payloads: list[list[bytes]] = field(default_factory=list)
    end: tuple[int, ...] | None = None
    failure: bytes = b""


def accept(server: socket.socket) -> tuple[socket.socket, socket.socket, Taken]:
    """Accept a stream as a receiver; gives the data connection and the control connection."""
    connection, _ = server.accept()
    assert receive_exactly(connection, 8) == PREAMBLE
    told = receive_message(connection)
    assert told is not None
    assert told[0] == STREAM
    name = bytes(range(16))
    # What a sender doesn't know it passes over.
    connection.sendall(message(77, b"of a later time") + message(ACCEPT, name))
    control, _ = server.accept()
    assert receive_exactly(control, 8) == PREAMBLE
    assert receive_message(control) == (BIND, name)
    control.sendall(message(BOUND))
    return connection, control, Taken(json.loads(told[1]))


def answer(control: socket.socket, ahead: int = 0) -> None:
    """Answer clock readings by a clock that is ``ahead`` nanoseconds ahead, until the end."""
    while told := receive_message(control):
        kind, body = told
        if kind == PING:
            (number,) = struct.unpack(">Q", body[:8])
            now = time.monotonic_ns() + ahead
            control.sendall(message(PONG, struct.pack(">3Q", number, now, now)))


def receive(connection: socket.socket, taken: Taken) -> Iterator[int]:
    """Take frames, and yield each one's counter, until the end."""
    while told := receive_message(connection):
        kind, body = told
        if kind == END:
            taken.end = struct.unpack(">5Q", body[:40])
            taken.failure = body[40:]
        if kind != FRAME_KIND:
            continue
        head = FRAME.unpack(body[: FRAME.size])
        count = head[-1]
        sizes = struct.unpack_from(f">{count}I", body, FRAME.size)
        at = FRAME.size + 4 * count
        planes = []
        for size in sizes:
            planes.append(body[at : at + size])
            at += size
        assert at == len(body)
        taken.frames.append(head)
        taken.payloads.append(planes)
        yield head[0]
