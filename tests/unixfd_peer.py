"""A client of `--unixfd`, in the protocol of GStreamer's unixfdsrc, by its description alone."""

import array
import mmap
import os
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

NEW_BUFFER, RELEASE_BUFFER, CAPS, END_OF_STREAM = range(4)
UNKNOWN = (1 << 64) - 1
DISCONT = 1 << 6


@dataclass
class Buffer:
    """A frame, as a client gets it."""

    id: int
    pts: int
    duration: int
    offset: int
    flags: int
    type: int
    memories: list[tuple[int, int]]
    """Sizes, and what is before them."""
    fds: list[int]

    def read(self) -> bytes:
        parts = []
        for (size, offset), fd in zip(self.memories, self.fds, strict=True):
            with mmap.mmap(fd, offset + size, prot=mmap.PROT_READ) as memory:
                parts.append(memory[offset : offset + size])
        return b"".join(parts)

    def close(self) -> None:
        while self.fds:
            os.close(self.fds.pop())


class Client:
    """A client, written from the protocol's description alone."""

    def __init__(self, path: Path) -> None:
        deadline = time.monotonic() + 10
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        while True:
            try:
                self.socket.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                assert time.monotonic() < deadline, "nothing came to listen"
                time.sleep(0.01)
            else:
                break
        self.buffers: list[Buffer] = []

    def message(self) -> tuple[int, bytes, list[int]]:
        """Give the next message as unixfdsrc takes it: eight bytes, and then the rest at once."""
        room = socket.CMSG_LEN(8 * array.array("i").itemsize)
        head, ancillary, _, _ = self.socket.recvmsg(8, room)
        if not head:
            raise EOFError
        fds = array.array("i")
        for _, _, data in ancillary:
            fds.frombytes(data)
        kind, size = struct.unpack("=II", head)
        payload = self.socket.recv(size) if size else b""
        assert len(payload) == size, "unixfdsrc would have given up at this"
        return kind, payload, list(fds)

    def caps(self) -> dict[str, str]:
        kind, payload, fds = self.message()
        assert (kind, fds, payload[-1:]) == (CAPS, [], b"\0")
        media, *fields = payload[:-1].decode().split(", ")
        return {"media": media} | dict(field.split("=", 1) for field in fields)

    def buffer(self) -> Buffer:
        kind, payload, fds = self.message()
        if kind == END_OF_STREAM:
            raise EOFError
        assert kind == NEW_BUFFER
        names = (
            "id",
            "pts",
            "dts",
            "duration",
            "offset",
            "end",
            "flags",
            "type",
            "memory",
            "meta",
        )
        told = dict(zip(names, struct.unpack("=6QIBBH", payload[:56]), strict=True))
        assert (told["dts"], told["end"], told["meta"]) == (UNKNOWN, told["offset"] + 1, 0)
        memories = list(struct.iter_unpack("=QQ", payload[56:]))
        assert len(memories) == len(fds) == told["memory"]
        for name in ("dts", "end", "memory", "meta"):
            del told[name]
        buffer = Buffer(**told, memories=memories, fds=fds)
        self.buffers.append(buffer)
        return buffer

    def until_the_end(self) -> Iterator[Buffer]:
        while True:
            try:
                yield self.buffer()
            except EOFError:
                return

    def release(self, buffer: Buffer) -> None:
        buffer.close()
        self.say(RELEASE_BUFFER, struct.pack("=Q", buffer.id))

    def say(self, kind: int, payload: bytes) -> None:
        self.socket.sendall(struct.pack("=II", kind, len(payload)) + payload)

    def is_turned_away(self) -> bool:
        """Say whether nothing but frames comes, and then an end."""
        while True:
            try:
                self.message()
            except (EOFError, ConnectionResetError):
                return True
            except TimeoutError:
                return False

    def close(self) -> None:
        self.socket.close()
        for buffer in self.buffers:
            buffer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
