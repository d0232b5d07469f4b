"""What gives frames by iterating: its stream runs beside the program."""

import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from v4l_dmabuf import _core
from v4l_dmabuf.config import CaptureConfig, ReceiverConfig
from v4l_dmabuf.endpoint import Endpoint
from v4l_dmabuf.frames import Deliveries, Frame, Subscription
from v4l_dmabuf.report import Report
from v4l_dmabuf.stream import Stream

S = TypeVar("S", bound=ReceiverConfig | CaptureConfig)


class Streaming(Endpoint[S]):
    """What gives frames by iterating: the stream runs on a thread of the core's.

    Outside of ``with`` it ends with the last reference to this.
    """

    _is_entered = False

    def __init__(self) -> None:
        self._stream: Stream[Report] | None = None
        # Of the last stream.
        self._taken: Subscription | None = None
        self._starting = threading.Lock()

    def _frames(self) -> Subscription:
        """Give the own consumer; the stream begins when it is first asked for."""
        with self._starting:
            if self._stream is None or self._taken is None:
                self._check_open()
                runs = self._runs
                consumer = runs.core.subscribe(None, self.config.on_overrun)
                try:
                    stream = Stream(runs.begin, runs.core.stop, runs.abort)
                except BaseException:
                    consumer.leave()
                    raise
                self._stream, self._taken = stream, Subscription(consumer, stream.finish)
                dropped = weakref.finalize(self, _let_end, consumer, stream)
                # The interpreter's end has a way of its own.
                dropped.atexit = False
            return self._taken

    def __iter__(self) -> Iterator[Frame]:
        """Run the stream, and yield its frames.

        In a ``with`` block the loop may be left and resumed: the stream goes on. Else it ends
        with the loop.

        Raises:
            FramesHeldError: the program holds all buffers, and has for 5 s.
            Error: the stream failed; after all frames that came before that.
            RuntimeError: it is running already or closed.

        """
        return self._iterate(self._frames())

    def _iterate(self, frames: Subscription) -> Iterator[Frame]:
        try:
            yield from frames
        finally:
            if not self._is_entered:
                self._end_stream()

    def __aiter__(self) -> AsyncIterator[Frame]:
        """As iterating, in an event loop. A step that is cancelled takes no frame."""
        return _Kept(self, aiter(self._frames()))

    def get(self, timeout: float | None = None) -> Frame:
        """Give the stream's next frame, as `Subscription.get` does."""
        return self._frames().get(timeout)

    def fileno(self) -> int:
        """Give a descriptor that is readable when ``get(0)`` has a frame, an error or the end."""
        return self._frames().fileno()

    @property
    def held(self) -> list[int]:
        """The sequence numbers of the frames that are held by those who iterate."""
        return [] if self._taken is None else self._taken.held

    @property
    def deliveries(self) -> Deliveries | None:
        """Where the frames went of those who iterate; None before the first is asked for."""
        return None if self._taken is None else self._taken.report

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None and self._taken is not None:
            self._taken.close()
            stream.stop()

    def close(self) -> None:
        """Stop the run and allow no other. Frames that are held stay valid.

        May be called again.
        """
        self._closed = True
        if self._stream is None:
            self._runs.core.stop()
        elif self._taken is not None:
            self._taken.close()
            self._stream.stop()

    def __enter__(self) -> Self:
        self._is_entered = True
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            # Whoever interrupts waits for no end of a frame.
            self._runs.abort()
        self.close()

    async def __aenter__(self) -> Self:
        import asyncio  # noqa: PLC0415 -- see Subscription.__aiter__

        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        import asyncio  # noqa: PLC0415 -- see Subscription.__aiter__

        await asyncio.to_thread(self.__exit__, kind, error, traceback)


class _Kept(AsyncIterator[Frame]):
    """Steps that keep what runs their stream."""

    def __init__(self, endpoint: object, steps: AsyncIterator[Frame]) -> None:
        self._endpoint = endpoint
        self._steps = steps

    def __anext__(self) -> Awaitable[Frame]:
        return anext(self._steps)


def _let_end(consumer: _core.Consumer, stream: Stream[Report]) -> None:
    """End the stream of an endpoint that nobody has any more. Whoever drops it does not wait."""
    consumer.leave()
    stream.let_end()
