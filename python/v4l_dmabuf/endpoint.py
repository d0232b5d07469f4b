"""`Sender` and `Receiver`, the two ends of a stream, and `Capture`, which has one end."""

import asyncio
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, Unpack

from v4l_dmabuf import _core as core
from v4l_dmabuf import values
from v4l_dmabuf.config import (
    FEED,
    CaptureConfig,
    Config,
    Overrun,
    ReceiverConfig,
    SenderConfig,
    overrun,
)
from v4l_dmabuf.errors import OutputError
from v4l_dmabuf.feed import Feed, Source, give_all
from v4l_dmabuf.frames import Deliveries, Frame, Subscription
from v4l_dmabuf.keywords import CaptureKeywords, ReceiverKeywords, SenderKeywords
from v4l_dmabuf.report import Report
from v4l_dmabuf.result import Recording
from v4l_dmabuf.stream import Stream

Progress = Callable[[Report], object]
"""Called twice a second during a run, with its state so far: the counts, and no ``stages``,
``offset`` or ``clock``, which the result has. What it raises ends the run."""

_LOGGER = logging.getLogger(__name__)

C = TypeVar("C")
G = TypeVar("G", bound=Config)
S = TypeVar("S", bound=ReceiverConfig | CaptureConfig)


class _Core(Protocol):
    def run(self, frames: int | None = None, progress: Progress | None = None) -> Report: ...
    def stop(self) -> None: ...
    def abort(self) -> None: ...
    def subscribe(self, depth: int | None, policy: str) -> core.Consumer: ...
    def end_consumers(self) -> None: ...
    def report(self) -> Report | None: ...
    def so_far(self) -> Report | None: ...
    def details(self) -> dict[str, Any] | None: ...
    def check_report(self, path: str | os.PathLike[str]) -> None: ...
    def write_report(self, path: str | os.PathLike[str], text: str, is_last: bool) -> None: ...


class _Endpoint(Generic[G]):
    """What both ends share."""

    _whole: core.Whole
    _core: _Core
    _closed = False
    _aborted = False
    _role: str
    config: G

    def run(self, frames: int | None = None, progress: Progress | None = None) -> Report:
        """Run until ``frames`` frames are done, the stream ends, or a stop.

        The interpreter's lock is released. Ctrl-C ends it within 100 ms with
        KeyboardInterrupt when it runs in the main thread. It may be called
        again for another stream. A report that is asked for is written
        however the run ends.

        Raises:
            Error: the run failed; which class tells how (see `v4l_dmabuf.errors`).
            ValueError: ``frames`` is less than 1.
            TypeError: ``frames`` is no whole number.
            RuntimeError: it is running already or closed, the interpreter is ending, or the
                kernel still keeps its last run, which was given up.

        """
        return self._begin(frames, progress)

    def _begin(self, frames: int | None, progress: Progress | None) -> Report:
        if frames is not None:
            frames = values.whole("frames", frames, least=1, most=(1 << 64) - 1)
        self._check_open()
        with self._whole:
            try:
                return self._run(frames, progress)
            finally:
                # Those of a run that could not begin wait as well.
                self._core.end_consumers()

    def subscribe(self, depth: int = 2, on_overrun: Overrun = "drop-oldest") -> Subscription:
        """Give one more consumer: it gets all frames of the run that goes on, or of the next.

        ``depth`` is how many frames it may have, those that wait for it and those that it holds.
        The stream gets as many buffers more, unless it runs already: then a consumer gets what
        can be spared.

        Raises:
            ValueError: ``depth`` is less than 1, or there is no such policy.
            TypeError: ``depth`` is no whole number.
            RuntimeError: this endpoint is closed.

        """
        depth = values.whole("depth", depth, least=1, most=1 << 16)
        policy = overrun("on_overrun", on_overrun)
        self._check_open()
        return Subscription(self._core.subscribe(depth, policy))

    @property
    def report(self) -> Report | None:
        """The state of the run that goes on, else what came of the last; None before the first."""
        return self._core.so_far()

    def _run(self, frames: int | None, progress: Progress | None) -> Report:
        self._aborted = False
        if self.config.report is None:
            return self._run_core(frames, progress)
        recording = Recording(self.config.report, self.config, self._role)
        may_record = True
        try:
            try:
                self._core.check_report(recording.path)
            except (OutputError, RuntimeError):
                # It can't be written, or there can be no run.
                may_record = False
                raise
            report = self._run_core(frames, progress)
        except BaseException as error:
            if not may_record:
                raise
            try:
                self._record(recording, frames, error)
            except OutputError as second:
                # Beside the error that ended the run, not instead of it.
                _LOGGER.error("%s", second)  # noqa: TRY400 -- one line for one error
            raise
        self._record(recording, frames, None)
        return report

    def _run_core(self, frames: int | None, progress: Progress | None) -> Report:
        return self._core.run(frames, progress)

    def _record(
        self, recording: Recording, frames: int | None, error: BaseException | None
    ) -> None:
        """Write what came of the run that is over."""
        report = self._core.report()
        text = recording.end(report, self._core.details(), frames, error)
        # Whoever interrupts a run, or stops it, waits for no reader of its report.
        is_last = self._aborted or (report is not None and report.stopped)
        is_last |= error is not None and not isinstance(error, Exception)
        try:
            self._core.write_report(recording.path, text, is_last)
        except OutputError as failure:
            failure.report = report
            raise

    def _abort(self) -> None:
        """End the run at once; its report is written if that takes no wait."""
        self._aborted = True
        self._core.abort()

    def stop(self) -> None:
        """End the run at the end of the frame that is under way, from any thread.

        If none is going on, the next one ends at once.
        """
        self._core.stop()

    def close(self) -> None:
        """Stop the run and allow no other. May be called again."""
        self._closed = True
        self._core.stop()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"this {type(self).__name__} is closed")

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Sender(_Endpoint[SenderConfig]):
    """Captures from a V4L2 device into DMABUFs and sends the frames to a receiver.

    Takes a `SenderConfig`, or its fields as keywords. Nothing is opened before
    `run`. With a ``source``, or by `feed`, the frames are the program's.
    """

    _role = "sender"

    def __init__(
        self,
        config: SenderConfig | None = None,
        /,
        *,
        source: Source | None = None,
        **fields: Unpack[SenderKeywords],
    ) -> None:
        """Make a sender.

        ``source`` gives the frames instead of a device: a callable gets a `Slot` to fill, once a
        frame, in the thread that calls `run`, until it returns False; an iterable yields buffers,
        which are copied in, or `Frame`s, which are sent as they are. What it raises ends the run.

        Raises:
            ValueError: a value is out of its range; or ``device``, ``memory`` or ``fps`` are given
                with a source, to which they mean nothing.
            TypeError: a value is of another type.

        """
        if source is not None and not (callable(source) or isinstance(source, Iterable)):
            raise TypeError(f"source is a callable or an iterable, not {source!r}")
        if source is not None and config is None:
            _check_fed(fields)
            fields["device"] = FEED
        config = _config(SenderConfig, config, fields)
        if source is not None and config.device != FEED:
            raise ValueError(f"device is {FEED!r} with a source, not {config.device!r}")
        self.config = config
        self._source = source
        self._fed_by: core.Feed | None = None
        self._sender = core.Sender(_as_json(self.config))
        self._core = self._sender
        self._whole = core.Whole()

    def run(self, frames: int | None = None, progress: Progress | None = None) -> Report:
        """Run as every endpoint does; with a source until that ends, too.

        Raises:
            ValueError: as every endpoint; the frames are to come by `feed`, and there is none.
            Exception: whatever the source raised.

        """
        if self.config.device != FEED:
            return super().run(frames, progress)
        if self._source is None:
            raise ValueError("this sender's frames are a program's: use feed(), or give a source")
        feed = self._feed(frames, progress)
        with feed:
            give_all(feed, self._source)
        report = self._core.report()
        assert report is not None  # noqa: S101 -- the run has ended
        return report

    def feed(self) -> Feed:
        """Give what this sender's frames are given to: the run begins with the first.

        Raises:
            ValueError: this sender has a device, or a source.
            RuntimeError: it is running already or closed.

        """
        if self.config.device not in {FEED, "/dev/video0"}:
            raise ValueError(f"this sender has a device: {self.config.device!r}")
        if self._source is not None:
            raise ValueError("this sender has a source")
        return self._feed(None, None)

    def _feed(self, frames: int | None, progress: Progress | None) -> Feed:
        self._check_open()
        fed_by = core.Feed()

        def run() -> Report:
            self._fed_by = fed_by
            try:
                return self._begin(frames, progress)
            finally:
                fed_by.end()

        return Feed(fed_by, Stream(run, self._core.stop, self._abort))

    def _run_core(self, frames: int | None, progress: Progress | None) -> Report:
        return self._sender.run(frames, progress, self._fed_by)

    def subscribe(self, depth: int = 2, on_overrun: Overrun = "drop-oldest") -> Subscription:
        """Give a tap: a consumer that sees what is sent, after it was handed to the network.

        Raises:
            ValueError: as every endpoint's, and for ``block``: a tap never slows the stream.
            TypeError: ``depth`` is no whole number.
            RuntimeError: this sender is closed.

        """
        if on_overrun == "block":
            raise ValueError("on_overrun block would slow the stream, which a tap never does")
        return super().subscribe(depth, on_overrun)


class _Streaming(_Endpoint[S]):
    """What gives frames by iterating: the stream runs on a thread of the core's."""

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
                consumer = self._core.subscribe(None, self.config.on_overrun)
                try:
                    self._stream = Stream(self.run, self._core.stop, self._abort)
                except BaseException:
                    consumer.leave()
                    raise
                self._taken = Subscription(consumer, self._stream.finish)
            assert self._taken is not None  # noqa: S101 -- made with the stream
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
        return aiter(self._frames())

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
            self._core.stop()
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
            self._abort()
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, traceback)


class Capture(_Streaming[CaptureConfig]):
    """Captures from a V4L2 device into DMABUFs, for this program alone.

    Takes a `CaptureConfig`, or its fields as keywords. Nothing is opened before the first frame
    is asked for, or before `run`.
    """

    _role = "capture"

    def __init__(
        self, config: CaptureConfig | None = None, /, **fields: Unpack[CaptureKeywords]
    ) -> None:
        super().__init__()
        self.config = _config(CaptureConfig, config, fields)
        self._core = core.Capture(_as_json(self.config))
        self._whole = core.Whole()


class Receiver(_Streaming[ReceiverConfig]):
    """Receives a stream into DMABUFs: gives its frames, or writes them to a file or a pipe.

    Takes a `ReceiverConfig`, or its fields as keywords. As a context manager
    it listens from the beginning, so that a sender may be started.
    """

    _role = "receiver"

    def __init__(
        self, config: ReceiverConfig | None = None, /, **fields: Unpack[ReceiverKeywords]
    ) -> None:
        super().__init__()
        self.config = _config(ReceiverConfig, config, fields)
        self._receiver = core.Receiver(_as_json(self.config))
        self._core = self._receiver
        self._whole = core.Whole()

    def listen(self) -> None:
        """Bind and listen now rather than in `run`. May be called again.

        After `stop` it leaves that off: the stop is the next run's, which ends at once.

        Raises:
            AddressError: the address can't be listened on.

        """
        self._check_open()
        self._receiver.listen()

    def close(self) -> None:
        """Stop the run, let the address go, and allow no other run. May be called again."""
        super().close()
        self._receiver.unlisten()

    def __enter__(self) -> Self:
        self.listen()
        return super().__enter__()


def _check_fed(fields: Mapping[str, Any]) -> None:
    """Refuse what means nothing to a sender whose frames are a program's."""
    for name in ("device", "memory", "fps"):
        if name in fields:
            raise ValueError(f"{name} means nothing with a source: the frames are the program's")


def _as_json(config: Config) -> str:
    return json.dumps(asdict(config))


def _config(cls: type[C], config: C | None, fields: Mapping[str, Any]) -> C:
    if config is None:
        return cls(**fields)
    if fields:
        raise TypeError(f"give a {cls.__name__} or keywords, not both")
    if not isinstance(config, cls):
        raise TypeError(f"give a {cls.__name__}, not {config!r}")
    return config
