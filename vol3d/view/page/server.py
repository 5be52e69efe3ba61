"""A web server for one user on one machine.

Others on the machine can reach 127.0.0.1 too, and a page on the internet can have a browser ask it by a name that it
makes point here. So a random token leads every path, the Host header must name this machine whatever is asked, and
nothing but the listed paths exists; whatever is wrong gets the same answer, 404. A request has some seconds and some
kB, and only some dozens are answered at a time.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from vol3d.errors import UsageError
from vol3d.view.page.buffers import Buffer
from vol3d.view.page.payload import Payload

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Any port: the user's end of the SSH tunnel may have another one.
_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?", re.IGNORECASE)
_FRAME = re.compile(r"frame/(\d{1,9})/(.*)")
REQUEST_S, ANSWER_S = 10.0, 60.0
REQUEST_BYTES = 16 << 10
CONNECTIONS = 48


class PageServer(ThreadingHTTPServer):
    """Serves the page and one payload on 127.0.0.1; a context manager that closes it.

    Args:
        payload: the scene.
        port: None takes a free one.
        frames: number -> makes the scene of a cloud of a recording, below `frame/NUMBER/`.

    Raises:
        UsageError: the port is taken, not allowed, or not one.
    """

    daemon_threads = True
    request_queue_size = 32
    allow_reuse_address = os.name != "nt"  # there it would share a port that another program listens on

    def __init__(
        self, payload: Payload, port: int | None = None, frames: Mapping[int, Callable[[], Payload]] | None = None
    ) -> None:
        self.payload, self.frames = payload, {} if frames is None else frames
        self.token = secrets.token_urlsafe(24)
        # A browser's command line can be read by every user, so the address in it opens the page only once.
        self.ticket: str | None = secrets.token_urlsafe(24)
        self.description = payload.json()
        self.files = static_files()
        self.policy = content_policy(self.files["index.html"])
        self.free = threading.BoundedSemaphore(CONNECTIONS)
        if port is not None and not 0 < port < 1 << 16:
            raise UsageError("not a port", where="--port", got=port, wanted="1 to 65535")
        try:
            super().__init__(("127.0.0.1", port or 0), _Handler)
        except OSError as error:
            what = {errno.EADDRINUSE: "the port is taken", errno.EACCES: "the port is not allowed"}
            do = "Choose another one, or none to get one that is free."
            reason = what.get(error.errno or 0, f"the port cannot be used ({error.strerror})")
            raise UsageError(reason, where="--port", got=port, do=do) from error

    @property
    def url(self) -> str:
        """The page's address with its token."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    @property
    def ticket_url(self) -> str:
        """An address that leads to the page once."""
        return f"http://127.0.0.1:{self.server_port}/{self.ticket}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, if there is one left; else the connection is closed."""
        if self.free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What the thread does."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A tab that was closed while it loaded is no fault; everything else is reported as usual."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def static_files() -> dict[str, bytes]:
    """The page's files by their path; there are no others."""
    files = (path for path in _STATIC.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(_STATIC).as_posix(): path.read_bytes() for path in files}


def content_policy(html: bytes) -> str:
    """What the page may load: its own files, and the import map that stands in it, by its hash."""
    inline = re.findall(rb"<script type=\"importmap\">(.*?)</script>", html, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in inline]
    scripts = " ".join(["'self'", *(f"'sha256-{value}'" for value in hashes)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "vol3d", ""
    pending = b""
    headers: Any = None  # until a request was understood

    def handle_one_request(self) -> None:
        """One request, of which everything is there before any of it is looked at."""
        self.headers = None
        self.rfile = io.BytesIO(self._receive())
        self.connection.settimeout(ANSWER_S)
        super().handle_one_request()

    def _receive(self) -> bytes:
        """The next request up to its empty line; nothing if it comes too slowly, is too long or does not come."""
        ends = time.monotonic() + REQUEST_S
        while (end := self.pending.find(b"\r\n\r\n") + 4) < 4:
            left = ends - time.monotonic()
            if left <= 0 or len(self.pending) > REQUEST_BYTES:
                return b""
            self.connection.settimeout(left)
            try:
                piece = self.connection.recv(4096)
            except OSError:
                return b""
            if not piece:
                return b""
            self.pending += piece
        request, self.pending = self.pending[:end], self.pending[end:]
        return request

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no request gets the answer that everything gets, and no page that repeats it."""
        self.close_connection, self.request_version = True, self.protocol_version
        self._send(code if code == 501 and self._is_for_this_machine() else 404, b"", "text/plain", False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        path = re.split("[?#]", self.path, maxsplit=1)[0]
        if not self._is_for_this_machine() or self.request_version == "HTTP/0.9" or _has_body(self.headers):
            self.close_connection = True
            self._send(404, b"", "text/plain", body)
        elif self.server.ticket and secrets.compare_digest(path.encode(), f"/{self.server.ticket}".encode()):
            self.server.ticket = None
            self._send(302, b"", "text/plain", body, location=f"/{self.server.token}/")
        elif (found := self._find(path)) is not None:
            self._send(200, *found, body)
        else:
            self._send(404, b"", "text/plain", body)

    def _is_for_this_machine(self) -> bool:
        hosts = self.headers.get_all("Host", []) if self.headers else []
        return len(hosts) == 1 and _HOST.fullmatch(hosts[0].strip()) is not None

    def _find(self, path: str) -> tuple[Buffer, str] | None:
        _, token, *rest = [*path.split("/", 2), ""][:4]
        if not secrets.compare_digest(token.encode(), self.server.token.encode()) or path.count("/") < 2:
            return None
        name, payload = rest[0], self.server.payload
        if (of_frame := _FRAME.fullmatch(name)) is not None:
            if (make := self.server.frames.get(int(of_frame[1]))) is None:
                return None
            name, payload = of_frame[2], make()
        name = name or "index.html"
        if name in self.server.files:
            return self.server.files[name], _TYPES[Path(name).suffix]
        if name == "scene.json":
            return self.server.description if of_frame is None else payload.json(), "application/json"
        buffer = payload.buffers.get(name.removeprefix("data/")) if name.startswith("data/") else None
        return None if buffer is None else (buffer(), "application/octet-stream")

    def _send(self, status: int, content: Buffer, kind: str, body: bool, location: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if location:
            self.send_header("Location", location)
        for name, value in (
            ("Content-Security-Policy", self.server.policy),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the terminal holds the address."""


def _has_body(headers: Message) -> bool:
    """A request for a page has none; what follows it would be taken for the next request."""
    return "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"
