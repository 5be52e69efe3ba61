"""SUSTechPOINTS: `label/FRAME.json`, a list of boxes, each with `psr`: position, scale and rotation.

The position is the middle, the scale is along the box's own axes with x along the heading, the rotation is about x, y
and z in radians (its documentation and its example scene). The file names no cloud: `lidar/FRAME.pcd` is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pointcloud.exchange.scenes import JsonOf, LabelledScene, as_xyz, box_of, label_files, xyz_of
from vol3d.files import make_folder, write_json


def read_sustechpoints(path: Path) -> list[LabelledScene]:
    """The frames of a scene's folder, of its `label` folder, or of one file. Raises DataError for another form."""
    scenes = []
    for file in label_files(path / "label" if (path / "label").is_dir() else path):
        with JsonOf(file, "SUSTechPOINTS") as value:
            frame = value["objs"] if isinstance(value, dict) else value
            boxes = []
            for number, one in enumerate(frame):
                center, size, rotation = (xyz_of(one["psr"][part]) for part in ("position", "scale", "rotation"))
                boxes.append(box_of(one["obj_type"], center, size, rotation, f"{file}: [{number}]"))
            scenes.append(LabelledScene(f"{file.stem}.pcd", tuple(boxes)))
    return scenes


def write_sustechpoints(scenes: Sequence[LabelledScene], out: Path) -> None:
    """`label/FRAME.json` for each scene; the numbers of the objects count from 1 in each frame."""
    folder = make_folder(out / "label")
    for scene in scenes:
        frame = []
        for number, box in enumerate(scene.boxes, start=1):
            psr = {"position": as_xyz(box.center), "scale": as_xyz(box.size), "rotation": as_xyz((0.0, 0.0, box.yaw))}
            frame.append({"obj_id": str(number), "obj_type": box.name, "psr": psr})
        write_json(folder / f"{scene.stem}.json", frame)
