"""A server of files on this machine that misbehaves as asked: it cuts, ignores ranges, redirects, is silent."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Files:
    """What is served, and how; `asked` notes each request as method, path and range."""

    content: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)  # bytes after which each of the next replies ends
    knows_ranges: bool = True
    knows_head: bool = True
    states_size: bool = True
    version: str | None = None  # ETag in place of the content's; empty: none
    kind: str = "application/octet-stream"
    status: int | None = None
    redirects: dict[str, str] = field(default_factory=dict)
    silence_s: float = 0.0
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(files: Files) -> Iterator[Files]:
    """Serves `files` at `files.url` within the block."""

    class Handler(_Handler):
        served = files

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        files.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield files
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    served: Files

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        if not self.served.knows_head:
            self.send_error(501)
            return
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        files, range_ = self.served, self.headers.get("Range", "")
        files.asked.append((self.command, self.path, range_))
        if self.path in files.redirects:
            self.send_response(302)
            self.send_header("Location", files.redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = files.content.get(self.path)
        if content is None or files.status is not None:
            self.send_error(files.status or 404)
            return
        version = f'"{sha256(content).hexdigest()[:8]}"' if files.version is None else files.version
        if with_body and files.silence_s:
            time.sleep(files.silence_s)
        self._send(content, version, range_, with_body)

    def _send(self, content: bytes, version: str, range_: str, with_body: bool) -> None:
        files, start = self.served, 0
        asked = re.fullmatch(r"bytes=(\d+)-", range_)
        if asked and files.knows_ranges and self.headers.get("If-Range", version) == version:
            start = int(asked[1])
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Type", files.kind)
        if files.states_size:
            self.send_header("Content-Length", str(len(content) - start))
        if version:
            self.send_header("ETag", version)
        self.end_headers()
        if with_body:
            end = start + files.cuts.pop(0) if files.cuts else len(content)
            with suppress(OSError):  # whoever asked has gone
                self.wfile.write(content[start:end])
