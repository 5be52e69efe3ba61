"""Compiled kernels kept between checkouts: in a fresh clone, to compile them is nearly half of many tests' work.

Numba keeps what it compiled beside the sources and recognises a source by its content, but not the functions and
constants of other files that it was compiled with. So the store has one archive for the content of all files with
kernels, of all that these import from the packages, and for the versions of Python, numba and NumPy; the processor is
numba's own matter.
"""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import secrets
import zipfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("vol3d", "pointcloud", "medical")
SUFFIXES = (".nbi", ".nbc")
KEPT = 8  # archives, the latest


def store() -> Path:
    """`VOL3D_TEST_KERNELS`, or a folder in that of the user's caches."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("VOL3D_TEST_KERNELS") or home / "vol3d-test-kernels")


def restore(project: Path) -> int:
    """Puts kernels where numba looks for them, if none are there; how many files were written.

    Never beside others: an index of one run and the functions of another do not fit together.
    """
    archive = store() / f"{key(project)}.zip"
    if compiled(project) or not archive.is_file():
        return 0
    with zipfile.ZipFile(archive) as kept:
        for name in kept.namelist():
            path = project / name
            if path.suffix in SUFFIXES and path.resolve().is_relative_to(project.resolve()):
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(kept.read(name))
    return len(compiled(project))


def keep(project: Path) -> None:
    """Stores what this checkout has compiled, unless as much is there already; the archive appears whole."""
    files, archive = compiled(project), store() / f"{key(project)}.zip"
    if not files or (archive.is_file() and len(zipfile.ZipFile(archive).namelist()) >= len(files)):
        return
    temporary = archive.with_suffix(f".{secrets.token_hex(4)}")
    try:
        store().mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as kept:
            for path in files:
                kept.write(path, path.relative_to(project).as_posix())
        temporary.replace(archive)
        for old in sorted(store().glob("*.zip"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            old.unlink()
    except OSError as error:  # a read-only home is no failure of the tests
        print(f"compiled kernels are not kept ({error})")
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def compiled(project: Path) -> list[Path]:
    """What numba has written in the packages."""
    return sorted(path for name in PACKAGES for path in (project / name).rglob("*.nb?") if path.suffix in SUFFIXES)


def key(project: Path) -> str:
    """What compiled kernels depend on, as a hash."""
    digest = hashlib.sha256(f"{platform.python_version()} {version('numba')} {version('numpy')}".encode())
    for path in _sources(project):
        digest.update(path.relative_to(project).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:32]


def _sources(project: Path) -> list[Path]:
    """Files with kernels, and all that they import from the packages, and so on."""
    paths = (path for name in PACKAGES for path in (project / name).rglob("*.py"))
    waiting, found = [path for path in paths if "njit" in path.read_text("utf-8")], set[Path]()
    while waiting:
        if (path := waiting.pop()) not in found:
            found.add(path)
            waiting += [other for name in _imports(path) if (other := _file(project, name)) is not None]
    return sorted(found)


def _imports(path: Path) -> list[str]:
    """Modules, and names that may be modules: `from a import b` is `a` and `a.b`."""
    names = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _file(project: Path, module: str) -> Path | None:
    if module.split(".")[0] not in PACKAGES:
        return None
    base = project.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
