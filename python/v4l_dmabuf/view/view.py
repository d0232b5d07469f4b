"""The page of a run, and the figures on it. The core serves both."""

import json
from dataclasses import asdict
from typing import Any

from v4l_dmabuf import _core, values
from v4l_dmabuf.report import Report
from v4l_dmabuf.view.page import page

_PATIENCE = 1.0
"""Seconds that viewers have to hear of the end."""

_STOPPED_PATIENCE = 0.05
"""The same, where somebody stopped the run: who does waits for no viewer."""


class View:
    """The page of a run."""

    def __init__(self, core: _core.View, host: str, role: str) -> None:
        self._core = core
        self._host = host
        self._role = role

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}/"

    @property
    def port(self) -> int:
        """Its port, which the kernel chose if none was asked for."""
        return self._core.port

    @property
    def is_local(self) -> bool:
        """Whether this machine alone reaches it."""
        return self._core.is_local

    def end(self, report: Report | None, error: BaseException | None) -> None:
        """Tell viewers the final figures, for which it waits a moment, and leave off."""
        told = None if error is None else str(error) or type(error).__name__
        is_hurried = (report is not None and report.stopped) or not (
            error is None or isinstance(error, Exception)
        )
        self._core.end(
            _figures("ended", self._role, report, told),
            _STOPPED_PATIENCE if is_hurried else _PATIENCE,
        )


def show(
    address: str,
    core: _core.Endpoint,
    *,
    fps: float,
    width: int,
    role: str,
) -> View | None:
    """Listen at ``address``, ``HOST:PORT``; None on a stop.

    To be called before the run, so that the stream has a buffer for it.

    Raises:
        AddressError: it can't be listened on.

    """
    host, port = values.host_and_port(address)
    shown = page()

    def so_far() -> str:
        return _figures("running", role, core.so_far())

    view = core.show(host, port, (shown.html, shown.policy), 1 / fps, width, so_far)
    return None if view is None else View(view, host, role)


def _figures(state: str, role: str, report: Report | None, error: str | None = None) -> str:
    told: dict[str, Any] = {
        "state": state,
        "role": role,
        "version": _core.__version__,
        "report": None if report is None else asdict(report),
        "error": error,
    }
    return json.dumps(told)
