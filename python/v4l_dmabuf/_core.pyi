import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from v4l_dmabuf.dmabuf import DmaBuf
from v4l_dmabuf.probe import CardProbe, DeviceProbe
from v4l_dmabuf.report import Report
from v4l_dmabuf.runs import Progress

__all__ = [
    "Consumer",
    "Endpoint",
    "Feed",
    "Frame",
    "Plane",
    "Slot",
    "SlotPlane",
    "View",
    "Whole",
    "__version__",
    "close",
    "cpuid_hypervisor",
    "exit_within",
    "probe",
    "probe_cards",
    "under_way",
]

__version__: str

@final
class Endpoint:
    @staticmethod
    def sender(config: str) -> Endpoint: ...
    @staticmethod
    def receiver(config: str) -> Endpoint: ...
    @staticmethod
    def capture(config: str) -> Endpoint: ...
    def run(
        self,
        frames: int | None = None,
        progress: Progress | None = None,
        feed: Feed | None = None,
    ) -> Report: ...
    def stop(self) -> None: ...
    def abort(self) -> None: ...
    def listen(self) -> None: ...
    def unlisten(self) -> None: ...
    def subscribe(self, depth: int | None, policy: str) -> Consumer: ...
    def show(
        self,
        host: str,
        port: int,
        page: tuple[bytes, str],
        interval: float,
        width: int,
        figures: Callable[[], str],
    ) -> View | None: ...
    def end_consumers(self) -> None: ...
    def report(self) -> Report | None: ...
    def so_far(self) -> Report | None: ...
    def details(self) -> dict[str, Any] | None: ...
    def check_report(self, path: str | os.PathLike[str]) -> None: ...
    def write_report(self, path: str | os.PathLike[str], text: str, is_last: bool) -> None: ...

@final
class Consumer:
    def get(self, timeout: float | None) -> Frame | None: ...
    def take(self) -> Frame | None: ...
    @property
    def has_ended(self) -> bool: ...
    def fileno(self) -> int: ...
    @property
    def held(self) -> list[int]: ...
    @property
    def holds_all(self) -> bool: ...
    def told_of_held(self) -> str: ...
    def counts(self) -> dict[str, int]: ...
    def leave(self) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Frame: ...

@final
class Plane:
    """A memory plane of a frame, as ``struct v4l2_plane`` has it. Its buffer is its payload."""

    @property
    def bytesused(self) -> int:
        """Bytes of the frame's payload in it, without ``data_offset``."""
    @property
    def data_offset(self) -> int:
        """Bytes of the plane before the payload."""
    @property
    def length(self) -> int | None:
        """Bytes that a frame's payload has in it at most."""
    @property
    def bytesperline(self) -> int | None:
        """Bytes from one row to the next; None where nobody tells."""
    def fileno(self) -> int:
        """Give the descriptor of its memory, a DMABUF's or a memfd's, while the frame is held.

        Raises:
            ValueError: the frame was released.
            HeapError: the memory has no descriptor.

        """
    def __dlpack__(
        self,
        *,
        stream: object | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, buffer: memoryview, /) -> None: ...

@final
class Frame:
    """A frame: its pixels, for as long as they are held, and what is known of it.

    The pixels are the stream's buffer, which goes back when this object is gone or was released,
    and no view of it is left: no array, no memoryview. A frame of one memory plane is a buffer
    itself; each of `planes` is one.
    """

    @property
    def sequence(self) -> int:
        """The driver's number of it (v4l2_buffer.sequence)."""
    @property
    def timestamp_ns(self) -> int:
        """When it was captured (v4l2_buffer.timestamp): nanoseconds of the clock in `clock`."""
    @property
    def clock(self) -> str:
        """The clock of `timestamp_ns`, by the flags: ``monotonic``, ``copy`` or ``unknown``."""
    @property
    def flags(self) -> int:
        """``V4L2_BUF_FLAG_*`` (v4l2_buffer.flags)."""
    @property
    def field(self) -> str | None:
        """Which rows it has (v4l2_buffer.field), as V4L2 names it; None if that is unknown."""
    @property
    def bytesused(self) -> int:
        """Bytes of its payload, in all planes."""
    @property
    def index(self) -> int:
        """The number of its buffer (v4l2_buffer.index)."""
    @property
    def width(self) -> int:
        """Pixels."""
    @property
    def height(self) -> int:
        """Pixels."""
    @property
    def format(self) -> str:
        """The pixel format's fourcc."""
    @property
    def sizeimage(self) -> int:
        """Bytes that a frame of the stream has at most."""
    @property
    def counter(self) -> int:
        """Its number in its stream, from 0."""
    @property
    def gap(self) -> int:
        """Frames that are missing between the one that was given before it and it.

        By the driver's numbers: what the driver dropped, the sender, and this consumer's policy.
        """
    @property
    def error(self) -> bool:
        """Whether the driver flags it as possibly corrupt (V4L2_BUF_FLAG_ERROR)."""
    @property
    def dequeued_ns(self) -> int | None:
        """When the capturing side dequeued it, in nanoseconds of that side's CLOCK_MONOTONIC.

        None where that side doesn't tell.
        """
    @property
    def received_ns(self) -> int | None:
        """When it had come whole, in nanoseconds of CLOCK_MONOTONIC.

        None where it came by no network.
        """
    @property
    def planes(self) -> tuple[Plane, ...]:
        """Its memory planes."""
    def array(self) -> NDArray[np.uint8 | np.uint16]:
        """Give one NumPy array of the pixels: a view, read-only, and never a copy.

        (height, width, channels) of bytes where a pixel's bytes are channels (YUYV: 2, RGB3: 3,
        XR24: 4), (height, width) for grey and Bayer formats (16 bits: u2), (height * 3 / 2, width)
        for NV12 and unpadded YU12; one dimension for compressed and unknown formats.

        Raises:
            ValueError: the frame was released, is shorter than its format says, or is no one
                array: `arrays` has its planes.
            ImportError: there is no NumPy.

        """
    def arrays(self) -> tuple[NDArray[np.uint8 | np.uint16], ...]:
        """Give one NumPy array a colour plane: views, read-only, and never copies.

        Raises:
            ValueError: the frame was released, or is shorter than its format says.
            ImportError: there is no NumPy.

        """
    def dmabuf(self) -> DmaBuf:
        """Give descriptors of its memory, to hand to another process or library.

        Hold the frame until whoever has them is done.

        Raises:
            ValueError: the frame was released.
            HeapError: the memory has no descriptor: it is a copy, or a driver's that exports none.

        """
    def copy(self) -> Frame:
        """Give the same frame in ordinary memory, which holds no buffer.

        Raises:
            ValueError: the frame was released.
            HeapError: the DMABUF can't be read.

        """
    @property
    def is_copy(self) -> bool:
        """Whether it is in ordinary memory, by `copy`."""
    def release(self) -> bool:
        """Give the frame up, and say whether its buffer went back at once.

        Views that exist stay valid, and the buffer goes back when the last is gone. Never raises,
        and may be called again.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def __dlpack__(
        self,
        *,
        stream: object | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, buffer: memoryview, /) -> None: ...

@final
class Slot:
    """A buffer of a stream that a program fills: by `array`, `arrays` or its own buffer.

    Where the format has several memory planes (NM12 and kin), each of `planes` has its own.
    """

    timestamp_ns: int | None
    """When it was captured, in nanoseconds of CLOCK_MONOTONIC; None: when it is submitted."""
    sequence: int | None
    """Its number; None: the next."""
    @property
    def bytesused(self) -> int | tuple[int, ...] | None:
        """Bytes that are sent, of each memory plane where there are several; None: all.

        Raises:
            ValueError: when it is set: a plane has fewer, or the frame other planes.

        """
    @bytesused.setter
    def bytesused(self, used: int | Sequence[int] | None, /) -> None: ...
    @property
    def width(self) -> int:
        """Pixels."""
    @property
    def height(self) -> int:
        """Pixels."""
    @property
    def format(self) -> str:
        """The pixel format's fourcc."""
    @property
    def sizeimage(self) -> int:
        """Bytes of it, in all memory planes; at most those of a compressed frame."""
    @property
    def planes(self) -> tuple[SlotPlane, ...]:
        """Its memory planes."""
    def array(self) -> NDArray[np.uint8 | np.uint16]:
        """Give one NumPy array of it, in the shape of `Frame.array`, to write to.

        Raises:
            ValueError: the slot was submitted, or its format is no one array.
            ImportError: there is no NumPy.

        """
    def arrays(self) -> tuple[NDArray[np.uint8 | np.uint16], ...]:
        """Give one NumPy array a colour plane, to write to.

        Raises:
            ValueError: the slot was submitted.
            ImportError: there is no NumPy.

        """
    def release(self) -> None:
        """Give it back unsent. May be called again.

        Raises:
            BufferError: views of it are open.

        """
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, buffer: memoryview, /) -> None: ...

@final
class SlotPlane:
    """A memory plane of a slot. Its buffer is the whole of it, to write to."""

    @property
    def length(self) -> int:
        """Bytes of it."""
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, buffer: memoryview, /) -> None: ...

@final
class Feed:
    def __new__(cls) -> Self: ...
    def acquire(self, timeout: float | None) -> Slot | bool | None: ...
    def submit(
        self,
        what: Slot | Frame,
        timestamp_ns: int | None = None,
        sequence: int | None = None,
        bytesused: int | Sequence[int] | None = None,
    ) -> bool: ...
    def finish(self) -> None: ...
    def end(self) -> None: ...

@final
class View:
    @property
    def port(self) -> int: ...
    @property
    def is_local(self) -> bool: ...
    def end(self, last: str, patience: float) -> None: ...

@final
class Whole:
    def __new__(cls) -> Whole: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

def probe(
    device: str,
    width: int,
    height: int,
    format: str | None,  # noqa: A002
    loop: str | None,
    with_m2m: bool,
) -> DeviceProbe: ...
def probe_cards() -> list[CardProbe]: ...
def cpuid_hypervisor() -> str | None: ...
def under_way() -> list[str]: ...
def exit_within(seconds: float, status: int) -> None: ...
def close() -> None: ...
