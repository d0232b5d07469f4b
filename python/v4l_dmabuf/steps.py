"""Frames in an event loop."""

import asyncio
import os
from collections.abc import Callable
from typing import Self

from v4l_dmabuf import _core
from v4l_dmabuf.errors import FramesHeldError

_YIELD_SECONDS = 0.001
"""How long frames that are there already may keep an event loop from its other tasks."""

_LOOK_SECONDS = 5.0
"""How often a task that waits looks whether it waits for itself: whether it holds all frames."""


class Steps:
    """The steps of an ``async for``."""

    def __init__(self, core: _core.Consumer, finish: Callable[[], None]) -> None:
        self._core = core
        self._finish = finish
        self._yielded = 0.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _core.Frame:
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
