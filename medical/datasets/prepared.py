"""A prepared data set, memory-mapped: what `prepare` wrote, used only if it matches the run and the originals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medical.datasets.cases import Case, DataSplit
from medical.preprocess import PreprocessSettings
from vol3d.dataset_tools.fault import listed
from vol3d.dataset_tools.index import refuse_other
from vol3d.dataset_tools.stamp import stamp
from vol3d.errors import DataError, UsageError
from vol3d.files import read_json, require_file, sha256
from vol3d.scans.volumes.itk import voxel_files
from vol3d.scans.volumes.volume import Grid

FORMAT = 1
INDEX = "prepared.json"
SCAN = "scan"  # of a case in the index and in its record: what its scan is known by


@dataclass(frozen=True)
class Prepared:
    """A folder of prepared cases.

    Args:
        folder: where it lies.
        settings: what the cases were prepared with.
        class_names, channel_names: of the data set.
        grids: case -> where its prepared voxels stand.
        keys: case -> what its scan is known by; of folders of earlier releases there are none.
    """

    folder: Path
    settings: PreprocessSettings
    class_names: tuple[str, ...]
    channel_names: tuple[str, ...]
    grids: dict[str, Grid]
    keys: dict[str, str]

    def read(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Image (c, i, j, k) float32 and label (1, i, j, k) uint8 of a case, mapped from disk, read-only.

        Raises:
            UsageError: the case is not in the folder.
            DataError: its files are missing or damaged.
        """
        if name not in self.grids:
            do = "Run `vol3d data prepare` again on the data set as it is now."
            raise UsageError("the case is not prepared", where=self.folder, got=name, do=do)
        image, label = (_mapped(path) for path in array_paths(self.folder, name))
        if image.shape[1:] != self.grids[name].shape or label.shape[1:] != image.shape[1:]:
            raise DataError("a prepared case is damaged", where=self.folder, got=name, do="Prepare it again.")
        return image, label


def load_prepared(out: Path, preprocess: PreprocessSettings | None = None, split: DataSplit | None = None) -> Prepared:
    """The prepared data set in `out`.

    Args:
        preprocess: settings that it must have been prepared with.
        split: its classes, channels and labelled cases must be those of the folder.

    Raises:
        DataError: no complete prepared data set, or originals that have changed since.
        UsageError: prepared with other settings, names or cases; the message lists the keys that differ.
    """
    out = Path(out)
    if not (out / INDEX).is_file():
        do = "Run `vol3d data prepare` first, to its end."
        raise DataError("no prepared data set", where=out, wanted=INDEX, do=do)
    found = read_json(out / INDEX)
    try:
        if found["format"] != FORMAT:
            do = "Prepare the data set again into another folder, or use the release that made it."
            raise DataError("prepared by another release", where=out, got=found["format"], wanted=FORMAT, do=do)
        settings = PreprocessSettings.model_validate(found["preprocess"])
        names = tuple(found["class_names"]), tuple(found["channel_names"])
        grids = {name: Grid(tuple(one["shape"]), np.array(one["affine"])) for name, one in found["cases"].items()}
        keys = _keys(found["cases"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("the index of the prepared data set is damaged", where=out / INDEX, got=error) from error
    wanted = {} if preprocess is None else {"preprocess": plain(preprocess)}
    if split is not None:
        wanted |= {"class_names": list(split.class_names), "channel_names": list(split.channel_names)}
    refuse_other(found, wanted, out)
    missing = [case.name for case in (split.labelled if split else ()) if case.name not in grids]
    if missing:
        do = "Run `vol3d data prepare` again on the data set as it is now."
        raise UsageError(f"{len(missing)} cases are not prepared", where=out, got=listed(missing), do=do)
    if split is not None:
        _refuse_changed(split.labelled, found, out)
    return Prepared(out, settings, *names, grids, keys)


def _keys(cases: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: str(one[SCAN]) for name, one in cases.items() if SCAN in one}


def stamp_of(case: Case) -> str:
    """Changes with the name, the size or the time of any file of a case, or the number to ignore; reads none."""
    lines = [stamp(path) for path in _files(case)]
    lines += [] if case.ignore is None else [f"ignore {case.ignore}"]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def key_of(case: Case, names: tuple[Sequence[str], Sequence[str]], preprocess: Any) -> str:
    """Hash of all that a prepared case depends on: the files' content, the names, the settings as JSON."""
    parts = [FORMAT, preprocess, [list(one) for one in names], [sha256(file) for file in _files(case)]]
    parts += [] if case.ignore is None else [case.ignore]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _files(case: Case) -> list[Path]:
    paths = [path for path in (*case.images, case.label) if path is not None]
    found = [
        file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path, *voxel_files(path)])
    ]
    return [file for file in found if not file.is_dir()]


def _refuse_changed(cases: Sequence[Case], index: Mapping[str, Any], out: Path) -> None:
    """Raises DataError if a case has other files than those that it was prepared from.

    Sizes and times are compared; the content is read only where these differ, as after a copy.
    """
    changed = [case.name for case in cases if not _is_unchanged(case, index, out)]
    if changed:
        what = f"{len(changed)} cases have changed since they were prepared"
        do = "Run `vol3d data prepare` again; the other cases are kept."
        raise DataError(what, where=out, got=listed(changed), do=do)


def _is_unchanged(case: Case, index: Mapping[str, Any], out: Path) -> bool:
    try:
        if index["cases"][case.name].get("stamp") == stamp_of(case):
            return True
        key = key_of(case, (index["class_names"], index["channel_names"]), index["preprocess"])
    except OSError as error:
        raise DataError(f"cannot read the case ({error.strerror})", where=error.filename) from error
    return bool(read_json(out / "cases" / f"{case.name}.json").get("key") == key)


def array_paths(out: Path, name: str) -> tuple[Path, Path]:
    """Where a case's image and label lie."""
    return out / "cases" / f"{name}.image.npy", out / "cases" / f"{name}.label.npy"


def plain(preprocess: PreprocessSettings) -> Any:
    """Settings as JSON."""
    return preprocess.model_dump(mode="json")


def _mapped(path: Path) -> np.ndarray:
    do = "Run `vol3d data prepare` again."
    try:
        return np.load(require_file(path, do=do), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError("a prepared array is missing or damaged", where=path, got=error, do=do) from error
