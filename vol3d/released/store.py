"""Published weights by name: from the cache, a mirror or their official address, accepted only as what was published.

    CACHE/released/NAME/FILE         the file, verified
    CACHE/released/NAME/FILE.json    where it came from, its size and its SHA-256
    CACHE/released/NAME/FILE.part    what has come of a download

A file whose publisher states no hash is trusted the first time; from then on its SHA-256 is what `FILE.json` holds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vol3d import files
from vol3d.errors import CheckpointError, DataError, UsageError
from vol3d.lock import FolderBusyError, lock
from vol3d.output import require_room
from vol3d.paths import cache_folder, user_path
from vol3d.pickled import STARTS
from vol3d.released.download import download, forget, look, require_address
from vol3d.released.table import ReleasedFile, direct
from vol3d.terminal import progress, say

OFFLINE = "VOL3D_OFFLINE"
WAIT_S = 1.0


@dataclass(frozen=True)
class Offer:
    """What a download would bring, for a person to agree to.

    Args:
        file: what its publisher states.
        url: where it is fetched from.
        size: bytes; None where the server does not say.
        target: where it will lie.
    """

    file: ReleasedFile
    url: str
    size: int | None
    target: Path

    def lines(self) -> list[str]:
        """For a person."""
        size = f"{self.size / 1e6:.1f} MB" if self.size is not None else "not stated by the server"
        return [
            f"source   {self.url}",
            f"from     {self.file.publisher}, {self.file.page}",
            f"licence  {self.file.licence}",
            f"trained  on {self.file.data}",
            f"scores   {self.file.scores}",
            f"size     {size}",
            f"hash     {self.file.hash_words}",
            f"to       {self.target}",
        ]


def fetch(name: str, mirror: str | Path | None = None, agree: Callable[[Offer], bool] | None = None) -> Path:
    """The published file of a released model on this machine.

    Args:
        name: as in `released.readers.RELEASED`.
        mirror: a folder that holds the file, which is used where it lies; or the address of such a folder or of the
            file itself. None is the official address.
        agree: whether to download what is offered; None never downloads, but takes what is in the cache.

    Raises:
        UsageError: no such name; no address that a program can fetch; not agreed to; `VOL3D_OFFLINE` is set.
        DataError: no connection, no such file, a cut that further tries did not mend, a web page in its place.
        CheckpointError: not the file that was published, or not the one of the first download.
        Vol3dError: the disk or the cache is at fault.
    """
    file = direct(name)
    target = cache_folder() / "released" / name / file.file
    if mirror is not None and "://" not in str(mirror):
        return _of_folder(file, user_path(mirror), target)
    if target.is_file():
        say(f"from the cache: {target}")
        return _verified(file, target, target)
    url = _address(file, mirror)
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        do = f"Unset it, or download {url} elsewhere and give the FILE, or its folder with --from."
        raise UsageError("these weights are not on this machine, and downloads are switched off", where=OFFLINE, do=do)
    if agree is None:
        raise _not_agreed(Offer(file, url, None, target))
    with _alone(files.make_folder(target.parent, do="Set VOL3D_CACHE to another folder.")):
        if target.is_file():  # another process has fetched it meanwhile
            return _verified(file, target, target)
        _download(file, url, target, agree)
        return target


def _address(file: ReleasedFile, mirror: str | Path | None) -> str:
    if mirror is None:
        return str(file.url)
    address = require_address(str(mirror))
    return address if address.endswith(".pth") else f"{address.rstrip('/')}/{file.file}"


def _of_folder(file: ReleasedFile, folder: Path, target: Path) -> Path:
    """The file of a mirror on a disk, where it lies."""
    found = folder / file.file
    if not folder.is_dir():
        raise UsageError("no such folder", where=folder, wanted="a folder with the file, or https://HOST/PATH")
    if not found.is_file():
        raise UsageError("the folder does not hold the file", where=folder, wanted=file.file)
    return _verified(file, found, target)


def _not_agreed(offer: Offer) -> UsageError:
    facts = f"{offer.url} ({offer.file.licence}; trained on {offer.file.data})"
    return UsageError(
        "these weights are not on this machine, and nobody agreed to a download",
        got=facts,
        do="Agree with --yes (in Python with download=True), or give the FILE.",
    )


def _download(file: ReleasedFile, url: str, target: Path, agree: Callable[[Offer], bool]) -> None:
    part = target.with_name(f"{target.name}.part")
    offer = Offer(file, url, look(url).size, target)
    if offer.size is not None:
        require_room(target.parent, offer.size - (part.stat().st_size if part.is_file() else 0))
    if not agree(offer):
        raise _not_agreed(offer)
    if url.startswith("http://") and not file.sha256:
        say(f"{url} is unencrypted and no hash is published: what comes cannot be verified")
    with progress("downloading, MB:") as report:
        download(url, part, bool(file.sha256), report)
    try:
        digest = _compared(file, part, target)
    except CheckpointError:
        forget(part)
        raise
    if not file.sha256:
        say(f"no hash is published for this file; its SHA-256 is {digest}, and is recorded for the next time")
    files.write_json(_record(target), {"url": url, "size": part.stat().st_size, "sha256": digest})
    files.promote(part, target)
    forget(part)


def _verified(file: ReleasedFile, path: Path, target: Path) -> Path:
    """`path`, whose content is what was published."""
    _compared(file, path, target)
    return path


def _compared(file: ReleasedFile, path: Path, target: Path) -> str:
    """The SHA-256 of `path`, which agrees with the published one and with that of the first download.

    Raises:
        CheckpointError: it does not, or the content is no file of weights at all.
    """
    do = "Delete it, and it is fetched again." if path == target else "It is not used; take it from another place."
    digest = _digest(path, do)
    if not digest.startswith(file.sha256):
        what = "not the file that was published"
        raise CheckpointError(what, where=path, got=digest, wanted=file.hash_words, do=do)
    if (record := _record(target)).is_file():
        known = files.read_json(record)
        wanted = known.get("sha256") if isinstance(known, dict) else None
        if wanted != digest:
            do = f"If that is meant, delete {record} and {target}."
            raise CheckpointError("not the file of the first download", where=path, got=digest, wanted=wanted, do=do)
    return digest


def _digest(path: Path, do: str) -> str:
    """SHA-256 of a file that is one of weights by its first bytes."""
    try:
        with path.open("rb") as content:
            head = content.read(64)
        if head.startswith(STARTS):
            return files.sha256(path)
    except OSError as error:
        raise DataError(f"cannot read the file ({error.strerror})", where=path) from error
    what = "a web page, not a file of weights" if head.lstrip().startswith(b"<") else "not a file of weights"
    raise CheckpointError(what, where=path, got=f"{head[:16]!r}", wanted="a file that torch wrote", do=do)


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder; waits while another process does."""
    is_waiting = False
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(lock(folder))
                break
            except FolderBusyError:
                if not is_waiting:
                    say(f"another process downloads into {folder}; waiting for it")
                is_waiting = True
                time.sleep(WAIT_S)
        yield
