"""`Sender`: a device's frames, or a program's, to a receiver."""

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from v4l_dmabuf import _core as core
from v4l_dmabuf.config import FEED, Overrun, SenderConfig
from v4l_dmabuf.endpoint import Endpoint, as_json, configuration
from v4l_dmabuf.feed import Feed, Source, give_all
from v4l_dmabuf.frames import Subscription
from v4l_dmabuf.keywords import SenderKeywords
from v4l_dmabuf.report import Report
from v4l_dmabuf.runs import Progress, Runs
from v4l_dmabuf.stream import Stream


class Sender(Endpoint[SenderConfig]):
    """Captures from a V4L2 device into DMABUFs and sends the frames to a receiver.

    Takes a `SenderConfig`, or its fields as keywords. Nothing is opened before
    `run`. With a ``source``, or by `feed`, the frames are the program's.
    """

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
        config = configuration(SenderConfig, config, fields)
        if source is not None and config.device != FEED:
            raise ValueError(f"device is {FEED!r} with a source, not {config.device!r}")
        self.config = config
        self._source = source
        self._sender = core.Endpoint.sender(as_json(self.config))
        self._runs = Runs(self._sender, self.config, "sender")

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
        report = self._sender.report()
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

        def run_core(frames: int | None, progress: Progress | None) -> Report:
            return self._sender.run(frames, progress, fed_by)

        def run() -> Report:
            try:
                return self._runs.begin(frames, progress, run_core)
            finally:
                fed_by.end()

        return Feed(fed_by, Stream(run, self._sender.stop, self._runs.abort))

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


def _check_fed(fields: Mapping[str, Any]) -> None:
    """Refuse what means nothing to a sender whose frames are a program's."""
    for name in ("device", "memory", "fps"):
        if name in fields:
            raise ValueError(f"{name} means nothing with a source: the frames are the program's")
