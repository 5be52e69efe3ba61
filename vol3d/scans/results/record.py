"""What binds a result to its scan and its model: in the JSON of boxes, and in a small JSON beside each mask.

`scan.nii.gz` has its record in `scan.vol3d.json`, `room.json` under its own key `record`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vol3d.errors import DataError
from vol3d.files import plain, read_json, sha256, write_json
from vol3d.scans.paths import NIFTI, without_suffix

KEY, RECORD_SUFFIX = "record", ".vol3d.json"


@dataclass(frozen=True)
class Record:
    """Which scan and which model a result is of, and the files that it consists of.

    Args:
        input_sha256: of the scan, see `vol3d.scans.digest`; None for an array.
        series: UID of the DICOM series, where the scan's folder holds several.
        channels: names of the files of the channels, where each has one of its own.
        model: what it was loaded by, without folders.
        model_sha256: of each network; several are an ensemble.
        terms: licence of the model, terms of its data, and the licensed models that it derives from, as far as known.
        settings: those that differ from what the model was trained with, `{"predict.score": 0.5}`.
        device: what it was computed on.
        seconds: how long that took.
        vol3d: the version.
        made_with: name -> what a file beside this record was made with besides the scan and the model, such as the hash
            of a calibration; another value makes the file anew.
        files: name -> SHA-256 of each file beside this record; None for one that there was nothing to write into. While
            the main file is not among them, it has not been written to its end.
    """

    input_sha256: str | None = None
    series: str | None = None
    channels: tuple[str, ...] = ()
    model: str = ""
    model_sha256: tuple[str, ...] = ()
    terms: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: str = ""
    seconds: float | None = None
    vol3d: str = ""
    made_with: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str | None] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return plain(asdict(self))

    @staticmethod
    def from_dict(value: Any) -> Record:
        """The record that `to_dict` described.

        Raises:
            TypeError, KeyError, ValueError: it is none.
        """
        lists = {name: tuple(map(str, value[name])) for name in ("channels", "model_sha256")}
        record = Record(**{**value, **lists})
        dict(record.terms), dict(record.settings), dict(record.files), dict(record.made_with)
        return record

    def other_than(self, wanted: Record) -> str | None:
        """What makes this record that of another result than the wanted one, in words; None if nothing does."""
        if self.input_sha256 != wanted.input_sha256:
            return f"another scan (SHA-256 {_short(self.input_sha256)}, of this one {_short(wanted.input_sha256)})"
        if self.model_sha256 != wanted.model_sha256:
            return f"another model ({self.model or 'without a name'}, other weights)"
        mine, theirs = plain(dict(self.settings)), plain(dict(wanted.settings))
        keys = [key for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)]
        if not keys:
            return None
        trained = "as trained"
        return "other settings: " + ", ".join(
            f"{key} {mine.get(key, trained)} instead of {theirs.get(key, trained)}" for key in keys
        )


def _short(digest: str | None) -> str:
    return "unknown" if digest is None else f"{digest[:12]}..."


def record_path(result: Path) -> Path:
    """The JSON that has the record of a result: itself, or `scan.vol3d.json` of `scan.nii.gz`."""
    if result.suffix == ".json":
        return result
    return result.parent / f"{stem_of(result)}{RECORD_SUFFIX}"


def stem_of(result: Path) -> str:
    """The name without its suffix: `scan` of `scan.nii.gz`, `room` of `room.json`."""
    stem = without_suffix(result.name, NIFTI)
    return stem if stem != result.name else result.stem


def read_record(result: Path) -> tuple[Record | None, Mapping[str, Any]]:
    """The record of a result, and the JSON that it stands in; None and {} where there is none that can be read."""
    try:
        value = read_json(record_path(result))
        return Record.from_dict(value[KEY]), value
    except (DataError, KeyError, TypeError, ValueError):
        return None, {}


def write_record(result: Path, about: Mapping[str, Any], record: Record) -> None:
    """Writes the JSON with the record of `result`, and `about`, what else is known of it.

    Of a result that is JSON itself `about` is its content, whose hash joins the record.
    """
    path = record_path(result)
    if path == result:
        record = replace(record, files={**record.files, path.name: _content_sha256(about)})
    write_json(path, {**about, KEY: record.to_dict()})


def add_file(result: Path, file: Path) -> None:
    """Adds to the record of `result` a file that was written since; one that is not there had nothing to hold."""
    value = read_json(record_path(result))
    value[KEY]["files"][file.name] = sha256(file) if file.exists() else None
    write_json(record_path(result), value)


def written_sha256(path: Path) -> str:
    """SHA-256 of a file as records have it: of JSON with a record that of the content beside it.

    Raises:
        DataError: a JSON result that cannot be read.
        OSError: there is no such file.
    """
    if path.suffix != ".json":
        return sha256(path)
    value = read_json(path)
    return _content_sha256(value) if isinstance(value, dict) else ""


def _content_sha256(value: Mapping[str, Any]) -> str:
    content = {key: item for key, item in value.items() if key != KEY}
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def way_to(source: Path, folder: Path) -> str | None:
    """`../scans/room.ply`, which stays true when both are moved; None where it would show how a machine is laid out.

    That is a way over the root or over the folder of all homes, which names a person.
    """
    source, folder = source.parent.resolve() / source.name, folder.resolve()
    try:
        shared = Path(os.path.commonpath((source, folder)))
    except ValueError:  # another drive
        return None
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (Path.home() raises where there is none)
    if shared == Path(shared.anchor) or shared in home.parents:
        return None
    return Path(os.path.relpath(source, folder)).as_posix()
