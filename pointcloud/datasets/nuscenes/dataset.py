"""nuScenes (Caesar et al., CVPR 2020): drives with ten sweeps a sample, ten classes, boxes with velocities.

    ROOT/v1.0-trainval/*.json       tables (also v1.0-mini, v1.0-test, or any other folder of such tables)
    ROOT/samples/LIDAR_TOP          keyframes
    ROOT/sweeps/LIDAR_TOP           what lies between them

`vol3d data prepare nuscenes ROOT -o OUT` reads the tables once into a small index; OUT is a root then, too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from pointcloud.datasets.nuscenes.index import NuScenesIndex, is_indexed, read_index, write_index
from pointcloud.datasets.nuscenes.sample import NuScenesSample
from pointcloud.datasets.nuscenes.splits import SPLITS, Part, official_part, read_parts
from pointcloud.datasets.nuscenes.tables import read_tables
from pointcloud.datasets.scenes import SceneSplit, chance_of
from pointcloud.datasets.settings import SceneSettings, SubmissionForm
from pointcloud.structures.class_names import NUSCENES_CLASSES
from pointcloud.structures.generated import is_generated
from pointcloud.structures.sensor import Density, Sensor
from vol3d.dataset_tools.fault import Fault, absent_file, listed, refuse_errors
from vol3d.errors import DataError
from vol3d.files import is_there
from vol3d.layouts import layout_hint

NAME = "nuScenes"
TEST = "v1.0-test"
PREFERRED = ("v1.0-trainval", "v1.0-mini", TEST)
USUAL_GAP_S, WIDE_GAP_S = 0.05, 0.1
"""From one sweep of nuScenes to the next, and from where on sweeps are far apart."""


class NuScenesSettings(SceneSettings):
    """nuScenes, or other drives in its format."""

    sensor = Sensor(max_intensity=255.0, ground_m=-1.84)
    submission = SubmissionForm(".json")
    taken_over = frozenset({"sweeps", "close_m", "every_beam"})
    thinned_by = frozenset({"validation_step"})

    name: Literal["nuscenes"] = "nuscenes"
    root: Path = Field(description="the data set's folder, or the index that `vol3d data prepare` made of it")
    version: str | None = Field(None, description="folder of the tables; null: trainval, else mini, else the only one")
    data: Path | None = Field(None, description="folder of samples and sweeps, if it moved since the preparation")
    sweeps: int = Field(10, ge=1, le=100, description="taken together, the keyframe among them; 1: keyframes only")
    close_m: float = Field(1.0, ge=0, description="points of earlier sweeps nearer than this are the car itself")
    min_points: int = Field(1, ge=0, description="annotated boxes with fewer LiDAR points are left out")
    every_beam: int = Field(1, ge=1, le=32, description="beams of the scanner: 1 all, 2 every second, as a cheaper one")
    validation: float | None = Field(None, gt=0, lt=1, description="share of the scenes; null: the official lists")
    validation_step: int = Field(1, ge=1, description="training evaluates on one validation sample in so many")

    def split(self) -> SceneSplit:
        """The samples of each part. Reads the tables or the index, and no sweep.

        Raises:
            DataError: no such folder, tables missing or broken, scenes in no list.
        """
        if not self.root.is_dir():
            raise DataError("no such folder", where=self.root, do="Set the data set's root to where it lies.")
        if is_indexed(self.root):
            index, version, data = read_index(self.root)
            data, listing = self.data or data, []
            splits = data / version / SPLITS
        else:
            version, data = self._version(), self.data or self.root
            index, splits = read_tables(self.root / version), self.root / version / SPLITS
            listing = missing_sweeps(index, data, keyframes_only=self.sweeps == 1) + self._version_assumed(version)
        listing += far_apart(index, self.sweeps)
        if not (data / "samples").is_dir():
            do = "Set the data set's `data` to the folder with samples and sweeps."
            raise DataError("the sweeps are not here", where=data, wanted="samples/LIDAR_TOP", do=do)
        parts = self._parts(index, version, splits)
        samples: dict[Part, list[NuScenesSample]] = {"train": [], "validation": [], "test": []}
        for row, scene in enumerate(index.scene.tolist()):
            sample = NuScenesSample(index, row, data, self.sweeps, self.close_m, self.min_points, self.every_beam)
            samples[parts[scene]].append(sample)
        train, validation, test = (tuple(samples[part]) for part in ("train", "validation", "test"))
        validation = validation[:: self.validation_step]

        def write_prepared(out: Path) -> None:
            refuse_errors(listing, NAME)
            write_index(index, version, data, out, splits.parent)

        return SceneSplit(
            NAME,
            NUSCENES_CLASSES,
            train,
            validation,
            test,
            tuple(listing),
            write_prepared,
            synthetic=is_generated(data),
            max_intensity=self.sensor.max_intensity,
        )

    def for_test(self) -> NuScenesSettings:
        """With the tables of the test set, where they lie beside others and none are chosen."""
        if self.version is None and (self.root / TEST).is_dir():
            return self.model_copy(update={"version": TEST})
        return self

    @property
    def density(self) -> Density:
        """Sweeps and beams of a sample."""
        return Density(self.sweeps, self.every_beam)

    def _versions(self) -> list[str]:
        return sorted(path.parent.name for path in self.root.glob("*/sample_data.json"))

    def _version_assumed(self, version: str) -> list[Fault]:
        """A warning where several versions have labels and none was chosen."""
        found = [name for name in self._versions() if name != TEST]
        if self.version is not None or len(found) < 2 or version == TEST:
            return []
        what, do = f"{version} is read of {listed(found)}", "Choose with data.version, or `version=` of this command."
        return [Fault(NAME, "warning", what, do, code="version-assumed", numbers={"versions": len(found)})]

    def _version(self) -> str:
        found = self._versions()
        if self.version is not None:
            if not (self.root / self.version).is_dir():
                got = listed(found) or "none"
                raise DataError("no such version", where=self.root, got=got, wanted=self.version)
            return self.version
        known = [version for version in PREFERRED if version in found] or found
        if not known:
            do = layout_hint(self.root, self.name) or "Unpack the metadata archive here."
            raise DataError("no tables", where=self.root, wanted="v1.0-trainval/sample_data.json", do=do)
        if known == found and len(found) > 1 and found[0] not in PREFERRED:
            raise DataError("several versions", where=self.root, got=listed(found), do="Choose one with data.version.")
        return known[0]

    def _parts(self, index: NuScenesIndex, version: str, splits: Path) -> list[Part]:
        """The part of each scene."""
        names = [str(name) for name in index.scene_names]
        if self.validation is not None:
            return ["validation" if chance_of(name) < self.validation else "train" for name in names]
        if is_there(splits):
            chosen = read_parts(splits, names)
            return [chosen[name] for name in names]
        return [official_part(name, version) for name in names]


def missing_sweeps(index: NuScenesIndex, data: Path, keyframes_only: bool) -> list[Fault]:
    """Sweeps without a file. Lists the folders, which is much faster than asking for hundreds of thousands of files."""
    wanted = [os.fsdecode(file) for file in (index.filename[index.keyframe] if keyframes_only else index.filename)]
    there = {file for folder in {file.rpartition("/")[0] for file in wanted} for file in _files(data, folder)}
    absent = [file for file in wanted if file not in there]
    if not absent:
        return []
    owner = {index.path(row): os.fsdecode(index.token[number]) for number, row in enumerate(index.keyframe)}
    what = f"{len(absent)} of {len(wanted)} sweeps are missing: {listed(absent, 3)}"
    do = "Unpack their archives, or set data.sweeps to 1 for keyframes only."
    numbers = {"absent": len(absent), "sweeps": len(wanted)}
    faults = [Fault(NAME, "error", what, do, code="absent-sweeps", numbers=numbers)]
    return faults + [absent_file(owner[file], data / file, do) for file in absent if file in owner]


def far_apart(index: NuScenesIndex, sweeps: int) -> list[Fault]:
    """A warning where sweeps are taken together that lie much farther apart than nuScenes' own."""
    later = np.flatnonzero(index.previous >= 0)
    if sweeps == 1 or not len(later):
        return []
    gap_s = 1e-6 * float(np.median(index.time_us[later] - index.time_us[index.previous[later]]))
    if gap_s <= WIDE_GAP_S:
        return []
    span = f"{sweeps} of them span {gap_s * (sweeps - 1):.2g} s"
    what = f"sweeps are {gap_s:.2g} s apart, nuScenes' own {USUAL_GAP_S} s: {span}"
    do = "Set data.sweeps to 1 if only keyframes are here."
    return [Fault(NAME, "warning", what, do, code="sweeps-far-apart", numbers={"gap_s": gap_s, "sweeps": sweeps})]


def _files(data: Path, folder: str) -> list[str]:
    try:
        return [f"{folder}/{path.name}" for path in (data / folder).iterdir()]
    except OSError:  # the folder itself is missing: all its files are
        return []
