"""A frame's memory for another process: descriptors, and a line that says what is in them."""

import fcntl
import json
import mmap
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from v4l_dmabuf import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMAT = "v4l-dmabuf-frame"

_DRM = {
    "YUYV": "YUYV",
    "UYVY": "UYVY",
    "YVYU": "YVYU",
    "VYUY": "VYUY",
    "NV12": "NV12",
    "NM12": "NV12",
    "NV21": "NV21",
    "NM21": "NV21",
    "NV16": "NV16",
    "NM16": "NV16",
    "NV24": "NV24",
    "P010": "P010",
    "YU12": "YU12",
    "YM12": "YU12",
    "YV12": "YV12",
    "YM21": "YV12",
    "422P": "YU16",
    "YM16": "YU16",
    "GREY": "R8  ",
    "Y16 ": "R16 ",
    "RGBP": "RG16",
    "RGB3": "BG24",
    "BGR3": "RG24",
    "XR24": "XR24",
    "AR24": "AR24",
    "XB24": "XB24",
    "AB24": "AB24",
}
"""V4L2's formats by DRM's names (drm_fourcc.h), which tell of little-endian words where V4L2 tells
of bytes in memory."""

_LINEAR = 0
"""DRM_FORMAT_MOD_LINEAR"""

# linux/dma-buf.h
_SYNC = 0x40086200
_SYNC_READ = 1
_SYNC_END = 4


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _are_layouts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_layout, value))


def _is_layout(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 5:
        return False
    plane, offset, shape, strides, kind = value
    return (
        _are_counts([plane, offset])
        and _are_counts(shape)
        and _are_counts(strides)
        and len(shape) == len(strides)
        and kind in {"u1", "<u2", ">u2"}
    )


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "dmabuf": lambda value: isinstance(value, bool),
    **dict.fromkeys(("width", "height", "modifier", "sequence", "timestamp_ns"), _is_count),
    "format": lambda value: isinstance(value, str),
    "fourcc": lambda value: value is None or isinstance(value, str),
    **dict.fromkeys(("offsets", "bytesused"), _are_counts),
    "strides": lambda value: (
        isinstance(value, list) and all(it is None or _is_count(it) for it in value)
    ),
    **dict.fromkeys(("array", "arrays"), _are_layouts),
}
"""What a header tells, and whether that can be."""


class DmaBuf:
    """A frame's memory planes as descriptors, to hand to another process or library.

    Made by `Frame.dmabuf`, and by `from_header` where they came. It closes its descriptors at the
    end of its ``with`` block. The frame's buffer stays the frame's: hold the frame until whoever
    has the descriptors is done.
    """

    fds: tuple[int, ...]
    """A descriptor a memory plane."""
    dmabuf: bool
    """Whether they are DMABUFs; else memfds, which can be mapped, and imported by no device."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    format: str
    """V4L2's fourcc."""
    fourcc: str | None
    """DRM's fourcc; None where it has none."""
    modifier: int
    """DRM's format modifier: linear."""
    offsets: tuple[int, ...]
    """Bytes before the payload in each memory plane."""
    strides: tuple[int | None, ...]
    """Bytes from row to row in each memory plane; None where nobody tells."""
    bytesused: tuple[int, ...]
    """Bytes of the payload in each memory plane."""
    sequence: int
    """The driver's number of the frame."""
    timestamp_ns: int
    """When it was captured."""

    def __init__(self, fields: Mapping[str, Any], fds: Sequence[int]) -> None:
        self.fds = tuple(fds)
        self.dmabuf = fields["dmabuf"]
        self.width = fields["width"]
        self.height = fields["height"]
        self.format = fields["format"]
        self.fourcc = fields["fourcc"]
        self.modifier = fields["modifier"]
        self.offsets = tuple(fields["offsets"])
        self.strides = tuple(fields["strides"])
        self.bytesused = tuple(fields["bytesused"])
        self.sequence = fields["sequence"]
        self.timestamp_ns = fields["timestamp_ns"]
        self._fields = dict(fields)
        self._maps: list[mmap.mmap] = []

    @classmethod
    def of(cls, frame: _core.Frame, fds: Sequence[int], layout: Mapping[str, Any]) -> Self:
        """Duplicate a frame's descriptors; ``layout`` is the core's word of what is in them."""
        fields = {
            "format_version": 1,
            "width": frame.width,
            "height": frame.height,
            "format": frame.format,
            "fourcc": _DRM.get(frame.format),
            "modifier": _LINEAR,
            "strides": [plane.bytesperline for plane in frame.planes],
            "sequence": frame.sequence,
            "timestamp_ns": frame.timestamp_ns,
            **layout,
        }
        own: list[int] = []
        try:
            own.extend(os.dup(fd) for fd in fds)
        except OSError:
            for fd in own:
                os.close(fd)
            raise
        return cls(fields, own)

    def header(self) -> bytes:
        """Give what is in the descriptors, as one line of JSON that ends with a newline."""
        return json.dumps({"frame": _FORMAT, **self._fields}).encode() + b"\n"

    @classmethod
    def from_header(cls, line: bytes, fds: Sequence[int]) -> Self:
        """Make it again where ``line`` and the descriptors came. The descriptors are its own then.

        Raises:
            ValueError: it is no such line, or tells of another number of descriptors.

        """
        try:
            told = json.loads(line)
        except ValueError:
            told = None
        if not isinstance(told, dict) or told.pop("frame", None) != _FORMAT:
            raise ValueError("this is no header of a frame's memory")
        for name, is_right in _FIELDS.items():
            if name not in told:
                raise ValueError(f"the header does not tell {name!r}")
            if not is_right(told[name]):
                raise ValueError(f"the header's {name!r} can't be {told[name]!r}")
        made = cls(told, fds)
        if not len(made.fds) == len(made.offsets) == len(made.bytesused):
            raise ValueError(
                f"the header tells of {len(made.offsets)} memory planes, and {len(fds)} "
                "descriptors came"
            )
        return made

    def array(self) -> "NDArray[Any]":
        """Give one NumPy array of the frame, mapped from the descriptors: as `Frame.array` does.

        The CPU's access begins here and ends with `close`: arrays are not to be read after that.

        Raises:
            ValueError: the frame is no one array.
            ImportError: there is no NumPy.
            OSError: the memory can't be mapped.

        """
        if not self._fields["array"]:
            raise ValueError(f"a {self.format} frame of this kind is no one array: see arrays()")
        return self._view(self._fields["array"][0])

    def arrays(self) -> "tuple[NDArray[Any], ...]":
        """Give one NumPy array a colour plane, as `array` does."""
        return tuple(self._view(layout) for layout in self._fields["arrays"])

    def _view(self, layout: Sequence[Any]) -> "NDArray[Any]":
        import numpy as np  # noqa: PLC0415 -- optional: needed here alone

        plane, offset, shape, strides, kind = layout
        if plane >= len(self.fds):
            raise ValueError(f"the header tells of memory plane {plane}, of {len(self.fds)}")
        self._map()
        flat = np.frombuffer(self._maps[plane], np.uint8)
        begin = self.offsets[plane] + offset
        view = flat[begin : self.offsets[plane] + self.bytesused[plane]]
        return np.ndarray(tuple(shape), np.dtype(kind), buffer=view, strides=tuple(strides))

    def _map(self) -> None:
        if self._maps:
            return
        for fd, offset, length in zip(self.fds, self.offsets, self.bytesused, strict=True):
            self._sync(fd, 0)
            self._maps.append(mmap.mmap(fd, max(offset + length, 1), prot=mmap.PROT_READ))

    def _sync(self, fd: int, edge: int) -> None:
        if self.dmabuf:
            fcntl.ioctl(fd, _SYNC, struct.pack("@Q", _SYNC_READ | edge))

    def close(self) -> None:
        """End the CPU's access, and close the descriptors. May be called again."""
        fds, self.fds = self.fds, ()
        is_mapped, self._maps = bool(self._maps), []
        with ExitStack() as ends:
            for fd in fds:
                ends.callback(os.close, fd)
                if is_mapped:
                    ends.callback(self._sync, fd, _SYNC_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
