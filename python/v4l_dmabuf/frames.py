"""Frames as a program takes them: by iteration, one by one, or in an event loop."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Self

from v4l_dmabuf import _core, values
from v4l_dmabuf.errors import FramesHeldError, StreamEndedError

Frame = _core.Frame
Plane = _core.Plane

_YIELD_SECONDS = 0.001
"""How long frames that are there already may keep an event loop from its other tasks."""

_LOOK_SECONDS = 5.0
"""How often a task that waits looks whether it waits for itself: whether it holds all frames."""


@dataclass(frozen=True, kw_only=True)
class Deliveries:
    """Where the frames of a consumer went: received = delivered + consumer_drops + undelivered."""

    received: int
    """Frames that the stream offered it."""
    delivered: int
    """Frames that it took."""
    consumer_drops: int
    """Frames that were dropped by its policy, because it was slow or held too many."""
    undelivered: int
    """Frames that wait for it, or that waited when it was closed."""
    held: int
    """Of those that it took, frames whose buffers it still has."""


def _nothing() -> None:
    """End a stream whose end is somebody else's to tell of."""


class Subscription:
    """A consumer of a stream: gets all its frames, and drops by a policy of its own.

    Iterating ends with the stream. Each frame is given once, whichever of the ways and from
    whichever thread it is asked for.
    """

    def __init__(self, core: _core.Consumer, finish: Callable[[], None] = _nothing) -> None:
        self._core = core
        self._finish = finish

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            FramesHeldError: this consumer holds all buffers that it may, and has for 5 s.
            Error: the stream failed; after all frames that came before that.

        """
        yield from self._core
        self._finish()

    def get(self, timeout: float | None = None) -> Frame:
        """Give the next frame, for which it waits ``timeout`` seconds at most.

        Raises:
            NoFrameError: none came in time.
            StreamEndedError: none comes any more.
            FramesHeldError: none can come, since this consumer holds all buffers that it may:
                at the timeout, or after 5 s.
            Error: the stream failed; told once, after all frames that came before that.
            ValueError: ``timeout`` is less than 0.
            TypeError: ``timeout`` is no number.

        """
        if timeout is not None:
            timeout = values.seconds("timeout", timeout)
        frame = self._core.get(timeout)
        if frame is None:
            self._finish()
            raise StreamEndedError("take a frame: the stream has ended")
        return frame

    def fileno(self) -> int:
        """Give a descriptor that is readable when ``get(0)`` has a frame, an error or the end.

        It is this consumer's: poll it, and neither read nor close it.
        """
        return self._core.fileno()

    def __aiter__(self) -> AsyncIterator[Frame]:
        """Yield the frames in an event loop. A step that is cancelled takes no frame."""
        return _Steps(self._core, self._finish)

    @property
    def report(self) -> Deliveries:
        """Where the frames went so far."""
        return Deliveries(**self._core.counts())

    @property
    def held(self) -> list[int]:
        """The sequence numbers of the frames that are held, the longest held first."""
        return self._core.held

    def close(self) -> None:
        """Take no more frames. Those that are held stay valid. May be called again."""
        self._core.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Steps:
    """The steps of an ``async for``."""

    def __init__(self, core: _core.Consumer, finish: Callable[[], None]) -> None:
        self._core = core
        self._finish = finish
        self._yielded = 0.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        loop = asyncio.get_running_loop()
        if loop.time() - self._yielded > _YIELD_SECONDS:
            # Before the frame is taken: here the step may be cancelled.
            await asyncio.sleep(0)
            self._yielded = loop.time()
        while True:
            frame = self._core.take()
            if frame is not None:
                return frame
            if self._core.has_ended:
                await asyncio.to_thread(self._finish)
                raise StopAsyncIteration
            await self._readable(loop)
            self._yielded = loop.time()

    async def _readable(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until there is something, or raise if this consumer waits for itself."""
        # A descriptor of its own: a loop has one reader for each.
        descriptor = os.dup(self._core.fileno())
        ready = loop.create_future()
        look = loop.call_later(_LOOK_SECONDS, _settle, ready, False)
        try:
            loop.add_reader(descriptor, _settle, ready, True)
            if await ready:
                return
        finally:
            look.cancel()
            loop.remove_reader(descriptor)
            os.close(descriptor)
        if self._core.holds_all:
            raise FramesHeldError(self._core.told_of_held())


def _settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
