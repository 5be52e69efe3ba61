"""The lock of a folder in which one process works at a time."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vol3d.errors import Vol3dError
from vol3d.files import explain

if os.name == "nt":
    import msvcrt
else:
    import fcntl

LOCK = ".vol3d-lock"
_held: set[Path] = set()
_looking = threading.Lock()


class FolderBusyError(Vol3dError):
    """Another process holds the lock of a folder."""


@contextmanager
def lock(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Holds `folder` for this process; freed by the operating system however the process ends.

    The lock belongs to the process and not to the open file, so that data-loader workers that outlive a killed parent
    for some seconds do not keep it.

    Raises:
        FolderBusyError: another run works in the folder.
        Vol3dError: it cannot be written.
    """
    path = (Path(folder) / LOCK).resolve()
    do = "Wait for it or choose another folder."
    busy = FolderBusyError("another run is working in this folder", where=folder, do=do)
    with _looking:  # two threads of a process would both get the operating system's lock
        if path in _held:
            raise busy
        _held.add(path)
    try:
        with _claimed(path, busy):
            yield
    finally:
        _held.discard(path)


@contextmanager
def _claimed(path: Path, busy: FolderBusyError) -> Iterator[None]:
    """Holds the operating system's lock of a file."""
    try:
        file = path.open("a+b")
    except OSError as error:
        explain(error, path)
    with file:
        claim(file, busy, path)
        yield


def claim(file: IO[bytes], busy: Vol3dError, path: Path) -> None:
    """Holds an open file for this process until it is closed.

    Raises:
        Vol3dError: `busy`, where another process holds it; the disk is at fault, named by `path`.
    """
    try:
        _claim(file)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EAGAIN, errno.EDEADLK}:
            raise busy from error
        explain(error, path)


def _claim(file: IO[bytes]) -> None:
    if os.name == "nt":
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
