"""The server of the page: it gives what is asked for, and holds a frame only while somebody asks.

A browser pulls: it asks for a picture when it has drawn the last. So nothing is buffered anywhere,
and a viewer that is slow or gone costs the stream nothing.
"""

import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from v4l_dmabuf import _core, values
from v4l_dmabuf.errors import AddressError
from v4l_dmabuf.report import Report
from v4l_dmabuf.view.handler import Handler, Server
from v4l_dmabuf.view.page import page

LOOKS_SECONDS = 2.0
"""Who has asked for no picture for so long looks no more."""

_PATIENCE = 1.0
"""Seconds that a question for the next picture waits, or for the viewers to hear of the end."""


_STOPPED_PATIENCE = 0.05

_AGAIN = 0.1


class View:
    """The page of a run. Make it before the run, so that the stream has a buffer for it."""

    def __init__(
        self,
        address: str,
        latest: _core.Latest,
        so_far: Callable[[], Report | None],
        *,
        fps: float,
        width: int,
        role: str,
    ) -> None:
        """Listen at ``address``, ``HOST:PORT``.

        Raises:
            AddressError: it can't be listened on.

        """
        self.host, port = values.host_and_port(address)
        self.role = role
        self._latest = latest
        self._so_far = so_far
        self._interval = 1 / fps
        self._width = width
        self._lock = threading.Lock()
        self._drawn_at = 0.0
        self._drawn: tuple[int, bytes] | None = None
        self._asked = 0.0
        self._is_looking = False
        self._final: dict[str, Any] | None = None
        self._told_final = threading.Event()
        self.page = page()
        try:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            self._server = Server(family, (self.host, port), Handler, self)
        except OSError as error:
            raise AddressError(
                f"show the stream at {address}: {error.strerror or error}; "
                "choose another address or port (--view)",
                errno=error.errno,
                strerror=error.strerror,
                filename=address,
            ) from error
        self.port = self._server.server_address[1]
        thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="v4l-dmabuf-view", daemon=True
        )
        thread.start()

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def is_local(self) -> bool:
        """Whether this machine alone reaches it."""
        return ipaddress.ip_address(str(self._server.server_address[0])).is_loopback

    def look_again(self) -> None:
        """Let go of the frame that nobody has asked for in a while."""
        with self._lock:
            if self._is_looking and time.monotonic() - self._asked > LOOKS_SECONDS:
                self._is_looking = False
                self._latest.look(False)

    def _begin_look(self) -> None:
        with self._lock:
            self._asked = time.monotonic()
            if not self._is_looking:
                self._is_looking = True
                self._latest.look(True)

    def picture(self, after: int | None) -> bytes | None:
        """Give a picture of the newest frame whose number is not ``after``: header and pixels.

        Waits for it, and until the interval has passed; None if there is none by then.

        Raises:
            FormatError: frames of this format are not shown.

        """
        self._begin_look()
        with self._lock:
            drawn, wait = self._drawn, self._drawn_at + self._interval - time.monotonic()
        if wait > 0:
            if drawn is not None and drawn[0] != after:
                # Another viewer's, which is as new as the interval allows.
                return drawn[1]
            time.sleep(wait)
        picture = self._latest.picture(after, _PATIENCE, self._width)
        if picture is None:
            # Of a stream that is over there is none at once: who asks is not to ask on and on.
            time.sleep(_AGAIN)
            return None
        counter, packed = _packed(picture)
        with self._lock:
            self._drawn, self._drawn_at = (counter, packed), time.monotonic()
        return packed

    def whole_picture(self) -> bytes | None:
        """Give a picture of the newest frame with all its pixels; None if there is none.

        Raises:
            FormatError: frames of this format are not shown.

        """
        self._begin_look()
        picture = self._latest.picture(None, _PATIENCE, 0xFFFF_FFFF)
        return None if picture is None else _packed(picture)[1]

    def whole(self) -> tuple[dict[str, Any], bytes] | None:
        """Give the newest frame's payload, and what it is; None if there is none."""
        self._begin_look()
        return self._latest.whole(_PATIENCE)

    def figures(self) -> str:
        """Give the report so far, or the final one, as JSON."""
        final = self._final
        if final is not None:
            self._told_final.set()
            return json.dumps(final)
        return json.dumps(self._figures("running", self._so_far()))

    def _figures(self, state: str, report: Report | None, error: str | None = None) -> Any:
        return {
            "state": state,
            "role": self.role,
            "version": _core.__version__,
            "report": None if report is None else asdict(report),
            "error": error,
        }

    @property
    def has_ended(self) -> bool:
        """Whether the run is over."""
        return self._final is not None

    def end(self, report: Report | None, error: BaseException | None) -> None:
        """Tell viewers the final figures, for which it waits a moment, and leave off."""
        told = None if error is None else str(error) or type(error).__name__
        self._final = self._figures("ended", report, told)
        may_wait = error is None or isinstance(error, Exception)
        if self._is_looking and may_wait:
            # Who stops a run waits for no viewer that does not ask at once.
            is_stopped = report is not None and report.stopped
            self._told_final.wait(_STOPPED_PATIENCE if is_stopped else _PATIENCE)
        self._server.shutdown()
        self._server.server_close()
        self._latest.look(False)


def _packed(picture: tuple[int, int, int, int, bytes]) -> tuple[int, bytes]:
    """Give a picture's number, and it behind a header of 16 bytes."""
    counter, _, width, height, rgb = picture
    header = counter.to_bytes(8, "little") + width.to_bytes(4, "little")
    return counter, header + height.to_bytes(4, "little") + rgb
