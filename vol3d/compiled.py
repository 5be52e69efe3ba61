"""Where numba keeps what it has compiled, if neither the installation nor the home folder can be written to.

So it is in many containers; without such a place numba refuses to compile at all.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def choose_cache() -> None:
    """Sets numba's own variable to a folder for temporary files, where there is no better one; call it before numba."""
    if os.environ.get(VARIABLE) or os.access(Path(__file__).parent, os.W_OK) or _home_is_writable():
        return
    os.environ[VARIABLE] = str(_private_folder())


def _home_is_writable() -> bool:
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111 (it may be unknown)
    there = next((folder for folder in (home, *home.parents) if folder.is_dir()), home)
    return home.is_absolute() and os.access(there, os.W_OK)


def _private_folder() -> Path:
    """Nobody else may write there, since what lies there is run; a new one where somebody has taken the name."""
    import stat
    import tempfile

    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir(), f"vol3d-numba-{user}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022:
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="vol3d-numba-"))
