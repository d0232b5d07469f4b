"""What a process has of memory, descriptors, threads and DMABUFs along a run: whether it grows."""

import contextlib
import os
import re
import threading
import time
from array import array
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_INTERVAL = 10.0
"""Seconds between two looks at first."""
_MOST = 512
"""Looks that are kept: when there are more every other goes, and looks are half as often."""
_START_SHARE = 0.1
"""The share of a run in which a process still gets what it needs: no growth of it."""
_LEAST_SECONDS = 600.0
"""A run of less has no slope: what the allocator does would be taken for it."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")

Look = dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What a process had of something along a run."""

    first: int
    """When it began."""
    last: int
    """When it had ended."""
    most: int
    """At most, of all looks."""
    slope: float | None
    """By how much it grew in a second, by least squares over what follows the run's first tenth;
    None of a run of less than ten minutes."""


def look() -> Look:
    """Look at this process: counts, and bytes.

    DMABUFs are those that it has descriptors of, by their inodes: the kernel's fdinfo names size
    and exporter (Documentation/filesystems/proc.rst, "DMA Buffer files").
    """
    found: Look = {"rss": 0, "descriptors": 0, "threads": 0, "dmabufs": 0, "dmabuf_bytes": 0}
    with contextlib.suppress(OSError, ValueError, IndexError):
        found["rss"] = int(_STATM.read_text().split()[1]) * _PAGE
    with contextlib.suppress(OSError):
        found["threads"] = len(os.listdir("/proc/self/task"))  # noqa: PTH208 -- see _note_dmabuf
    seen: set[str] = set()
    with contextlib.suppress(OSError):
        descriptors = os.listdir("/proc/self/fd")  # noqa: PTH208 -- see _note_dmabuf
        # One of them is the listing's own.
        found["descriptors"] = len(descriptors) - 1
        for descriptor in descriptors:
            _note_dmabuf(descriptor, found, seen)
    return found


def _note_dmabuf(descriptor: str, found: Look, seen: set[str]) -> None:
    """Count a descriptor that is a DMABUF's, if that was not counted yet.

    A Path would have each part of it in the interpreter's table of names, which grows by that.
    """
    with contextlib.suppress(OSError):
        if not os.readlink(f"/proc/self/fd/{descriptor}").startswith("/dmabuf"):  # noqa: PTH115
            return
        with open(f"/proc/self/fdinfo/{descriptor}") as info:  # noqa: PTH123
            fields = dict(re.findall(r"^(\w+):\s*(.*)$", info.read(), re.MULTILINE))
        inode, size = fields.get("ino", descriptor), int(fields.get("size", 0))
        if inode in seen:
            return
        seen.add(inode)
        exporter = f"dmabuf_bytes:{fields.get('exp_name', 'unknown')}"
        found["dmabufs"] += 1
        found["dmabuf_bytes"] += size
        found[exporter] = found.get(exporter, 0) + size


class Resources:
    """Looks at this process now and then, until it is ended."""

    def __init__(self, interval: float = _INTERVAL) -> None:
        self._interval = interval
        self._began = time.monotonic()
        # Plain numbers: as objects the looks of an hour took a third of a megabyte.
        self._times = array("d")
        self._values: dict[str, array[int]] = {}
        self._most: Look = {}
        self._over = threading.Event()
        self._take()
        self._thread = threading.Thread(
            target=self._watch, name="v4l-dmabuf-resources", daemon=True
        )
        self._thread.start()

    def _take(self) -> None:
        seen = look()
        for name in seen.keys() - self._values.keys():
            # What comes in mid-run was not there before.
            self._values[name] = array("q", [0] * len(self._times))
        for name, values in self._values.items():
            value = seen.get(name, 0)
            self._most[name] = max(self._most.get(name, 0), value)
            values.append(value)
        self._times.append(time.monotonic() - self._began)
        if len(self._times) > _MOST:
            del self._times[1::2]
            for values in self._values.values():
                del values[1::2]
            self._interval *= 2

    def _watch(self) -> None:
        while not self._over.wait(self._interval):
            self._take()

    def stop(self) -> None:
        """Look no more. May be called again."""
        self._over.set()

    def end(self) -> dict[str, Any]:
        """Give what each resource was first, last and at most, and how it grew.

        It is a `Resource` each, as plain data; DMABUFs' bytes are given by exporter as well.
        """
        self.stop()
        self._thread.join()
        self._take()
        told: dict[str, Any] = {}
        exporters: dict[str, Any] = {}
        for name in sorted(self._values):
            values = list(zip(self._times, self._values[name], strict=True))
            _, exporter, who = name.partition("dmabuf_bytes:")
            place = exporters if exporter else told
            resource = Resource(
                first=values[0][1], last=values[-1][1], most=self._most[name], slope=slope(values)
            )
            place[who if exporter else name] = asdict(resource)
        return told | {"dmabuf_bytes_by_exporter": exporters, "looks": len(self._times)}


def slope(values: list[tuple[float, int]]) -> float | None:
    """Give by how much a value grows in a second; None if too little is known."""
    if not values or values[-1][0] < _LEAST_SECONDS:
        return None
    later = [(at, value) for at, value in values if at >= values[-1][0] * _START_SHARE]
    if len(later) < 3:
        return None
    at_mean = sum(at for at, _ in later) / len(later)
    mean = sum(value for _, value in later) / len(later)
    spread = sum((at - at_mean) ** 2 for at, _ in later)
    if spread == 0:
        return None
    return sum((at - at_mean) * (value - mean) for at, value in later) / spread
