"""What a sender and a receiver are told, checked before anything is opened."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from v4l_dmabuf import values


@dataclass(frozen=True)
class _Takes:
    """What a field takes: its function gets the field's name and what was given."""

    value: Callable[[str, Any], Any]


_Host = _Takes(partial(values.text, expected="an address or a name"))
_Path = _Takes(values.path)
_Port = _Takes(partial(values.whole, least=1, most=0xFFFF))
_Count = _Takes(partial(values.whole, least=1, most=0xFFFF_FFFF))
_Bytes = _Takes(partial(values.whole, least=1, most=(1 << 64) - 1))
_Positive = _Takes(values.positive)
_Flag = _Takes(values.flag)
_Labels = _Takes(values.labels)


def _device(name: str, value: Any) -> str:
    return values.path(name, value, "a path, 'test' or 'test:still'")


def _heap(name: str, value: Any) -> str:
    expected = "auto, /dev/dma_heap/NAME, /dev/udmabuf or memfd"
    heap = values.path(name, value, expected)
    dma_heap = heap.removeprefix("/dev/dma_heap/")
    if heap in {"auto", "/dev/udmabuf", "memfd"} or (dma_heap != heap and dma_heap.strip("./")):
        return heap
    raise values.wrong_value(name, expected, value)


def _fields(cls: Any) -> dict[str, tuple[_Takes, bool]]:
    """Give what each field of a configuration takes, and whether None is left as it is."""
    hints = get_type_hints(cls, include_extras=True)
    return {one.name: (_takes(hints[one.name]), one.default is None) for one in fields(cls)}


def _takes(hint: Any) -> _Takes:
    if get_origin(hint) is Literal:
        return _Takes(partial(values.choice, choices=get_args(hint)))
    takes: _Takes = get_args(hint)[1]
    return takes


def _take_all(config: Any) -> None:
    """Replace what was given by the values that it stands for."""
    for name, (takes, is_optional) in _fields(config.__class__).items():
        value = getattr(config, name)
        if not (value is None and is_optional):
            # The one change of what is frozen, before anybody else has it.
            object.__setattr__(config, name, takes.value(name, value))


@dataclass(frozen=True, kw_only=True)
class SenderConfig:
    """What to capture, and where to send it.

    Raises:
        ValueError: a value is out of its range.
        TypeError: a value is of another type.

    """

    address: Annotated[str, _Host]
    """The receiver: an IPv4 or IPv6 address, or a name."""
    port: Annotated[int, _Port]
    """The receiver's port, 1 to 65535."""
    device: Annotated[str | os.PathLike[str], _Takes(_device)] = "/dev/video0"
    """The V4L2 device; ``test`` for the built-in source, ``test:still`` for its first frame again
    and again."""
    width: Annotated[int, _Count] = 640
    """Pixels. The driver may grant another size, which is logged as a warning."""
    height: Annotated[int, _Count] = 480
    """Pixels."""
    format: Annotated[str, _Takes(values.fourcc)] = "YUYV"
    """The pixel format: a V4L2 fourcc, four characters."""
    buffers: Annotated[int, _Count] = 4
    """How many buffers to ask for."""
    heap: Annotated[str | os.PathLike[str], _Takes(_heap)] = "auto"
    """``/dev/dma_heap/NAME``, ``/dev/udmabuf``, ``memfd`` (no DMABUF; for ``test`` alone), or
    ``auto``: the first that the driver takes and that can be sent without a copy, then the system
    heap."""
    memory: Literal["auto", "dmabuf", "mmap"] = "auto"
    """Whose memory to capture into; ``auto`` falls back from the heap's to the driver's."""
    fps: Annotated[float | None, _Positive] = None
    """Frames a second to ask the driver for; None leaves the rate as it is."""
    on_overrun: Literal["block", "drop-oldest", "drop-newest"] = "block"
    """What becomes of frames that the network has no time for: left to the driver to drop
    (``block``), or dropped by the sender, which keeps the freshest (``drop-oldest``) or the one
    that waited longest (``drop-newest``)."""
    protocol: Literal[1, 2, 3] = 3
    """The wire version: 2 is for receivers that don't speak 3, as the C reference doesn't, and 1,
    which means the same, for those that take no other."""
    verify: Annotated[bool, _Flag] = False
    """Whether to check that every byte arrives: a checksum over each captured buffer is checked
    over the receiver's, and what the driver leaves unwritten is found out. Version 3 alone."""
    zero_copy: Literal["auto", "on", "off"] = "auto"
    """Whether to send without a copy; ``on`` is an error where that can't be had."""
    peer_timeout: Annotated[float, _Positive] = 30.0
    """Seconds that the receiver may take nothing."""
    records: Annotated[str | os.PathLike[str] | None, _Path] = None
    """The file that a line a frame is written to: comma-separated, with names in the first line,
    times in nanoseconds of each side's CLOCK_MONOTONIC."""
    report: Annotated[str | os.PathLike[str] | None, _Path] = None
    """The file that the result is written to, as JSON: see docs/result.schema.json."""
    labels: Annotated[Mapping[str, str], _Labels] = field(default_factory=dict)
    """What the result can't know by itself, such as the VMM's version; for ``report``."""

    def __post_init__(self) -> None:
        _take_all(self)
        if self.verify and self.protocol != 3:
            raise ValueError(
                f"protocol {self.protocol} carries no checksums, so verify needs protocol 3"
            )
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


@dataclass(frozen=True, kw_only=True)
class ReceiverConfig:
    """Where to listen, and what to do with what comes.

    Raises:
        ValueError: a value is out of its range.
        TypeError: a value is of another type.

    """

    port: Annotated[int, _Port]
    """The port to listen on, 1 to 65535."""
    listen: Annotated[str, _Host] = "0.0.0.0"  # noqa: S104 -- a receiver is there to be reached
    """The address to listen on; ``::`` for IPv6 and IPv4."""
    heap: Annotated[str | os.PathLike[str], _Takes(_heap)] = "auto"
    """``/dev/dma_heap/NAME``, ``/dev/udmabuf``, ``memfd`` (plain memory, no DMABUF), or ``auto``:
    the system heap, else udmabuf, else plain memory with a warning."""
    output: Annotated[str | os.PathLike[str] | None, _Path] = None
    """The file that frames are written to; ``-`` for standard output."""
    max_memory: Annotated[int, _Bytes] = 1 << 30
    """Bytes that a stream's buffers may take here, in whole pages."""
    peer_timeout: Annotated[float, _Positive] = 30.0
    """Seconds that the sender may be silent."""
    records: Annotated[str | os.PathLike[str] | None, _Path] = None
    """The file that a line a frame is written to: comma-separated, with names in the first line,
    times in nanoseconds of each side's CLOCK_MONOTONIC."""
    report: Annotated[str | os.PathLike[str] | None, _Path] = None
    """The file that the result is written to, as JSON: see docs/result.schema.json."""
    labels: Annotated[Mapping[str, str], _Labels] = field(default_factory=dict)
    """What the result can't know by itself, such as the VMM's version; for ``report``."""

    def __post_init__(self) -> None:
        _take_all(self)
