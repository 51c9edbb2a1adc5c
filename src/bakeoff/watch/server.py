"""The page over HTTP: on this machine's loopback alone, to be read only, and nothing of the file system behind it."""

from __future__ import annotations

import errno
import json
import re
import sys
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

from bakeoff.errors import StudyError
from bakeoff.watch.board import Board
from bakeoff.watch.live import security_policy, waiting_page
from bakeoff.watch.monitor import Monitor
from bakeoff.watch.pages import Pages

ADDRESS = "127.0.0.1"

PORT = 8765
"""The port if no other is asked for; the next free one if another program has it."""

PORTS_TRIED = 20

PATIENCE = 30
"""Seconds for a client to send its request, or to take what it is sent."""

OWN_NAMES = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
"""What a browser may call this server. A page of a stranger whose name was made to point here (DNS rebinding) calls it
otherwise. Any port, because one may be forwarded by ssh."""


class WatchServer(ThreadingHTTPServer):
    """Serves the live page of one study folder until it is closed.

    Args:
        folder: The study's; it need not exist yet.
        draw: Returns the page of what is in the folder now, given its version.
        scripts: The texts of the page's own inline scripts: no others run.
        port: Where to listen; 0 for any that is free, None for the usual one or one of the next.

    Raises:
        StudyError: If the port cannot be had.
    """

    daemon_threads = True
    allow_reuse_port = False
    allow_reuse_address = sys.platform != "win32"  # there it would let two servers share a port
    request_queue_size = 32

    def __init__(
        self, folder: Path, draw: Callable[[str], str], *, scripts: Sequence[str] = (), port: int | None = None
    ) -> None:
        self.policy = security_policy(scripts)
        self.scripts = scripts
        self.board = Board()
        self._monitor = Monitor(folder, self.board)
        self.pages = Pages(draw, lambda: self._monitor.version, self.board)
        self._bind_to(port)
        self._monitor.start()
        self.pages.start()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def server_bind(self) -> None:
        """Bind without asking a name server what 127.0.0.1 is called, which takes seconds on some machines."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, int(self.server_address[1])

    def close(self) -> None:
        """Let go of the port and of all who wait."""
        self.board.close()
        self._monitor.stop()
        self.pages.stop()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that go away in the middle; tell of all else."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    def _bind_to(self, port: int | None) -> None:
        wanted = [port] if port is not None else [*range(PORT, PORT + PORTS_TRIED), 0]
        for one in wanted:
            try:
                super().__init__((ADDRESS, one), _Handler)
            except OSError as error:
                if error.errno == errno.EADDRINUSE and one != wanted[-1]:
                    continue
                raise _port_error(one, error) from error
            return


def _port_error(port: int, error: OSError) -> StudyError:
    if error.errno == errno.EADDRINUSE:
        return StudyError(
            f"--port takes a port that is free, but another program listens on {port}; give another, or leave it out to take "
            "the next free one"
        )
    if error.errno == errno.EACCES:
        return StudyError(
            f"--port takes a port that you may listen on, but {port} needs more rights; take one above 1023"
        )
    return StudyError(f"--port takes a port of this machine, but {port} cannot be had ({error.strerror}); give another")


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: WatchServer
    server_version = "bakeoff"
    sys_version = ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        routes = {
            "/": self._send_page,
            "/renewed": self._send_renewed,
            "/events": self._send_events,
            "/progress": self._send_progress,
        }
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not OWN_NAMES.fullmatch(hosts[0].strip()):
            self._refuse(HTTPStatus.FORBIDDEN, "this page is only for this machine: open it as localhost or 127.0.0.1")
            return
        try:
            route = routes.get(urlsplit(self.path).path)
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        if route is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is only one page here: /")
            return
        route()

    def _refuse_method(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "this page can only be read: GET")

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse_method  # noqa: N815

    def _send_page(self) -> None:
        page = self.server.pages.page()
        html = waiting_page(self.server.board.news.reason) if page is None else page.html
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", html.encode())

    def _send_renewed(self) -> None:
        """Send the page to one who has it already: without the scripts, which are nearly all of its size."""
        page = self.server.pages.page()
        if page is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no page yet")
            return
        html = page.html
        for script in self.server.scripts:
            html = html.replace(script, "")
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", html.encode())

    def _send_progress(self) -> None:
        body = json.dumps(self.server.board.news.plain(), allow_nan=False).encode()
        self._send(HTTPStatus.OK, "application/json", body)

    def _send_events(self) -> None:
        """Send the news, as server-sent events, until the client has gone or the server ends."""
        self._begin(HTTPStatus.OK, "text/event-stream; charset=utf-8")
        known = -1
        with self.server.pages.looked_at():
            while (news := self.server.board.wait(known)) is not None:
                self.wfile.write(f"data: {json.dumps(news.plain(), allow_nan=False)}\n\n".encode())
                known = news.number

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self._begin(status, kind, length=len(body))
        self.wfile.write(body)

    def _begin(self, status: HTTPStatus, kind: str, *, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", self.server.policy)
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.send_header("Connection", "close")
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what http.server itself cannot make out, without repeating any of it."""
        self._refuse(HTTPStatus(code), HTTPStatus(code).description)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True
        self._send(status, "text/plain; charset=utf-8", f"{status.value} {status.phrase}: {reason}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal quiet."""
