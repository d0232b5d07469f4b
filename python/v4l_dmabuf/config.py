"""What an endpoint is told, checked before anything is opened."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Annotated, Any, Literal, get_args

from v4l_dmabuf import values
from v4l_dmabuf.option import Option, byte_count, duration, label
from v4l_dmabuf.setting import Takes, take_all

_Host = Takes(partial(values.text, expected="an address or a name"))
_Path = Takes(values.path)
_Port = Takes(partial(values.whole, least=1, most=0xFFFF))
_Count = Takes(partial(values.whole, least=1, most=0xFFFF_FFFF))
_Bytes = Takes(partial(values.whole, least=1, most=(1 << 64) - 1))
_Positive = Takes(values.positive)
_NotNegative = Takes(values.seconds)
_Flag = Takes(values.flag)
_Labels = Takes(values.labels)
_Listening = Takes(values.listening)


def _device(name: str, value: Any) -> str:
    return values.path(name, value, "a path, 'test', 'test:still' or 'feed'")


def _heap(name: str, value: Any) -> str:
    expected = "auto, /dev/dma_heap/NAME, /dev/udmabuf or memfd"
    heap = values.path(name, value, expected)
    dma_heap = heap.removeprefix("/dev/dma_heap/")
    if heap in {"auto", "/dev/udmabuf", "memfd"} or (dma_heap != heap and dma_heap.strip("./")):
        return heap
    raise values.wrong_value(name, expected, value)


_HEAPS = "/dev/dma_heap/NAME, /dev/udmabuf, or memfd (plain memory, no DMABUF)"
_HEAP = Option(f"where DMABUFs come from: {_HEAPS}; auto tries them", "-e")
_PEER_TIMEOUT = Option(
    "give up when the other side has not moved a byte for so long", metavar="SECONDS"
)
_VIEW = Option(
    "show the stream on a page there while it goes on, on this machine alone unless an address "
    "is given",
    metavar="[ADDRESS:]PORT",
)
_VIEW_FPS = Option("pictures a second on that page at most", metavar="FPS")
_VIEW_WIDTH = Option("pixels of these in a row at most", metavar="PIXELS")
_REPORT = Option("write the result there, as JSON", metavar="FILE")
_RECORDS = Option("write a line a frame there, comma-separated", metavar="FILE")
_RECORDS_LIMIT = Option(
    "what these may take: at half of it the file is set aside as FILE.1, for the last time's, "
    "and another begun; K, M and G are understood",
    metavar="BYTES",
    parse=byte_count,
)
_DURATION = Option(
    "stop after so long from the first frame, as 90, 10m, 1h30m or 7d (default: never)",
    metavar="TIME",
    parse=duration,
)
_LABELS = Option(
    "add to the result what it can't know by itself",
    long="--label",
    metavar="KEY=VALUE",
    parse=label,
)


Overrun = Literal["block", "drop-oldest", "drop-newest"]
"""What becomes of frames that there is no room for."""


def overrun(name: str, value: Any) -> str:
    """Take an `Overrun`."""
    return str(values.choice(name, value, get_args(Overrun)))


FEED = "feed"
"""The device of a sender whose frames are a program's."""

_API = "no option: of the Python API alone"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What comes of a stream beside its frames, and how long it lasts."""

    records: Annotated[str | os.PathLike[str] | None, _Path, _RECORDS] = None
    """The file that a line a frame is written to: comma-separated, with names in the first line,
    times in nanoseconds of each side's CLOCK_MONOTONIC."""
    records_limit: Annotated[int | None, _Bytes, _RECORDS_LIMIT] = None
    """Bytes that the records may take: at half of them the file is set aside, its name with
    ``.1``, in place of what was, and another begun. What was given up is counted."""
    duration: Annotated[float | None, _Positive, _DURATION] = None
    """Seconds after which the stream ends, from its first frame; None for never."""
    report: Annotated[str | os.PathLike[str] | None, _Path, _REPORT] = None
    """The file that the result is written to, as JSON: see docs/result.schema.json."""
    labels: Annotated[Mapping[str, str], _Labels, _LABELS] = field(default_factory=dict)
    """What the result can't know by itself, such as the VMM's version; for ``report``."""

    def __post_init__(self) -> None:
        take_all(self)
        if self.records_limit is not None and self.records is None:
            raise ValueError(
                "records_limit is of records, and there are none: name a file for them"
            )


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A page that shows the stream."""

    view: Annotated[str | int | None, _Listening, _VIEW] = None
    """Where to show the stream on a page while it goes on: ``[ADDRESS:]PORT``, on this machine
    alone where there is no address."""
    view_fps: Annotated[float, _Positive, _VIEW_FPS] = 5.0
    """Pictures a second on that page at most."""
    view_width: Annotated[int, _Count, _VIEW_WIDTH] = 320
    """Pixels of these in a row at most: every so manieth of the frame's is taken."""


LAST = tuple(one.name for cls in (Shown, Recorded) for one in fields(cls))
"""The settings that commands tell of last."""


@dataclass(frozen=True, kw_only=True)
class Captured(Recorded):
    """What to capture."""

    device: Annotated[
        str | os.PathLike[str],
        Takes(_device),
        Option("V4L2 device, or a built-in source: 'test', 'test:still'", "-d"),
    ] = "/dev/video0"
    """The V4L2 device; ``test`` for the built-in source, ``test:still`` for its first frame again
    and again; ``feed`` for a program's own frames (`Sender.feed`)."""
    width: Annotated[int, _Count, Option("capture width", "-W", metavar="PIXELS")] = 640
    """Pixels. The driver may grant another size, which is logged as a warning."""
    height: Annotated[int, _Count, Option("capture height", "-H", metavar="PIXELS")] = 480
    """Pixels."""
    format: Annotated[
        str, Takes(values.fourcc), Option("pixel format, four characters", "-f", metavar="FOURCC")
    ] = "YUYV"
    """The pixel format: a V4L2 fourcc, four characters."""
    buffers: Annotated[int, _Count, Option("number of buffers", "-b", metavar="N")] = 4
    """How many buffers to ask for."""
    heap: Annotated[str | os.PathLike[str], Takes(_heap), _HEAP] = "auto"
    """``/dev/dma_heap/NAME``, ``/dev/udmabuf``, ``memfd`` (no DMABUF; for ``test`` alone), or
    ``auto``: the first that the driver takes and that can be sent without a copy, then the system
    heap."""
    memory: Annotated[
        Literal["auto", "dmabuf", "mmap"],
        Option(
            "capture into the heap's DMABUFs (dmabuf), into the driver's own buffers (mmap), "
            "or into the driver's if it refuses the heap's (auto)",
            "-m",
            metavar="MODE",
        ),
    ] = "auto"
    """Whose memory to capture into; ``auto`` falls back from the heap's to the driver's."""
    fps: Annotated[
        float | None, _Positive, Option("frames a second to ask for (default: the driver's)")
    ] = None
    """Frames a second to ask the driver for; None leaves the rate as it is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.device in {"test", "test:still", FEED}:
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
class CaptureConfig(Captured):
    """What to capture, for this program alone.

    Raises:
        ValueError: a value is out of its range.
        TypeError: a value is of another type.

    """

    on_overrun: Annotated[Overrun, _API] = "block"
    """What becomes of frames that the program has no time for, where it iterates: left to the
    driver to drop (``block``), or dropped here, so that the freshest (``drop-oldest``) or the one
    that waits (``drop-newest``) is next."""


@dataclass(frozen=True, kw_only=True)
class SenderConfig(Captured, Shown):
    """What to capture, and where to send it.

    Raises:
        ValueError: a value is out of its range.
        TypeError: a value is of another type.

    """

    address: Annotated[str, _Host, Option("the receiver: IPv4, IPv6 or a name", "-a")]
    """The receiver: an IPv4 or IPv6 address, or a name."""
    port: Annotated[int, _Port, Option("the receiver's port", "-p")]
    """The receiver's port, 1 to 65535."""
    on_overrun: Annotated[
        Overrun,
        Option(
            "when the network is slower than the source: leave it to the driver to drop (block), "
            "or send the freshest frame (drop-oldest), or the one that waits (drop-newest)",
            metavar="POLICY",
        ),
    ] = "block"
    """What becomes of frames that the network has no time for: left to the driver to drop
    (``block``), or dropped by the sender, which keeps the freshest (``drop-oldest``) or the one
    that waited longest (``drop-newest``)."""
    protocol: Annotated[
        Literal[1, 2, 3],
        Option(
            "wire version; 2 for receivers that don't speak 3, as the C reference, and 1, which "
            "means the same, for those that take no other",
            metavar="VERSION",
        ),
    ] = 3
    """The wire version: 2 is for receivers that don't speak 3, as the C reference doesn't, and 1,
    which means the same, for those that take no other."""
    verify: Annotated[
        bool, _Flag, Option("check that every byte arrives, and that the driver wrote it")
    ] = False
    """Whether to check that every byte arrives: a checksum over each captured buffer is checked
    over the receiver's, and what the driver leaves unwritten is found out. Version 3 alone."""
    zero_copy: Annotated[
        Literal["auto", "on", "off"],
        Option(
            "send without a copy: where it can be had (auto), or fail (on), or never (off)",
            metavar="MODE",
        ),
    ] = "auto"
    """Whether to send without a copy; ``on`` is an error where that can't be had."""
    connect_for: Annotated[
        float,
        _NotNegative,
        Option("try to connect for so long while nothing listens", metavar="SECONDS"),
    ] = 0.0
    """Seconds for which to try to connect while nothing listens; 0 for once."""
    peer_timeout: Annotated[float, _Positive, _PEER_TIMEOUT] = 30.0
    """Seconds that the receiver may take nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.verify and self.protocol != 3:
            raise ValueError(
                f"protocol {self.protocol} carries no checksums, so verify needs protocol 3"
            )


@dataclass(frozen=True, kw_only=True)
class ReceiverConfig(Shown, Recorded):
    """Where to listen, and what to do with what comes.

    Raises:
        ValueError: a value is out of its range.
        TypeError: a value is of another type.

    """

    port: Annotated[int, _Port, Option("port to listen on", "-p")]
    """The port to listen on, 1 to 65535."""
    listen: Annotated[
        str, _Host, Option("address to listen on, '::' for IPv6", "-l", metavar="ADDRESS")
    ] = "0.0.0.0"  # noqa: S104 -- a receiver is there to be reached
    """The address to listen on; ``::`` for IPv6 and IPv4."""
    heap: Annotated[str | os.PathLike[str], Takes(_heap), _HEAP] = "auto"
    """``/dev/dma_heap/NAME``, ``/dev/udmabuf``, ``memfd`` (plain memory, no DMABUF), or ``auto``:
    the system heap, else udmabuf, else plain memory with a warning."""
    output: Annotated[
        str | os.PathLike[str] | None,
        _Path,
        Option("write the frames there, '-' for standard output", "-o", metavar="PATH"),
    ] = None
    """The file that frames are written to; ``-`` for standard output."""
    device: Annotated[
        str | os.PathLike[str] | None,
        _Path,
        Option("show the frames on a V4L2 output device", "-d", metavar="PATH"),
    ] = None
    """The V4L2 output device that frames are shown on, such as a virtual camera."""
    device_memory: Annotated[
        Literal["auto", "dmabuf", "mmap"],
        Option(
            "give the device the buffers that frames come in (dmabuf), or copies in its own "
            "(mmap), or copies if it refuses the buffers (auto)",
            "-m",
            metavar="MODE",
        ),
    ] = "auto"
    """Whose memory the output device takes frames from; ``auto`` falls back from the stream's
    buffers to copies in its driver's."""
    device_on_overrun: Annotated[
        Overrun,
        Option(
            "when the device is slower than the stream: slow the sender (block), or show the "
            "freshest frame (drop-oldest), or the one that waits (drop-newest)",
            metavar="POLICY",
        ),
    ] = "drop-oldest"
    """What becomes of frames that the output device has no time for: the sender is slowed
    (``block``), or they are dropped, so that the freshest (``drop-oldest``) or the one that waits
    (``drop-newest``) is next."""
    unixfd: Annotated[
        str | os.PathLike[str] | None,
        _Path,
        Option("hand the frames' DMABUFs to GStreamer's unixfdsrc there", metavar="PATH"),
    ] = None
    """The socket at which other processes get the frames' DMABUFs, by the protocol of GStreamer's
    ``unixfdsrc`` (1.24 and later); it is made, for this user alone, and goes with the run."""
    on_overrun: Annotated[Overrun, _API] = "block"
    """What becomes of frames that the program has no time for, where it iterates: the sender is
    slowed, and its own policy decides (``block``), or they are dropped here, so that the freshest
    (``drop-oldest``) or the one that waits (``drop-newest``) is next."""
    buffers: Annotated[int | None, _Count, _API] = None
    """How many buffers a stream gets here; None for as many as the sender has, and those that
    consumers may hold."""
    max_memory: Annotated[
        int,
        _Bytes,
        Option(
            "what the buffers of a stream may take, K, M and G are understood",
            metavar="BYTES",
            parse=byte_count,
        ),
    ] = 1 << 30
    """Bytes that a stream's buffers may take here, in whole pages."""
    peer_timeout: Annotated[float, _Positive, _PEER_TIMEOUT] = 30.0
    """Seconds that the sender may be silent."""


Config = SenderConfig | ReceiverConfig | CaptureConfig
"""What an endpoint is told."""
