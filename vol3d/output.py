"""An output is tried before the work that leads to it, which may take hours."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from vol3d.errors import UsageError, Vol3dError
from vol3d.files import explain, is_full
from vol3d.paths import user_path


def require_output(path: str | os.PathLike[str], folder: bool = True) -> Path:
    """`user_path(path)`, if it can be written to; nothing is left there.

    Args:
        folder: whether a folder will be made there or used, else a file, in a folder that is made or is there.

    Raises:
        Vol3dError: no permission, a full disk, a file in the place of a folder or a folder in the place of a file.
    """
    target = user_path(path)
    do = "Choose another output."
    try:
        if not folder and target.is_dir():
            raise Vol3dError("a folder is in the output's place", where=target, do=do)
        chain = (target, *target.absolute().parents) if folder else target.absolute().parents
        place = next(one for one in chain if one.exists())
        if not place.is_dir():
            raise Vol3dError("a file is in the place of the output's folder", where=place, do=do)
        with tempfile.TemporaryFile(dir=place):
            pass
        if is_full(place):
            raise OSError(errno.ENOSPC, "full")
    except OSError as error:
        explain(error, target)
    return target


def require_new_file(
    path: str | os.PathLike[str],
    overwrite: bool,
    what: str = "the file exists",
    do: str = "Choose another one, or add --overwrite.",
) -> Path:
    """`require_output` of a file that is not there yet, or that may be replaced.

    Args:
        what, do: of the message where it is there.

    Raises:
        UsageError: it is there.
        Vol3dError: as `require_output`.
    """
    target = require_output(path, folder=False)
    if target.exists() and not overwrite:
        raise UsageError(what, where=target, do=do)
    return target


def require_room(folder: Path, need: int, do: str = "Choose another disk.") -> None:
    """Raises Vol3dError where the disk of `folder`, which is there, has fewer than `need` bytes left."""
    if need > (free := shutil.disk_usage(folder).free):
        got, wanted = f"{free / 2**30:.1f} GiB free", f"about {need / 2**30:.1f} GiB"
        raise Vol3dError("too little room on the disk", where=folder, got=got, wanted=wanted, do=do)
