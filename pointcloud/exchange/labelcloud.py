"""labelCloud: a JSON for each cloud, `centroid_abs` (angles in degrees, 0 to 360) or `centroid_rel` (radians).

`centroid` is the middle, `dimensions` are length (along x of the box), width and height, `rotations` are about x, y and
z (labelCloud's documentation, "label formats"). Both kinds of file look alike, so that the format must be named; an
angle that the named one cannot have is refused, for then all are in the other unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from pointcloud.exchange.scenes import JsonOf, LabelledScene, as_xyz, box_of, label_files, xyz_of
from vol3d.errors import DataError
from vol3d.files import write_json

_SIZE = ("length", "width", "height")
_FULL_TURN, _ROUNDED = 2 * math.pi, 1e-3


def read_labelcloud(path: Path, radians: bool = False) -> list[LabelledScene]:
    """The scenes of a folder of label files, or of one. Raises DataError for a file of another form."""
    scenes = []
    for file in label_files(path):
        with JsonOf(file, "labelCloud") as value:
            boxes = []
            for number, one in enumerate(value["objects"]):
                where = f"{file}: objects[{number}]"
                angles = _angles(xyz_of(one["rotations"]), radians, where)
                center, size = xyz_of(one["centroid"]), xyz_of(one["dimensions"], _SIZE)
                boxes.append(box_of(one["name"], center, size, angles, where))
            scenes.append(LabelledScene(value["filename"], tuple(boxes)))
    return scenes


def _angles(stated: Sequence[float], radians: bool, where: str) -> list[float]:
    """Angles in radians. Raises DataError for those of the other kind of file: -pi to pi here, 0 to 360 there."""
    low, high = (-_FULL_TURN / 2, _FULL_TURN / 2) if radians else (0.0, 360.0)
    if not all(low - _ROUNDED <= angle <= high + _ROUNDED for angle in stated if math.isfinite(angle)):
        wanted, other = ("radians, -pi to pi", "") if radians else ("degrees, 0 to 360", "_rel")
        do = f"If all angles of the file are in {'degrees' if radians else 'radians'}, give --from labelcloud{other}."
        raise DataError("an angle that this format does not have", where=where, got=list(stated), wanted=wanted, do=do)
    return list(stated) if radians else [math.radians(angle) for angle in stated]


def write_labelcloud(scenes: Sequence[LabelledScene], out: Path, radians: bool = False) -> None:
    """A label file for each scene, beside which labelCloud looks for `pointclouds/FILE`."""
    for scene in scenes:
        objects = []
        for box in scene.boxes:
            turn = box.yaw if radians else math.degrees(box.yaw) % 360
            about = {"name": box.name, "centroid": as_xyz(box.center), "dimensions": as_xyz(box.size, _SIZE)}
            objects.append({**about, "rotations": as_xyz((0.0, 0.0, turn))})
        path = f"pointclouds/{scene.file}"
        head = {"folder": "pointclouds", "filename": scene.file, "path": path}
        write_json(out / f"{scene.stem}.json", {**head, "objects": objects})
