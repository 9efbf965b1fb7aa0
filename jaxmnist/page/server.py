"""Serves files from memory to this machine alone: there is no folder that a request could leave."""

import errno
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from jaxmnist.errors import UserError

LOOPBACK = "127.0.0.1"
SECONDS = 10  # that a client may be silent
CONNECTED = 60  # seconds that a connection may last, however slowly it talks
CONNECTIONS = 32  # at once
LONGEST = 2_000  # bytes of a path
TYPES = {".html": "text/html; charset=utf-8", ".bin": "application/octet-stream"}
HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Server(ThreadingHTTPServer):
    """Answers requests for some files, at an address of this machine."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes], port: int) -> None:
        """Binds the port; 0 is any that is free.

        Raises:
          UserError: if it cannot be bound.
        """
        self.files = files
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OverflowError:
            raise UserError(f"there is no port {port}: choose one from 0 to 65535.") from None
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"fails ({error.strerror})"
            raise UserError(f"port {port} {reason}: choose another one with --port.") from None

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        limit = threading.Timer(CONNECTED, _hang_up, [request])
        limit.daemon = True
        limit.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            limit.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a browser that went away or was too slow."""


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "jaxmnist", ""
    timeout = SECONDS

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def _answer(self, *, has_body: bool) -> None:
        if self.headers.get("Content-Length") or self.headers.get("Transfer-Encoding"):
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        # A page of another name that leads to this machine may not look in here.
        host = self.headers.get("Host", "").partition(":")[0].lower()  # port 80 is left out
        if host not in (LOOPBACK, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        if len(self.path) > LONGEST:
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            return
        try:
            name = unquote(urlsplit(self.path).path).removeprefix("/") or "index.html"
        except ValueError:  # an address with half a bracket
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        content = self.server.files.get(name)
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", TYPES[PurePosixPath(name).suffix])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if has_body:
            self.wfile.write(content)

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.close_connection = True  # what follows may be the rest of what was refused
        super().send_error(code, message, explain)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Keeps the terminal quiet."""
