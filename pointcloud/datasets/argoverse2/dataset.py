"""Argoverse 2, sensor data set (Wilson et al., NeurIPS 2021 Datasets): 1,000 logs of 15 s at 10 Hz, 26 categories.

    ROOT/train/LOG/sensors/lidar/TIMESTAMP.feather    x y z intensity laser_number offset_ns, in the vehicle's frame
    ROOT/train/LOG/annotations.feather                cuboids of each sweep, in the vehicle's frame at its moment
    ROOT/train/LOG/city_SE3_egovehicle.feather        poses; needed where several sweeps are taken together
    ROOT/val/..., ROOT/test/...                       the same; test logs have no annotations

Two LiDARs of 32 beams each stand one on the other: `laser_number` runs from 0 to 63. A sweep holds the points of one
turn of both, already put right for the motion of the vehicle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from pointcloud.conventions.argoverse2 import CATEGORIES
from pointcloud.datasets.argoverse2.sweep import DECIDING, Argoverse2Sweep, PreparedArgoverse2Sweep
from pointcloud.datasets.argoverse2.tables import ANNOTATIONS, POSES, SWEEPS
from pointcloud.datasets.prepared import is_prepared, prepared_split
from pointcloud.datasets.scenes import SceneSplit, chance_of
from pointcloud.datasets.settings import SceneSettings, SubmissionForm
from pointcloud.structures.sensor import Density, Sensor
from vol3d.dataset_tools.fault import Fault, absent_file, listed
from vol3d.errors import DataError
from vol3d.layouts import layout_hint

NAME = "Argoverse 2"
PARTS = {"train": "train", "validation": "val", "test": "test"}
"""Part of a split -> folder."""


class Argoverse2Settings(SceneSettings):
    """Argoverse 2's sensor data set, or other drives laid out like it."""

    sensor = Sensor(max_intensity=255.0, ground_m=-0.33)
    submission = SubmissionForm(".feather")
    taken_over = frozenset({"sweeps", "every_beam"})
    thinned_by = frozenset({"validation_step"})

    name: Literal["argoverse2"] = "argoverse2"
    root: Path = Field(description="the folder that holds train, val and test; or prepared")
    class_names: tuple[str, ...] = Field(CATEGORIES, min_length=1, description="categories to detect, in order")
    sweeps: int = Field(1, ge=1, le=100, description="taken together, each put into the frame of the newest")
    min_points: int = Field(1, ge=0, description="annotated boxes with fewer LiDAR points are left out")
    every_beam: int = Field(1, ge=1, le=32, description="beams of the scanners: 1 all, 2 every second ...")
    validation: float | None = Field(None, gt=0, lt=1, description="share of the logs; null: those in val")
    validation_step: int = Field(1, ge=1, description="training evaluates on one validation sweep in so many")

    @field_validator("class_names")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in CATEGORIES]
        if unknown or len(set(names)) < len(names):
            raise ValueError(f"categories of the competition, each once; got {listed(unknown or names)}")
        return names

    def split(self) -> SceneSplit:
        """The sweeps of each part. Lists folders, and reads no file.

        Raises:
            DataError: no such folder, it is not laid out like Argoverse 2, or it was prepared otherwise.
        """
        if not self.root.is_dir():
            raise DataError("no such folder", where=self.root, do="Set the data set's root to where it lies.")
        if is_prepared(self.root):
            return self._prepared()
        logs = self._logs()
        faults = [fault for part, found in logs.items() for log in found for fault in self._faults(log, part)]
        train, validation, test = (self._sweeps(logs[part]) for part in PARTS)
        return SceneSplit(
            NAME,
            self.class_names,
            train,
            validation[:: self.validation_step],
            test,
            listing=tuple(faults),
            max_intensity=self.sensor.max_intensity,
        )

    @property
    def density(self) -> Density:
        """Sweeps and beams of a scene."""
        return Density(self.sweeps, self.every_beam)

    def _logs(self) -> dict[str, list[Path]]:
        """Part -> folders of its logs.

        Raises:
            DataError: there is no log.
        """
        logs = {part: _logs(self.root / folder) for part, folder in PARTS.items()}
        if not any(logs.values()):
            wanted = f"train/LOG/{SWEEPS}/*.feather, and val, test likewise"
            do = layout_hint(self.root, self.name)
            raise DataError("not an Argoverse 2 folder", where=self.root, got=_content(self.root), wanted=wanted, do=do)
        if self.validation is not None:
            labelled, share = [*logs["train"], *logs["validation"]], self.validation
            logs["validation"] = [log for log in labelled if chance_of(log.name) < share]
            logs["train"] = [log for log in labelled if chance_of(log.name) >= share]
        return logs

    def _prepared(self) -> SceneSplit:
        """The split of a prepared folder, if it was made with these sweeps, beams and least points.

        Raises:
            DataError: it was made with others.
        """
        split = prepared_split(self.root, self.class_names, PreparedArgoverse2Sweep)
        own = {name: getattr(self, name) for name in DECIDING}
        for scene in split.labelled[:1]:  # all were made by one command
            made = PreparedArgoverse2Sweep(self.root, scene.name, self.class_names).made_with
            if made != own:
                do = f"Set {', '.join(f'data.{name}' for name in DECIDING)} to those, or prepare the data set again."
                raise DataError("prepared with other settings", where=self.root, got=made, wanted=own, do=do)
        return split

    def _sweeps(self, logs: Sequence[Path]) -> tuple[Argoverse2Sweep, ...]:
        """All sweeps of some logs, in order of time."""
        return tuple(
            Argoverse2Sweep(
                log,
                time_ns,
                tuple(times[max(0, row + 1 - self.sweeps) : row][::-1]),
                self.class_names,
                self.sweeps,
                self.min_points,
                self.every_beam,
            )
            for log in logs
            for times in [_times(log)]
            for row, time_ns in enumerate(times)
        )

    def _faults(self, log: Path, part: str) -> list[Fault]:
        """Files that a log lacks."""
        wanted = [log / ANNOTATIONS] if part != "test" else []
        wanted += [log / POSES] if self.sweeps > 1 else []
        do = "Download the log again, or remove its folder."
        return [absent_file(log.name, path, do) for path in wanted if not path.is_file()]


def _logs(folder: Path) -> list[Path]:
    """Folders with sweeps in the folder of a part, by name."""
    return sorted(path.parent.parent for path in folder.glob(f"*/{SWEEPS}") if path.is_dir())


def _times(log: Path) -> list[int]:
    """Moments of a log's sweeps in nanoseconds, ascending."""
    return sorted(int(path.stem) for path in (log / SWEEPS).glob("*.feather") if path.stem.isdecimal())


def _content(folder: Path) -> str:
    return listed(sorted(path.name for path in folder.iterdir())) or "an empty folder"
