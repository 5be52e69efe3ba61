"""What of nuScenes' tables detection needs, as a few arrays: 34,149 samples load in a fraction of a second.

    OUT/nuscenes.npz    the arrays of `NuScenesIndex`
    OUT/nuscenes.json   format, version, the folder with `samples` and `sweeps`, and what its tables were like

Sweeps stay where they are: accumulated, those of trainval would be 200 GB.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.dataset_tools.index import refuse_other
from vol3d.dataset_tools.stamp import stamp
from vol3d.errors import DataError
from vol3d.files import atomic, make_folder, read_json, remove_leftovers, require_file, sha256, write_json
from vol3d.lock import lock

FORMAT = 1
ARRAYS, INDEX = "nuscenes.npz", "nuscenes.json"
AGAIN = "Run `vol3d data prepare nuscenes` again."


@dataclass(frozen=True, eq=False)
class NuScenesIndex:
    """Samples, LIDAR_TOP sweeps and boxes of one version of nuScenes.

    Args:
        scene_names, categories, attributes: (n,) text: what `scene`, `category` and `attribute` count.
        token: (S,) of each sample.
        scene: (S,) row of its scene.
        keyframe: (S,) row of its sweep.
        first_box: (S + 1,): boxes of sample i are rows first_box[i] to first_box[i + 1].
        ego_xyz: (S, 3) place of the car in the world, metres.
        filename: (W,) path of each sweep below the root.
        time_us: (W,) microseconds.
        previous: (W,) row of the sweep before, -1 for none.
        global_from_lidar: (W, 4, 4).
        centre, size_wlh, rotation_wxyz, velocity: (B, 3), (B, 3), (B, 4), (B, 2) of boxes in the world; metres,
            quaternions, m/s, NaN where the annotation does not state it.
        category, attribute: (B,); attribute -1 for none.
        lidar_points, radar_points: (B,) as counted by the annotators.
    """

    scene_names: np.ndarray
    categories: np.ndarray
    attributes: np.ndarray
    token: np.ndarray
    scene: np.ndarray
    keyframe: np.ndarray
    first_box: np.ndarray
    ego_xyz: np.ndarray
    filename: np.ndarray
    time_us: np.ndarray
    previous: np.ndarray
    global_from_lidar: np.ndarray
    centre: np.ndarray
    size_wlh: np.ndarray
    rotation_wxyz: np.ndarray
    velocity: np.ndarray
    category: np.ndarray
    attribute: np.ndarray
    lidar_points: np.ndarray
    radar_points: np.ndarray

    def __len__(self) -> int:
        return len(self.token)

    def path(self, row: int) -> str:
        """Path of a sweep's file below the folder of the data."""
        return os.fsdecode(self.filename[row])

    def boxes_of(self, row: int) -> slice:
        """Rows of the boxes of a sample."""
        return slice(int(self.first_box[row]), int(self.first_box[row + 1]))

    def sweeps_of(self, row: int, most: int) -> list[int]:
        """Rows of a sample's sweeps from its keyframe back in time, at most `most`."""
        found = [int(self.keyframe[row])]
        while len(found) < most and (before := int(self.previous[found[-1]])) >= 0:
            found.append(before)
        return found

    def only(self, row: int, most: int) -> NuScenesIndex:
        """The index of one sample and its sweeps, small enough to be sent to another process."""
        sweeps, boxes = self.sweeps_of(row, most), self.boxes_of(row)
        parts: dict[str, Any] = {name: getattr(self, name)[row : row + 1] for name in ("token", "scene", "ego_xyz")}
        parts |= {name: getattr(self, name)[sweeps] for name in ("filename", "time_us", "global_from_lidar")}
        parts |= {name: getattr(self, name)[boxes] for name in _OF_BOXES}
        parts["keyframe"], parts["first_box"] = np.array([0]), np.array([0, boxes.stop - boxes.start])
        parts["previous"] = np.array([*range(1, len(sweeps)), -1])
        return replace(self, **parts)


_OF_BOXES = (
    "centre",
    "size_wlh",
    "rotation_wxyz",
    "velocity",
    "category",
    "attribute",
    "lidar_points",
    "radar_points",
)


def is_indexed(folder: Path) -> bool:
    """Whether `vol3d data prepare` wrote its index here."""
    return (folder / INDEX).is_file()


def write_index(index: NuScenesIndex, version: str, data: Path, out: Path, tables: Path) -> None:
    """Writes the index into the folder `out`.

    Args:
        data: the folder that holds `samples` and `sweeps`.
        tables: the folder of the tables.

    Raises:
        UsageError: `out` holds the index of another version or folder.
        Vol3dError: another process works in `out`, or it cannot be written.
    """
    facts = {"format": FORMAT, "version": version, "data": str(data.resolve())}
    with lock(make_folder(out)):
        remove_leftovers(out)
        if is_indexed(out):
            refuse_other(read_json(out / INDEX), facts, out)
        with atomic(out / ARRAYS) as temporary, temporary.open("wb") as file:
            np.savez(file, **{field.name: getattr(index, field.name) for field in fields(index)})
        seen = {path.name: [stamp(path), sha256(path)] for path in sorted(tables.glob("*.json"))}
        write_json(out / INDEX, facts | {"tables": {"folder": str(tables.resolve()), "files": seen}})


def read_index(folder: Path) -> tuple[NuScenesIndex, str, Path]:
    """Index, version and the folder with the sweeps, as `write_index` was given them.

    Raises:
        DataError: missing, damaged, or of another release; or the tables that it was made of are others now.
    """
    facts = read_json(folder / INDEX)
    try:
        if facts["format"] != FORMAT:
            raise DataError("made by another release", where=folder / INDEX, got=facts["format"], wanted=FORMAT,
                            do=AGAIN)  # fmt: skip
        with np.load(require_file(folder / ARRAYS, do=AGAIN), allow_pickle=False) as arrays:
            index = NuScenesIndex(**{field.name: arrays[field.name] for field in fields(NuScenesIndex)})
        _refuse_changed(facts.get("tables"), folder)
        return index, str(facts["version"]), Path(facts["data"])
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError("the prepared index is damaged", where=folder, got=error, do=AGAIN) from error


def _refuse_changed(tables: Any, folder: Path) -> None:
    """Raises DataError if a table is there and is another one now; an earlier release kept nothing of its tables.

    The content is read only where size or time differ, as after a copy.
    """
    if tables is None:
        return
    there = {Path(tables["folder"]) / name: seen for name, seen in tables["files"].items()}
    changed = [
        path.name
        for path, (quick, content) in there.items()
        if path.is_file() and stamp(path) != quick and sha256(path) != content
    ]
    if changed:
        got = ", ".join(changed)
        raise DataError("the tables have changed since they were prepared", where=folder, got=got, do=AGAIN)
