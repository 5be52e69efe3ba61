"""Scenes whose ground lies at one height: what a detector with `model.ground` is trained and evaluated on.

A scanner on a robot sees the ground half a metre below itself, one on a truck two and a half. A detector that is shown
every sweep with the ground where it learnt it finds the same in both.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np

from pointcloud.datasets.scenes import Scene, SceneReader
from pointcloud.inference.ground import find_ground, raised, refuse_upside_down
from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections


@dataclass(frozen=True)
class GroundRule:
    """To which height the ground of each sweep is brought.

    Args:
        aim_m: that height.
        usual_m: where the data set's scanner has the ground, for a sweep in which none is found; None: not known.
    """

    aim_m: float
    usual_m: float | None

    def shift_m(self, cloud: PointCloud, where: str) -> tuple[float, tuple[Note, ...]]:
        """By how many metres a sweep must rise, and a note if its ground had to be assumed.

        Args:
            where: the name of the scene, for messages.

        Raises:
            DataError: no ground is found, and where it usually is is not known; or the cloud is upside down.
        """
        found = find_ground(cloud.xyz)
        if found is not None:
            refuse_upside_down(found, where, "Turn them in the file.")
            return self.aim_m - found.height_m, ()
        if self.usual_m is None:
            do = "Leave the scene out, or set model.ground=null."
            raise DataError("no ground was found, which model.ground needs", where=where, do=do)
        text = "no ground was found in a sweep: it was assumed at {usual:.2f} m, where the scanner has it"
        note = Note("ground-assumed", text, "model.ground", assumed=True, numbers={"usual": self.usual_m})
        return self.aim_m - self.usual_m, (note,)


@dataclass(frozen=True)
class GroundedScene:
    """A scene that is read with its points and boxes shifted by a rule."""

    reader: SceneReader
    rule: GroundRule

    @property
    def name(self) -> str:
        """The scene's own."""
        return self.reader.name

    def read(self) -> Scene:
        """The scene, shifted; a ground that had to be assumed is warned about."""
        scene = self.reader.read()
        shift, notes = self.rule.shift_m(scene.cloud, scene.name)
        for note in notes:
            warnings.warn(f"{scene.name}: {note}", stacklevel=2)
        return replace(scene, cloud=raised(scene.cloud, shift), truth=lifted(scene.truth, shift))

    def labels(self) -> np.ndarray:
        """The scene's own."""
        return self.reader.labels()

    def fingerprint(self, quick: bool = False) -> str:
        """Of the scene and of the rule."""
        return f"{self.reader.fingerprint(quick)} {self.rule}"


def lifted(boxes: Detections, shift_m: float) -> Detections:
    """Boxes higher by `shift_m` metres."""
    if not shift_m:
        return boxes
    up = np.zeros(boxes.boxes.shape[1], boxes.boxes.dtype)
    up[2] = shift_m
    return replace(boxes, boxes=boxes.boxes + up)
