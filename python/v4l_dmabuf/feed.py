"""A program as the source: it fills buffers that are sent, or passes frames on."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from v4l_dmabuf import _core, values
from v4l_dmabuf.errors import NoFrameError, StreamEndedError
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
        bytesused: int | None = None,
    ) -> None:
        """Send a slot that was filled, or a frame that was received or captured, as it is.

        A frame is sent from the buffer that it is in, without a copy, and with what is known of
        it. Release it afterwards: the buffer is held until it has left. The first frame sets the
        stream's format, where no slot was acquired before. ``timestamp_ns`` (CLOCK_MONOTONIC),
        ``sequence`` and ``bytesused`` (of one plane) replace what the slot or the frame says.

        Raises:
            BufferError: views of the slot are open, by which what is sent could change.
            FormatError: the frame is not what the stream's frames are.
            ValueError: the frame was released, the slot submitted, or ``bytesused`` is too much.
            TypeError: it is neither a slot nor a frame.
            StreamEndedError: the stream is over: the receiver has had enough, or a stop came.
            Error: the stream failed; told once.

        """
        if isinstance(frame, _core.Frame) and frame.is_copy:
            with memoryview(frame) as view:
                self.send(view, timestamp_ns, sequence)
            return
        if not self._core.submit(frame, timestamp_ns, sequence, bytesused):
            self._raise_end()

    def send(
        self, data: Any, timestamp_ns: int | None = None, sequence: int | None = None
    ) -> None:
        """Copy a buffer's bytes into a slot and send it: bytes, an array, what has a buffer.

        Raises:
            ValueError: it is longer than a frame.
            Error: as `acquire` and `submit` raise.

        """
        with memoryview(data) as view, view.cast("B") as given:
            slot = self.acquire()
            with memoryview(slot) as own:
                if given.nbytes > own.nbytes:
                    raise ValueError(f"a frame has {own.nbytes} bytes at most, not {given.nbytes}")
                own[: given.nbytes] = given
            bytesused = given.nbytes
        self.submit(slot, timestamp_ns=timestamp_ns, sequence=sequence, bytesused=bytesused)

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
