"""A data set as arrays on the network's grid, memory-mapped in training: made once, in parallel, resumable.

    OUT/prepared.json            format, settings, class and channel names; grid and files of each case
    OUT/cases/NAME.image.npy     float32 (channels, i, j, k)
    OUT/cases/NAME.label.npy     uint8 (1, i, j, k)
    OUT/cases/NAME.json          the hash of what the two were made from, that of the scan, and their grid

All labelled cases are prepared, so that every fold can be trained from one folder. The originals are only read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medical.datasets.cases import Case, DataSplit
from medical.datasets.pairs import read_pair, scan_key
from medical.datasets.prepared import FORMAT, INDEX, SCAN, Prepared, array_paths, load_prepared, plain, stamp_of
from medical.datasets.prepared import key_of as made_of
from medical.preprocess import PreprocessSettings, prepare_labels
from medical.preprocess import prepare as prepare_image
from vol3d.dataset_tools.prepare import PreparedFolder, Refused, prepare_cases
from vol3d.engine.trained_on import key_of
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.files import atomic, read_json, write_json
from vol3d.output import require_room
from vol3d.scans.paths import ITK, NIFTI
from vol3d.scans.volumes.gzipped import open_checked
from vol3d.scans.volumes.itk import read_itk_header
from vol3d.scans.volumes.nifti_header import read_header
from vol3d.scans.volumes.volume import Grid
from vol3d.terminal import Progress


def prepare(
    split: DataSplit,
    preprocess: PreprocessSettings,
    out: Path,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Prepares all labelled cases of `split` into the folder `out`; cases already there and unchanged are kept.

    Args:
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each case.

    Raises:
        DataError: a case has a fault; the others are prepared before it is raised, and the index is not written.
        UsageError: `out` holds a data set prepared in another way, or originals.
        Vol3dError: another process works in `out`, it cannot be written, the disk has too little room.
    """
    cases = split.require().labelled
    out = Path(out)
    if any(out.resolve() in (path.resolve(), path.resolve().parent) for case in cases for path in case.images):
        raise UsageError("the originals lie in this folder", where=out, do="Choose another folder.")
    folder = PreparedFolder(out, INDEX, "cases", _index(split, preprocess))
    make = partial(prepare_case, names=(split.class_names, split.channel_names), preprocess=preprocess, out=out)
    prepare_cases(folder, cases, make, workers, progress, partial(_refuse_full, cases, preprocess, out))
    return load_prepared(out)


def prepare_case(
    case: Case, names: tuple[Sequence[str], Sequence[str]], preprocess: PreprocessSettings, out: Path
) -> dict[str, Any] | Refused:
    """Writes one case, unless it is there. Returns its entry in the index, or what is wrong with its data."""
    if case.label is None:
        raise ValueError(f"{case.name} has no label")
    image_path, label_path = array_paths(out, case.name)
    record = out / "cases" / f"{case.name}.json"
    try:
        stamp = stamp_of(case)
        key = made_of(case, names, plain(preprocess))
        if image_path.exists() and label_path.exists() and (done := _made(record, key)):
            return {**done["grid"], SCAN: done.get(SCAN) or scan_key(case.images), "stamp": stamp}
        image, label = read_pair(case, *names)
        scan = key_of(image.array)
        ready = prepare_image(image, preprocess)
        labels = prepare_labels(label, ready.grid)
    except Vol3dError as error:
        return Refused(str(error))

    record.unlink(missing_ok=True)  # a record beside arrays of another time would vouch for them
    for path, array in ((image_path, ready.array), (label_path, labels.array.astype(np.uint8))):
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.save(file, array)
    grid = {"shape": list(ready.grid.shape), "affine": ready.grid.affine.tolist()}
    write_json(record, {"key": key, SCAN: scan, "grid": grid})
    return {**grid, SCAN: scan, "stamp": stamp}


def _made(record: Path, key: str) -> dict[str, Any] | None:
    """The record of a case that was made from just this, or None."""
    try:
        done = read_json(record)
    except DataError:  # missing or damaged: the case is made again
        return None
    return done if isinstance(done, dict) and done.get("key") == key else None


def _index(split: DataSplit, preprocess: PreprocessSettings) -> dict[str, Any]:
    names = {"class_names": list(split.class_names), "channel_names": list(split.channel_names)}
    return {"format": FORMAT, "name": split.name, **names, "preprocess": plain(preprocess)}


def _refuse_full(cases: Sequence[Case], preprocess: PreprocessSettings, out: Path) -> None:
    """Raises Vol3dError if the disk has too little room for the cases that are not there yet."""
    todo = [case for case in cases if not (out / "cases" / f"{case.name}.json").exists()]
    require_room(out, sum(_bytes(case, preprocess) for case in todo))


def _bytes(case: Case, preprocess: PreprocessSettings) -> int:
    """Size of a prepared case, from headers: float32 channels and uint8 labels, before any crop."""
    total = 0
    for path in case.images:
        try:
            described = _described(path)
        except DataError:  # reported with the case itself
            continue
        if described is None:
            # DICOM mostly holds int16; compressed slices need more than this, which the write itself will find.
            total += 2 * sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]))
            continue
        grid, channels = described
        grown = math.prod(grid.spacing_mm) / math.prod(preprocess.spacing_mm or grid.spacing_mm)
        total += int(math.prod(grid.shape) * grown * (4 * channels + 1))
    return total


def _described(path: Path) -> tuple[Grid, int] | None:
    """Grid and number of channels by a header, wherever its voxels are; None for DICOM. Raises DataError."""
    name = path.name.lower()
    if name.endswith(NIFTI):
        with open_checked(path) as stream:
            header = read_header(stream, path)
        return header.grid, header.channels
    if name.endswith(ITK):
        stored = read_itk_header(path)
        return stored.grid, 1 if stored.channel_axis is None else stored.sizes[stored.channel_axis]
    return None
