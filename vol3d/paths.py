"""Paths as a person gives them: `~` is the home folder."""

from __future__ import annotations

import os
from pathlib import Path

from vol3d.errors import UsageError


def user_path(path: str | os.PathLike[str]) -> Path:
    """The path with `~` and `~name` replaced by the home folder; a name like `~a.nii` that is nobody's is a file's.

    Raises:
        UsageError: the system knows no home folder.
    """
    expanded = os.path.expanduser(path)  # noqa: PTH111 (`Path.expanduser` fails for a file called `~a.nii`)
    if Path(expanded).parts[:1] == ("~",):
        raise UsageError("no home folder is known", where=path, do="Set HOME, or give the whole path.")
    return Path(expanded)
