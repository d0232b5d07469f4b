"""A program as the source: it fills buffers that are sent, or passes frames on."""

import weakref
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from v4l_dmabuf import _core, values
from v4l_dmabuf.errors import FormatError, NoFrameError, StreamEndedError
from v4l_dmabuf.report import Report
from v4l_dmabuf.stream import Stream

Slot = _core.Slot

Source = Callable[[Slot], object] | Iterable[Any]
"""What gives a sender its frames.

Called once a frame with a `Slot` to fill, until it returns False; or an iterable of buffers, which
are copied in, and of `Frame`s, which are sent as they are.
"""


class Feed:
    """Gives a sender its frames, one by one. The stream begins with the first and ends with this.

    As a context manager it waits at the end until the receiver has all frames.
    """

    def __init__(self, core: _core.Feed, stream: Stream[Report]) -> None:
        self._core = core
        self._stream = stream
        self._is_closed = False
        # Who drops it without a word gives no more.
        weakref.finalize(self, core.finish).atexit = False

    def acquire(self, timeout: float | None = None) -> Slot:
        """Give a free buffer to fill, for which it waits ``timeout`` seconds at most.

        The stream's size and format are then the settings'.

        Raises:
            NoFrameError: none is free in time: the network is slower than this program.
            StreamEndedError: the stream is over: the receiver has had enough, or a stop came.
            Error: the stream failed; told once.

        """
        if timeout is not None:
            timeout = values.seconds("timeout", timeout)
        slot = self._core.acquire(timeout)
        if slot is None:
            self._raise_end()
        if not isinstance(slot, Slot):
            raise NoFrameError(f"acquire a slot: none was free for {timeout} s")
        return slot

    def submit(
        self,
        frame: Slot | _core.Frame,
        *,
        timestamp_ns: int | None = None,
        sequence: int | None = None,
        bytesused: int | Sequence[int] | None = None,
    ) -> None:
        """Send a slot that was filled, or a frame that was received or captured, as it is.

        A frame is sent from the buffer that it is in, without a copy, and with what is known of
        it. Release it afterwards: the buffer is held until it has left. The first frame sets the
        stream's format, where no slot was acquired before. ``timestamp_ns`` (CLOCK_MONOTONIC),
        ``sequence`` and ``bytesused`` (of each memory plane, where there are several) replace what
        the slot or the frame says. A compressed frame in a slot needs ``bytesused``.

        Raises:
            BufferError: views of the slot are open, by which what is sent could change.
            FormatError: the frame is not what the stream's frames are.
            ValueError: the frame was released, the slot submitted, or ``bytesused`` is too much,
                or missing.
            TypeError: it is neither a slot nor a frame.
            StreamEndedError: the stream is over: the receiver has had enough, or a stop came.
            Error: the stream failed; told once.

        """
        if isinstance(frame, _core.Frame) and frame.is_copy:
            slot = self.acquire()
            if _picture(frame) != _picture(slot):
                raise FormatError(
                    f"send a frame: it is {_picture(frame)}, and the stream is {_picture(slot)}"
                )
            used = [
                _copy(given, own) for given, own in zip(frame.planes, slot.planes, strict=True)
            ]
            self.submit(slot, timestamp_ns=timestamp_ns, sequence=sequence, bytesused=used)
            return
        if not self._core.submit(frame, timestamp_ns, sequence, bytesused):
            self._raise_end()

    def send(
        self, data: Any, timestamp_ns: int | None = None, sequence: int | None = None
    ) -> None:
        """Copy a buffer's bytes into a slot and send it: bytes, an array, what has a buffer.

        Where a frame has several memory planes, they follow each other in the buffer.

        Raises:
            ValueError: it is longer than a frame.
            Error: as `acquire` and `submit` raise.

        """
        with memoryview(data) as view, view.cast("B") as given:
            slot = self.acquire()
            if given.nbytes > slot.sizeimage:
                raise ValueError(f"a frame has {slot.sizeimage} bytes at most, not {given.nbytes}")
            used, begin = [], 0
            for plane in slot.planes:
                with given[begin : begin + plane.length] as part:
                    used.append(_copy(part, plane))
                begin += plane.length
        self.submit(slot, timestamp_ns=timestamp_ns, sequence=sequence, bytesused=used)

    def _raise_end(self) -> None:
        self._stream.finish()
        raise StreamEndedError("send a frame: the stream is over")

    def close(self) -> None:
        """End the stream after the frames that were given, and wait until they have arrived.

        May be called again.

        Raises:
            Error: the stream failed, and nobody was told yet.

        """
        if not self._is_closed:
            self._is_closed = True
            self._core.finish()
            self._stream.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._is_closed = True
            self._core.finish()
            self._stream.stop(kind)


def _picture(frame: _core.Frame | Slot) -> str:
    return f"{frame.width}x{frame.height} {frame.format}, {len(frame.planes)} memory planes"


def _copy(given: Any, plane: _core.SlotPlane) -> int:
    """Copy a buffer into a plane that has room for it; say how many bytes."""
    with memoryview(given) as read, memoryview(plane) as written:
        if read.nbytes > written.nbytes:
            raise ValueError(f"a plane has {written.nbytes} bytes at most, not {read.nbytes}")
        written[: read.nbytes] = read
        return read.nbytes


def give_all(feed: Feed, source: Source) -> None:
    """Give a source's frames until it ends, or the stream does."""
    try:
        if callable(source):
            while True:
                slot = feed.acquire()
                if source(slot) is False:
                    slot.release()
                    return
                feed.submit(slot)
        for item in source:
            if isinstance(item, _core.Frame | Slot):
                feed.submit(item)
            else:
                feed.send(item)
    except StreamEndedError:
        # The run has what it wanted.
        return
