"""What is there already where a result is to be written: the same result, a damaged one, or another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.scans.results.own import refuse_foreign
from vol3d.scans.results.record import Record, read_record, record_path, written_sha256

_ANOTHER = "another result"
_REPLACE = "Give --overwrite to replace it, or another output folder."


def is_done(files: Sequence[Path], wanted: Record, overwrite: bool) -> bool:
    """Whether the result is there, whole, and of the wanted scan, model and settings.

    False where nothing is there, where what vol3d wrote is cut, empty or not complete, and where a file beside the main
    one was made with other options or another calibration: it is predicted anew.

    Args:
        files: all that the result consists of, the main file first.
        wanted: the record that it must have.
        overwrite: whatever vol3d wrote may be replaced.

    Raises:
        UsageError: the result of another scan, model or settings, of a release that did not record them, or changed
            since; even with `overwrite` a file that vol3d did not write.
    """
    refuse_foreign(files)
    main, record = files[0], read_record(files[0])[0]
    if overwrite or not _holds_something(main):
        return False
    if record is None:
        if _is_damaged(main):
            return False
        what = "a result is there already that does not say of which scan and model it is"
        got = "one of an earlier release, or one without its record"
        raise UsageError(what, where=main, got=got, wanted=record_path(main).name, do=_REPLACE)
    if other := record.other_than(wanted):
        what = "a result is there already that is not of this scan and model"
        raise UsageError(what, where=main, got=f"a result of {other}", do=_REPLACE)
    whole = [_is_whole(path, record) for path in files]
    return all(whole) and all(record.made_with.get(path.name) == wanted.made_with.get(path.name) for path in files)


def with_earlier_files(wanted: Record, result: Path, files: Sequence[Path]) -> Record:
    """The record with the files that an earlier run wrote beside the result and this one does not.

    They stay known as vol3d's. Those of another scan, model or settings never count as done.
    """
    earlier, _ = read_record(result)
    if earlier is None:
        return wanted
    names = {path.name for path in (*files, record_path(result))}
    others = {name: digest for name, digest in earlier.files.items() if name not in names}
    if earlier.other_than(wanted) is None:
        made_with = {name: value for name, value in earlier.made_with.items() if name in others}
    else:
        made_with = dict.fromkeys(others, _ANOTHER)
    return replace(wanted, files=others, made_with={**made_with, **wanted.made_with})


def _is_whole(path: Path, record: Record) -> bool:
    """Whether a file is as it was written. Raises UsageError if it is another one, perhaps a person's work."""
    if path.name not in record.files:
        return False
    written = record.files[path.name]
    if written is None or not _holds_something(path):
        return written is None and not path.exists()
    try:
        if written_sha256(path) == written:
            return True
    except DataError:
        return False
    if _is_damaged(path):
        return False
    raise UsageError("the result was changed since vol3d wrote it", where=path, do=_REPLACE)


def _holds_something(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _is_damaged(path: Path) -> bool:
    """Whether a result can no longer be read: cut, or on a bad disk."""
    from vol3d.scans.read import read_labels
    from vol3d.scans.results.read import read_detections

    try:
        if path.suffix == ".json":
            read_detections(path)
        elif path.name.lower().endswith((".nii", ".nii.gz")):
            read_labels(path)
    except Vol3dError:
        return True
    return False
