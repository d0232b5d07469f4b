"""What is answered to whom: HTTP, for browsers on this machine."""

import ipaddress
import json
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from v4l_dmabuf._core import __version__
from v4l_dmabuf.errors import Error

if TYPE_CHECKING:
    from v4l_dmabuf.view.server import View

_MOST_REQUESTS = 16
"""Requests at a time; whoever is one too many is turned away."""

_MOST_DIGITS = 20
"""Of a number of 64 bits."""

_SLOW_SECONDS = 10.0
"""How long a viewer may take for a piece of what it reads or writes."""


class Server(ThreadingHTTPServer):
    """Threads that are bounded, and end with the process."""

    daemon_threads = True
    # Nobody waits for a viewer that does not read.
    block_on_close = False

    def __init__(
        self, family: int, address: tuple[str, int], handler: type["Handler"], view: "View"
    ) -> None:
        self.address_family = family
        self.view = view
        self._room = threading.BoundedSemaphore(_MOST_REQUESTS)
        super().__init__(address, handler)

    def service_actions(self) -> None:
        """See to what is due: called every tenth of a second."""
        self.view.look_again()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, if there is room for it."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave out what a viewer that went away means."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server_version = f"v4l-dmabuf/{__version__}"
    sys_version = ""
    timeout = _SLOW_SECONDS

    @property
    def _view(self) -> "View":
        assert isinstance(self.server, Server)  # noqa: S101 -- it makes these alone
        return self.server.view

    def setup(self) -> None:
        """Have each answer leave at once."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing: the terminal is the stream's."""

    def __getattr__(self, name: str) -> Any:
        # Every method but GET: http.server asks for do_NAME.
        if name.startswith("do_"):
            return self._refuse_method
        raise AttributeError(name)

    def _refuse_method(self) -> None:
        self.close_connection = True
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"GET only\n", Allow="GET")

    def do_GET(self) -> None:
        """Answer what is asked for."""
        if not self._is_meant():
            self.close_connection = True
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"not by this name\n")
            return
        url = urlsplit(self.path)
        paths = {
            "/": self._page,
            "/frame": self._frame,
            "/frame.raw": self._raw,
            "/figures": self._figures,
        }
        give = paths.get(url.path)
        if give is None:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there is no such page\n")
            return
        try:
            give(parse_qs(url.query, keep_blank_values=True))
        except Error as error:
            text = f"{error}\n".encode()
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "text/plain; charset=utf-8", text)

    def _is_meant(self) -> bool:
        """Tell whoever means this machine from a page elsewhere that had its name resolved to it.

        Such a page has a name of its own in the address: an IP address can't be one.
        """
        if self.headers.get("Sec-Fetch-Site") == "cross-site":
            return False
        try:
            host = urlsplit("//" + self.headers.get("Host", "")).hostname or ""
        except ValueError:
            return False
        return host in {"localhost", self._view.host} or _is_literal(host)

    def _page(self, _query: dict[str, list[str]]) -> None:
        page = self._view.page
        self._answer(
            HTTPStatus.OK,
            "text/html; charset=utf-8",
            page.html,
            Content_Security_Policy=page.policy,
        )

    def _frame(self, query: dict[str, list[str]]) -> None:
        view = self._view
        if "whole" in query:
            picture = view.whole_picture()
        else:
            (after,) = query.get("after", ["-1"])[:1]
            is_number = after.isdecimal() and len(after) < _MOST_DIGITS
            picture = view.picture(int(after) if is_number else None)
        if picture is None:
            self._answer(HTTPStatus.NO_CONTENT, None, b"")
        else:
            self._answer(HTTPStatus.OK, "application/octet-stream", picture)

    def _raw(self, _query: dict[str, list[str]]) -> None:
        whole = self._view.whole()
        if whole is None:
            self._answer(HTTPStatus.NO_CONTENT, None, b"")
            return
        about, payload = whole
        told = {f"X-Frame-{name.replace('_', '-').title()}": it for name, it in about.items()}
        fields = {
            name.replace("-", "_"): it if isinstance(it, str) else json.dumps(it)
            for name, it in told.items()
        }
        self._answer(HTTPStatus.OK, "application/octet-stream", payload, **fields)

    def _figures(self, _query: dict[str, list[str]]) -> None:
        text = self._view.figures().encode()
        self._answer(HTTPStatus.OK, "application/json", text)

    def _answer(self, status: HTTPStatus, kind: str | None, body: bytes, **more: str) -> None:
        self.send_response(status)
        if kind is not None:
            self.send_header("Content-Type", kind)
        fixed = {
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Stream": "ended" if self._view.has_ended else "running",
        }
        if "Content_Security_Policy" not in more:
            fixed["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
        for name, value in (fixed | more).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
