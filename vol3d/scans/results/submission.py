"""Whose a submission to a benchmark is: a file, or a folder of files, has beside it a small JSON that says so.

`results.json` has `results.json.vol3d.json`, the folder `results` has `results.vol3d.json`: never in the folder, which
is packed and sent as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from vol3d.errors import DataError, UsageError
from vol3d.files import is_there, read_json, sha256, write_json
from vol3d.scans.results.record import KEY, RECORD_SUFFIX, Record

_ABOUT = "submission"


def require_own(path: Path) -> None:
    """Raises UsageError if anything is at `path` that vol3d did not write: it would be replaced, or sent as well.

    Hidden files and empty ones are nobody's.
    """
    known = _written(path)
    there = sorted(path.iterdir()) if path.is_dir() else [path] if is_there(path) else []
    foreign = [_record_path(path)] if known is None else []
    foreign += [one for one in there if one.name not in (known or ()) and not _is_nobodys(one)]
    if foreign:
        what = "the submission would replace or take along what vol3d did not write"
        others = f"{len(foreign)} such files" if len(foreign) > 1 else None
        do = "Choose another path, or move that away."
        raise UsageError(what, where=foreign[0], got=others, do=do)


def claim(path: Path, names: Iterable[str] | None = None) -> None:
    """Says that vol3d writes the submission; what it wrote there earlier goes, but for what is now replaced.

    Args:
        names: of the files in the folder `path`; None: it is a file.

    Raises:
        UsageError: as `require_own`.
        Vol3dError: the disk is full, or the folder cannot be written.
    """
    require_own(path)
    files = dict.fromkeys([path.name] if names is None else names)
    for name in (_written(path) or set()) - files.keys():
        if path.is_dir():
            (path / name).unlink(missing_ok=True)
    _write(path, Record(files=files))


def seal(path: Path, record: Record) -> None:
    """Completes the JSON once all is written: the model of `record`, and the SHA-256 of each file.

    Raises:
        Vol3dError: a file is missing, or the disk is full.
    """
    folder = path if path.is_dir() else path.parent
    _write(path, replace(record, files={name: sha256(folder / name) for name in sorted(_written(path) or ())}))


def _write(path: Path, record: Record) -> None:
    write_json(_record_path(path), {"format": 1, _ABOUT: path.name, KEY: record.to_dict()})


def _written(path: Path) -> set[str] | None:
    """Names of the files that vol3d wrote there; None where the JSON beside is not one of ours."""
    if not is_there(_record_path(path)):
        return set()
    try:
        value = read_json(_record_path(path))
        files = Record.from_dict(value[KEY]).files
    except (DataError, KeyError, TypeError, ValueError):
        return None
    return {name for name in files if name == Path(name).name} if _ABOUT in value else None


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}{RECORD_SUFFIX}")


def _is_nobodys(path: Path) -> bool:
    return path.name.startswith(".") or (path.is_file() and path.stat().st_size == 0)
