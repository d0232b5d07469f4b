"""What all endpoints share: runs, their reports, and those who take their frames."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from v4l_dmabuf import values
from v4l_dmabuf.config import Config, Overrun, overrun
from v4l_dmabuf.frames import Subscription
from v4l_dmabuf.report import Report
from v4l_dmabuf.runs import Progress, Runs

C = TypeVar("C")
G = TypeVar("G", bound=Config)


class Endpoint(Generic[G]):
    """What all endpoints share."""

    _runs: Runs
    _closed = False
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
        self._check_open()
        return self._runs.begin(frames, progress)

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
        return Subscription(self._runs.core.subscribe(depth, policy))

    @property
    def report(self) -> Report | None:
        """The state of the run that goes on, else what came of the last; None before the first."""
        return self._runs.core.so_far()

    def stop(self) -> None:
        """End the run at the end of the frame that is under way, from any thread.

        If none is going on, the next one ends at once.
        """
        self._runs.core.stop()

    def close(self) -> None:
        """Stop the run and allow no other. May be called again."""
        self._closed = True
        self._runs.core.stop()

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


def as_json(config: Config) -> str:
    """Give a configuration as the core takes it."""
    return json.dumps(asdict(config))


def configuration(cls: type[C], config: C | None, fields: Mapping[str, Any]) -> C:
    """Give the configuration that was given whole or by its fields."""
    if config is None:
        return cls(**fields)
    if fields:
        raise TypeError(f"give a {cls.__name__} or keywords, not both")
    if not isinstance(config, cls):
        raise TypeError(f"give a {cls.__name__}, not {config!r}")
    return config
