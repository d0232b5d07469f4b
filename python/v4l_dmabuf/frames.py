"""Frames as a program takes them: by iteration, one by one, or in an event loop."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Self

from v4l_dmabuf import _core, values
from v4l_dmabuf.errors import StreamEndedError

Frame = _core.Frame
Plane = _core.Plane


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
        # asyncio is a third of what it takes to import the package; a loop has it already.
        from v4l_dmabuf.steps import Steps  # noqa: PLC0415

        return Steps(self._core, self._finish)

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
