"""A file over HTTP that survives a cut: what has come lies in `FILE.part`, and the next try asks for the rest.

`FILE.part.json` holds what the server said of the file (its size, its ETag or date), so that the beginning of one file
is never joined with the end of another. Only the standard library; proxies are those of the environment.
"""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any, NoReturn
from urllib.parse import urlsplit

from vol3d import __version__
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.files import read_json, write_json
from vol3d.output import require_room
from vol3d.terminal import Progress, say

TIMEOUT_S = 30.0
"""How long a server may be silent."""
WAITS_S = (1.0, 3.0, 10.0)
"""Pauses between tries that brought nothing new, once something has come."""
_PIECE = 1 << 16
_KEPT = "What has come is kept: the same command goes on from there."
_ELSEWHERE = "Take it from another place with --from URL or FOLDER, or download it yourself and give the FILE."
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_NOT_ANSWERED = {405, 501}  # a server that does not know HEAD
_TRANSIENT = {429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Remote:
    """What a server says of a file.

    Args:
        url: that it was asked for.
        size: bytes; None where the server does not say.
        version: ETag or date of the file, equal for equal content; empty where the server gives neither.
    """

    url: str
    size: int | None
    version: str


class _Cut(Exception):
    """The transfer ended before the file did; another try may bring the rest."""


def require_address(url: str) -> str:
    """`url`, if a file can be fetched from there.

    Raises:
        UsageError: neither http nor https, or with a password in it, which every message would show.
    """
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, parts.username or parts.password
    except ValueError as error:
        raise UsageError("not an address", got=url, wanted="https://HOST/PATH") from error
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError("not an address that can be fetched", got=url, wanted="https://HOST/PATH")
    if secret:
        raise UsageError("an address with a user name or password", got=f"{parts.scheme}://...@{host}", do=_ELSEWHERE)
    return url


def look(url: str) -> Remote:
    """What the server says of the file, without fetching it.

    Raises:
        DataError: no connection, no such file, or a web page in its place.
    """
    try:
        with _opened(url, {}, method="HEAD") as reply:
            _refuse_page(url, reply.headers)
            return _remote(url, reply)
    except urllib.error.HTTPError as error:
        if error.code in _NOT_ANSWERED:
            return Remote(url, None, "")
        _refused(url, error)
    except (OSError, http.client.HTTPException) as error:
        _unreachable(url, error)


def download(url: str, part: Path, is_hashed: bool, progress: Progress | None = None) -> None:
    """Fetches what is missing of `part`; afterwards it is as long as the server's file.

    Args:
        part: grows in its folder, which is there. It is kept whatever happens, but for a file that has changed.
        is_hashed: whether the content will be compared with a published hash. If not, a file is only resumed where the
            server vouches that it is still the same, and only accepted where the server states its size.
        progress: called in megabytes.

    Raises:
        DataError: no connection, no such file, a web page in its place, silence.
        Vol3dError: the disk is full or has too little room, a redirect to an unencrypted address.
    """
    first = most = _length(part)
    waits: Iterator[float] = iter(())
    while True:
        try:
            return _fetch_rest(url, part, is_hashed, progress)
        except (_Cut, OSError, http.client.HTTPException) as error:
            came = _length(part)
            if came > most:
                most, waits = came, iter(WAITS_S)
            wait = next(waits, None)
            if wait is None and most == first:
                _unreachable(url, error)
            if wait is None:
                got = f"{most / 1e6:.1f} MB ({_reason(error)})"
                do = _KEPT if _resumable(url, part, is_hashed) else "It cannot go on from there; try again."
                raise DataError("the download was cut", where=url, got=got, do=do) from error
            say(f"the connection was cut after {came / 1e6:.1f} MB ({_reason(error)}); trying again in {wait:.0f} s")
            time.sleep(wait)


def _fetch_rest(url: str, part: Path, is_hashed: bool, progress: Progress | None) -> None:
    known = _resumable(url, part, is_hashed)
    start = _length(part) if known else 0
    if known and known.size == start:
        return
    try:
        with _opened(url, _asked(start, known)) as reply:
            _refuse_page(url, reply.headers)
            found = _remote(url, reply)
            if not _goes_on(reply, found, known, start):
                say("the server starts the file anew: it has changed, or is not sent in parts")
                if reply.status == http.client.PARTIAL_CONTENT:  # the end of another file; nothing to begin with
                    forget(part)
                    return _fetch_rest(url, part, is_hashed, progress)
                start = 0
            _receive(reply, found, part, start, is_hashed, progress)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            forget(part)
            return _fetch_rest(url, part, is_hashed, progress)
        if error.code in _TRANSIENT and start:
            raise _Cut(f"{error.code} {error.reason}") from error
        _refused(url, error)


def _asked(start: int, known: Remote | None) -> dict[str, str]:
    """Headers that ask for the rest, or for all where the file has changed."""
    if not start or known is None:
        return {}
    return {"Range": f"bytes={start}-"} | ({"If-Range": known.version} if known.version else {})


def _goes_on(reply: Any, found: Remote, known: Remote | None, start: int) -> bool:
    """Whether what comes is what follows in the same file."""
    if not start:
        return reply.status == http.client.OK
    part = _RANGE.fullmatch(reply.headers.get("Content-Range", ""))
    same = known is not None and found.size == known.size and found.version == known.version
    return reply.status == http.client.PARTIAL_CONTENT and part is not None and int(part[1]) == start and same


def _receive(reply: Any, found: Remote, part: Path, start: int, is_hashed: bool, progress: Progress | None) -> None:
    if found.size is None and not is_hashed:
        what = "the server does not state the file's size, and its publisher no hash: a cut would not be noticed"
        raise DataError(what, where=found.url, do=_ELSEWHERE)
    if found.size is not None:
        require_room(part.parent, found.size - start, do="Free some space, or set VOL3D_CACHE to another folder.")
    with _growing(part, start) as file:
        if not start:
            write_json(_notes(part), asdict(found))
        came = start
        while piece := reply.read1(_PIECE):
            _append(file, piece, part)
            came += len(piece)
            if progress:
                progress(came // 10**6, max(1, (found.size or came) // 10**6), part.name.removesuffix(".part"))
    if found.size is not None and came != found.size:
        what = f"{came} of {found.size} bytes"
        if came < found.size:
            raise _Cut(what)
        forget(part)
        raise DataError("the server sent more than it said", where=found.url, got=what, do=_ELSEWHERE)


@contextmanager
def _growing(part: Path, start: int) -> Iterator[IO[bytes]]:
    """The part, open behind its first `start` bytes; each piece is on its way to the disk at once."""
    try:
        file = part.open("ab" if start else "wb", buffering=0)
    except OSError as error:
        raise Vol3dError(f"cannot write the file ({error.strerror})", where=part, do="Set VOL3D_CACHE.") from error
    with file:
        yield file


def _append(file: IO[bytes], piece: bytes, part: Path) -> None:
    rest = memoryview(piece)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        do = f"Free some space. {_KEPT}"
        raise Vol3dError(f"cannot write the file ({error.strerror})", where=part, do=do) from error


def _resumable(url: str, part: Path, is_hashed: bool) -> Remote | None:
    """What is known of the part's file, if it can go on; what cannot is overwritten."""
    if not part.is_file() or not _notes(part).is_file():
        return None
    try:
        known = Remote(**read_json(_notes(part)))
    except (DataError, TypeError):
        return None
    fits = known.url == url and (known.size is None or _length(part) <= known.size)
    return known if fits and (known.version or is_hashed) else None


def forget(part: Path) -> None:
    """Removes a part and what is known of it."""
    for file in (part, _notes(part)):
        file.unlink(missing_ok=True)


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _length(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


@contextmanager
def _opened(url: str, headers: dict[str, str], method: str = "GET") -> Iterator[Any]:
    opener = urllib.request.build_opener(_Redirects)
    request = urllib.request.Request(url, headers={"User-Agent": f"vol3d/{__version__}", **headers}, method=method)
    with opener.open(request, timeout=TIMEOUT_S) as reply:
        yield reply


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to other hosts, which is noted, and never from an encrypted to an unencrypted address."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request for the new address, by the same method and for the same part."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme, new.scheme) == ("https", "http"):
            got, wanted = f"{new.scheme}://{new.netloc}", f"an address of {old.scheme}"
            raise DataError(
                "redirected to an unsafe address", where=req.full_url, got=got, wanted=wanted, do=_ELSEWHERE
            )
        if new.hostname != old.hostname:
            say(f"{old.hostname} redirects to {new.hostname}")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            request.method = req.get_method()  # Python makes a GET of a HEAD
        return request


def _remote(url: str, reply: Any) -> Remote:
    part = _RANGE.fullmatch(reply.headers.get("Content-Range", ""))
    size = part[3] if part else reply.headers.get("Content-Length", "")
    tag = reply.headers.get("ETag", "")
    # A weak ETag (W/) does not vouch for equal bytes.
    version = tag if tag and not tag.startswith("W/") else reply.headers.get("Last-Modified", "")
    return Remote(url, int(size) if size.isdecimal() else None, version)


def _refuse_page(url: str, headers: Message) -> None:
    if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        do = f"A proxy or a login may stand before it. {_ELSEWHERE}"
        raise DataError("the server sent a web page, no file", where=url, got=headers.get_content_type(), do=do)


def _refused(url: str, error: urllib.error.HTTPError) -> NoReturn:
    with suppress(OSError):
        error.close()
    if error.code in (404, 410):
        raise DataError("the server has no such file", where=url, got=error.code, do=_ELSEWHERE) from error
    do = f"Try again later. {_KEPT}" if error.code in _TRANSIENT else _ELSEWHERE
    raise DataError("the server refuses", where=url, got=f"{error.code} {error.reason}", do=do) from error


def _unreachable(url: str, error: Exception) -> NoReturn:
    do = f"Check the network, the proxy and the address. {_ELSEWHERE}"
    raise DataError("cannot reach the server", where=url, got=_reason(error), do=do) from error


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    if isinstance(inner, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} s"
    return str(inner) or type(inner).__name__
