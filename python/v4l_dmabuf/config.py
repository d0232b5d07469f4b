"""What a sender and a receiver are told, checked before anything is opened."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, not {value!r}")
    if not 1 <= value <= 0xFFFF_FFFF:
        raise ValueError(f"{name} is at least 1 and has 32 bits, not {value}")


def _check_port(value: int) -> None:
    _check_count("port", value)
    if value > 0xFFFF:
        raise ValueError(f"port is 1 to 65535, not {value}")


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        *first, last = choices
        told = ", ".join(map(str, first))
        raise ValueError(f"{name} is {told} or {last}, not {value!r}")


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and 0 < value <= 1e9):
        raise ValueError(f"{name} is a number above 0, not {value}")


def _check_heap(value: str) -> None:
    dma_heap = value.removeprefix("/dev/dma_heap/")
    if value in {"auto", "/dev/udmabuf", "memfd"} or (dma_heap != value and dma_heap.strip("./")):
        return
    raise ValueError(f"heap is auto, /dev/dma_heap/NAME, /dev/udmabuf or memfd, not {value!r}")


def _check_host(name: str, value: str) -> None:
    if not value or "\0" in value:
        raise ValueError(f"{name} is an address or a name, not {value!r}")


def _check_result(report: object, records: object, labels: Mapping[str, str]) -> None:
    for name, path in (("report", report), ("records", records)):
        if path is not None and not (isinstance(path, str | os.PathLike) and os.fspath(path)):
            raise ValueError(f"{name} is a path, not {path!r}")
    for key, value in labels.items():
        if not (isinstance(key, str) and key and isinstance(value, str)):
            raise ValueError(f"a label has a name and a text, not {key!r} and {value!r}")


@dataclass(frozen=True, kw_only=True)
class SenderConfig:
    """What to capture, and where to send it.

    Raises:
        ValueError: a value is out of its range.
        TypeError: a value is of another type.

    """

    address: str
    """The receiver: an IPv4 or IPv6 address, or a name."""
    port: int
    """The receiver's port, 1 to 65535."""
    device: str = "/dev/video0"
    """The V4L2 device; ``test`` for the built-in source, ``test:still`` for its first frame again
    and again."""
    width: int = 640
    """Pixels. The driver may grant another size, which is logged as a warning."""
    height: int = 480
    """Pixels."""
    format: str = "YUYV"
    """The pixel format: a V4L2 fourcc, four characters."""
    buffers: int = 4
    """How many buffers to ask for."""
    heap: str = "auto"
    """``/dev/dma_heap/NAME``, ``/dev/udmabuf``, ``memfd`` (no DMABUF; for ``test`` alone), or
    ``auto``: the first that the driver takes and that can be sent without a copy, then the system
    heap."""
    memory: Literal["auto", "dmabuf", "mmap"] = "auto"
    """Whose memory to capture into; ``auto`` falls back from the heap's to the driver's."""
    fps: float | None = None
    """Frames a second to ask the driver for; None leaves the rate as it is."""
    on_overrun: Literal["block", "drop-oldest", "drop-newest"] = "block"
    """What becomes of frames that the network has no time for: left to the driver to drop
    (``block``), or dropped by the sender, which keeps the freshest (``drop-oldest``) or the one
    that waited longest (``drop-newest``)."""
    protocol: Literal[2, 3] = 3
    """The wire version: 2 is for receivers that don't speak 3, as the C reference doesn't."""
    verify: bool = False
    """Whether to check that every byte arrives: a checksum over each captured buffer is checked
    over the receiver's, and what the driver leaves unwritten is found out. Version 3 alone."""
    zero_copy: Literal["auto", "on", "off"] = "auto"
    """Whether to send without a copy; ``on`` is an error where that can't be had."""
    peer_timeout: float = 30.0
    """Seconds that the receiver may take nothing."""
    records: str | os.PathLike[str] | None = None
    """The file that a line a frame is written to: comma-separated, with names in the first line,
    times in nanoseconds of each side's CLOCK_MONOTONIC."""
    report: str | os.PathLike[str] | None = None
    """The file that the result is written to, as JSON: see docs/result.schema.json."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the result can't know by itself, such as the VMM's version; for ``report``."""

    def __post_init__(self) -> None:
        _check_host("address", self.address)
        _check_port(self.port)
        if not self.device or "\0" in self.device:
            raise ValueError(f"device is a path, 'test' or 'test:still', not {self.device!r}")
        for name in ("width", "height", "buffers"):
            _check_count(name, getattr(self, name))
        fourcc = self.format.removesuffix("-BE")
        if len(fourcc) != 4 or not (fourcc.isascii() and fourcc.isprintable()):
            raise ValueError(
                f"format is four characters such as 'YUYV' or 'Y16 ', not {self.format!r}"
            )
        _check_heap(self.heap)
        _check_choice("memory", self.memory, ("auto", "dmabuf", "mmap"))
        _check_choice("on_overrun", self.on_overrun, ("block", "drop-oldest", "drop-newest"))
        _check_choice("protocol", self.protocol, (2, 3))
        _check_choice("zero_copy", self.zero_copy, ("auto", "on", "off"))
        if self.verify and self.protocol == 2:
            raise ValueError("protocol 2 carries no checksums, so verify needs protocol 3")
        if self.device in {"test", "test:still"}:
            if self.memory == "mmap":
                raise ValueError(
                    f"memory mmap is a driver's own, and device {self.device} has no driver"
                )
        elif self.heap == "memfd" and self.memory != "mmap":
            raise ValueError(
                "heap memfd is no DMABUF, which a driver can't capture into: "
                "use /dev/udmabuf or a dma-heap, or memory mmap"
            )
        if self.fps is not None:
            _check_positive("fps", self.fps)
        _check_positive("peer_timeout", self.peer_timeout)
        _check_result(self.report, self.records, self.labels)


@dataclass(frozen=True, kw_only=True)
class ReceiverConfig:
    """Where to listen, and what to do with what comes.

    Raises:
        ValueError: a value is out of its range.
        TypeError: a value is of another type.

    """

    port: int
    """The port to listen on, 1 to 65535."""
    listen: str = "0.0.0.0"  # noqa: S104 -- a receiver is there to be reached
    """The address to listen on; ``::`` for IPv6 and IPv4."""
    heap: str = "auto"
    """``/dev/dma_heap/NAME``, ``/dev/udmabuf``, ``memfd`` (plain memory, no DMABUF), or ``auto``:
    the system heap, else udmabuf, else plain memory with a warning."""
    output: str | os.PathLike[str] | None = None
    """The file that frames are written to; ``-`` for standard output."""
    max_memory: int = 1 << 30
    """Bytes that a stream's buffers may take here, in whole pages."""
    peer_timeout: float = 30.0
    """Seconds that the sender may be silent."""
    records: str | os.PathLike[str] | None = None
    """The file that a line a frame is written to: comma-separated, with names in the first line,
    times in nanoseconds of each side's CLOCK_MONOTONIC."""
    report: str | os.PathLike[str] | None = None
    """The file that the result is written to, as JSON: see docs/result.schema.json."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the result can't know by itself, such as the VMM's version; for ``report``."""

    def __post_init__(self) -> None:
        _check_host("listen", self.listen)
        _check_port(self.port)
        _check_heap(self.heap)
        if self.output is not None and not os.fspath(self.output):
            raise ValueError("output is a path or '-', not ''")
        if isinstance(self.max_memory, bool) or not isinstance(self.max_memory, int):
            raise TypeError(f"max_memory is a whole number of bytes, not {self.max_memory!r}")
        if not 1 <= self.max_memory < 1 << 64:
            raise ValueError(f"max_memory is at least 1 byte, not {self.max_memory}")
        _check_positive("peer_timeout", self.peer_timeout)
        _check_result(self.report, self.records, self.labels)
