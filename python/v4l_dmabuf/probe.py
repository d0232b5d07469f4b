"""What works with a V4L2 device: each memory that it might capture into, tried for real."""

import os
from dataclasses import dataclass
from pathlib import Path

from v4l_dmabuf import _core, values

_SYSFS = Path("/sys/class/video4linux")


@dataclass(frozen=True, kw_only=True)
class MemoryProbe:
    """A memory that a device might capture into, and whether it works.

    What follows ``reason`` is None where it does not.
    """

    memory: str
    """``mmap``, the driver's own buffers, or the heap that DMABUFs are from."""
    works: bool
    """Whether the driver took real buffers of the real size (VIDIOC_QBUF), and within 3 s gave a
    frame that was whole, and none that was not."""
    reason: str | None = None
    """Why it does not work, and what to do."""
    width: int | None = None
    """Pixels, as granted."""
    height: int | None = None
    """Pixels, as granted."""
    sizeimage: int | None = None
    """Bytes: no frame has more."""
    zero_copy: bool | None = None
    """Whether frames can be sent from it without a copy."""
    zero_copy_reason: str | None = None
    """Why not."""
    clock: str | None = None
    """The clock that timestamps are of, found out by comparing: ``monotonic``, ``boottime``,
    ``realtime``, or ``unknown``."""
    clock_reason: str | None = None
    """Why it is unknown."""
    read_bytes_per_second: float | None = None
    """How fast the CPU reads a buffer."""
    frames: int | None = None
    """How many frames came, four at most."""
    error_frames: int | None = None
    """Those of them that the driver flags as corrupt."""


@dataclass(frozen=True, kw_only=True)
class DeviceProbe:
    """A capture device, and what works with it."""

    device: str
    """Its path."""
    driver: str
    """The driver's name, such as ``uvcvideo``."""
    card: str
    """The device's name."""
    bus: str
    """Where it sits."""
    formats: list[str]
    """The fourccs that it offers."""
    format: str
    """The one that was tried."""
    memories: list[MemoryProbe]
    """What was tried, in turn."""


def probe(
    device: str | os.PathLike[str] = "/dev/video0",
    *,
    width: int = 1920,
    height: int = 1080,
    format: str | None = None,  # noqa: A002 -- the option's own name
) -> DeviceProbe:
    """Try each memory that ``device`` might capture into, by capturing a few frames.

    ``width`` and ``height`` are in pixels: large, since small frames may fit where large ones
    don't. ``format`` is a fourcc, by default YUYV or else the first that the device offers.

    Raises:
        Error: the device can't be had at all; which class tells how.
        ValueError: a size is less than 1, or ``format`` is no fourcc.
        TypeError: a value is of another type.

    """
    most = 0xFFFF_FFFF
    return _core.probe(
        values.path("device", device),
        values.whole("width", width, least=1, most=most),
        values.whole("height", height, least=1, most=most),
        None if format is None else values.fourcc("format", format),
    )


def devices() -> list[str]:
    """Give the paths of this machine's V4L2 nodes, in the order of their numbers."""
    names = [entry.name for entry in _SYSFS.glob("video*")] if _SYSFS.exists() else []
    return [f"/dev/{name}" for name in sorted(names, key=lambda name: (len(name), name))]
