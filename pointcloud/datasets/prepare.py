"""Any data set of scenes into a prepared folder: once, in parallel, resumable, checked; the originals are only read."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pointcloud.datasets.prepared import (
    FORMAT,
    INDEX,
    PARTS,
    POINTS,
    SCENES,
    PreparedScene,
    key_of,
    prepared_split,
)
from pointcloud.datasets.scenes import HasExtras, Scene, SceneReader, SceneSplit
from pointcloud.datasets.settings import SceneSettings
from pointcloud.datasets.sources import SOURCE, STAMP, describe_source
from vol3d.dataset_tools.fault import listed, refuse_errors
from vol3d.dataset_tools.prepare import PreparedFolder, Refused, prepare_cases
from vol3d.dataset_tools.stamp import digest
from vol3d.errors import DataError, Vol3dError
from vol3d.files import atomic, write_json
from vol3d.terminal import Progress


def prepare(
    split: SceneSplit,
    out: Path,
    workers: int | None = None,
    progress: Progress | None = None,
    data: SceneSettings | None = None,
) -> SceneSplit:
    """Writes all scenes of `split` into the folder `out`; scenes already there and unchanged are kept.

    Args:
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each scene.
        data: the settings that `split` is of; with them the prepared folder notices that its originals have changed.

    Returns:
        The same split, read from `out`.

    Raises:
        DataError: a scene has a fault; the others are prepared before it is raised, and the index is not written.
        UsageError: `out` holds another data set.
        Vol3dError: another process works in `out`, or it cannot be written.
    """
    refuse_errors(split.listing, split.name)
    readers = [*split.train, *split.validation, *split.test]
    _refuse_names([reader.name for reader in readers], split.name)
    wanted = {"format": FORMAT, "name": split.name, "class_names": list(split.class_names)}
    parts = {part: [reader.name for reader in getattr(split, part)] for part in PARTS}
    more = parts | {"synthetic": split.synthetic} | ({} if data is None else {SOURCE: describe_source(data, out)})
    folder = PreparedFolder(out, INDEX, SCENES, wanted, more)
    prepare_cases(folder, readers, partial(prepare_scene, out=out), workers, progress)
    return prepared_split(out)


def prepare_scene(reader: SceneReader, out: Path) -> dict[str, Any] | Refused:
    """Writes one scene, unless it is there. Returns its entry in the index, or what is wrong with its data."""
    record_path = out / SCENES / f"{reader.name}.json"
    try:
        stamp, key = reader.fingerprint(quick=True), key_of(reader.fingerprint())
        if (done := _made(reader.name, key, out)) is not None:
            return {**done, STAMP: stamp}
        scene = reader.read()
        if not len(scene.cloud):
            raise DataError("the scene has no points", where=reader.name)
    except Vol3dError as error:
        return Refused(str(error))

    record_path.unlink(missing_ok=True)  # a record beside arrays of another time would vouch for them
    arrays = {POINTS: scene.cloud.xyz, **scene.cloud.columns}
    for column, array in arrays.items():
        with atomic(out / SCENES / f"{reader.name}.{column}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(array))

    extras = {"extras": reader.extras()} if isinstance(reader, HasExtras) else {}
    write_json(record_path, {"key": key, **_record(scene, arrays), **extras})

    written = PreparedScene(out, reader.name, scene.truth.class_names)
    written.verify()
    _refuse_difference(scene, written.read(), record_path)
    return {"points": len(scene.cloud), "boxes": len(scene.truth), STAMP: stamp}


def _record(scene: Scene, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        "points": len(scene.cloud),
        "sha256": {column: digest(array) for column, array in arrays.items()},
        "origin": scene.cloud.origin.tolist(),
        "notes": [str(note) for note in scene.cloud.notes],
        "assumptions": [note.to_dict() for note in scene.cloud.notes],
        "frame": scene.truth.frame,
        "boxes": scene.truth.boxes.tolist(),
        "labels": scene.truth.labels.tolist(),
    }


def _made(name: str, key: str, out: Path) -> dict[str, Any] | None:
    """Counts of a scene that was made from just this, or None."""
    try:
        written = PreparedScene(out, name, ())
        record = written.record()
        if record.get("key") != key:
            return None
        for column in record["sha256"]:
            if len(np.load(out / SCENES / f"{name}.{column}.npy", mmap_mode="r")) != record["points"]:
                return None
        return {"points": record["points"], "boxes": len(record["labels"])}
    except (DataError, OSError, ValueError, KeyError, TypeError, EOFError):  # missing or damaged: it is made again
        return None


def _refuse_difference(scene: Scene, read: Scene, where: Path) -> None:
    """What was read back is what was written; else the disk or the reader is broken."""
    same = np.array_equal(scene.truth.boxes, read.truth.boxes) and np.array_equal(scene.truth.labels, read.truth.labels)
    if not same or len(scene.cloud) != len(read.cloud) or scene.cloud.columns.keys() != read.cloud.columns.keys():
        raise DataError("what was written reads back otherwise", where=where, do="Check the disk, then prepare again.")


def _refuse_names(names: list[str], data_set: str) -> None:
    """A scene's name names its files: each is one scene's, on file systems without upper and lower case too."""
    odd = [name for name in names if not name or name.startswith(".") or set(name) & set('/\\:*?"<>|\0')]
    if odd:
        raise DataError("a scene's name must be a file name", where=data_set, got=listed(odd), do="Rename its file.")
    count = Counter(name.casefold() for name in names)
    twice = sorted({name for name in names if count[name.casefold()] > 1})
    if twice:
        raise DataError("two scenes have the same name", where=data_set, got=listed(twice), do="Name each scene once.")
