"""What works with this machine's devices, tried for real.

Each memory that a V4L2 device might capture into, or show frames from; and which DRM cards import
a heap's DMABUFs.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from v4l_dmabuf import _core, values

_SYSFS = Path("/sys/class/video4linux")

Coherency = Literal["coherent", "cached", "lies", "unknown"]
"""What DMA_BUF_IOCTL_SYNC is to a heap's memory. ``coherent``: what the CPU or the device writes,
the other reads, with SYNC and without, as far as was seen. ``cached``: it takes SYNC, which every
program has to call anyway. ``lies``: in spite of SYNC something old was read, so frames get torn.
``unknown``: it could not be told; ``--verify`` on the sender finds frames that are torn."""


@dataclass(frozen=True, kw_only=True)
class MemoryProbe:
    """A memory that a device might capture into, or show frames from, and whether it works.

    What follows ``reason`` is None where it does not.
    """

    memory: str
    """``mmap``, the driver's own buffers, or the heap that DMABUFs are from."""
    works: bool
    """Whether the driver took real buffers of the real size (VIDIOC_QBUF), and within 3 s gave a
    frame that was whole, and none that was not; or gave one back that it was to show."""
    reason: str | None = None
    """Why it does not work, and what to do."""
    width: int | None = None
    """Pixels, as granted."""
    height: int | None = None
    """Pixels, as granted."""
    sizeimage: int | None = None
    """Bytes: no frame has more."""
    zero_copy: bool | None = None
    """Whether frames can be sent from it without a copy; None for an output device, of which this
    and what follows until ``frames`` is not asked."""
    zero_copy_reason: str | None = None
    """Why not."""
    clock: str | None = None
    """The clock that timestamps are of, found out by comparing: ``monotonic``, ``boottime``,
    ``realtime``, or ``unknown``."""
    clock_reason: str | None = None
    """Why it is unknown."""
    device_writes: Coherency | None = None
    """Whether the CPU sees what the device writes; None of the driver's own buffers, which the
    driver itself sees to."""
    device_writes_reason: str | None = None
    """Why it lies, or is unknown."""
    device_reads: Coherency | None = None
    """Whether the device reads what the CPU writes; None of the driver's own buffers, and of a
    device that captures if no ``loop`` was given."""
    device_reads_reason: str | None = None
    """Why it lies, or is unknown."""
    read_bytes_per_second: float | None = None
    """How fast the CPU reads a buffer."""
    frames: int | None = None
    """How many frames came, four at most; or that an output device was done with, three at
    most."""
    error_frames: int | None = None
    """Those of them that the driver flags as corrupt."""


@dataclass(frozen=True, kw_only=True)
class DeviceProbe:
    """A device that captures, shows or converts frames, and what works with it."""

    device: str
    """Its path."""
    direction: Literal["capture", "output", "m2m"] = "capture"
    """Whether frames come from it, or go to it; or go to it and come back converted (m2m)."""
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


@dataclass(frozen=True, kw_only=True)
class CardProbe:
    """A DRM card, and whether it imports a heap's DMABUFs."""

    card: str
    """Its path."""
    driver: str | None
    """Its driver's name; None if the kernel does not tell."""
    heap: str
    """The heap that the DMABUF was from."""
    imports: bool
    """Whether DRM_IOCTL_PRIME_FD_TO_HANDLE took it."""
    errno: str | None = None
    """What that answered if it did not, such as ``EINVAL``."""
    reason: str | None = None
    """Why it does not, and what to do."""


def probe(
    device: str | os.PathLike[str] = "/dev/video0",
    *,
    width: int = 1920,
    height: int = 1080,
    format: str | None = None,  # noqa: A002 -- the option's own name
    loop: str | os.PathLike[str] | None = None,
    m2m: bool = True,
) -> DeviceProbe:
    """Try each memory that ``device`` might capture into, by capturing a few frames.

    Of an output device, each that it might show frames from, by giving it a few, of zeros.

    ``width`` and ``height`` are in pixels: large, since small frames may fit where large ones
    don't. ``format`` is a fourcc, by default YUYV or else the first that the device offers.
    ``loop`` is an output device whose frames come back at ``device``, by a cable or in vivid: with
    it the probe finds out whether that reads what the CPU writes. A device that converts frames
    is given some, to be converted into the same format; without ``m2m`` it is none that captures.

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
        None if loop is None else values.path("loop", loop),
        m2m,
    )


def devices() -> list[str]:
    """Give the paths of this machine's V4L2 nodes, in the order of their numbers."""
    names = [entry.name for entry in _SYSFS.glob("video*")] if _SYSFS.exists() else []
    return [f"/dev/{name}" for name in sorted(names, key=lambda name: (len(name), name))]


def cards() -> list[CardProbe]:
    """Try a DMABUF of each heap with each DRM card (``/dev/dri/card*``).

    A card that imports it can show or encode frames without a copy.

    Raises:
        Error: it can't be tried at all.

    """
    return _core.probe_cards()
