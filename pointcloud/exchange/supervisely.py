"""Supervisely point clouds: `ann/CLOUD.pcd.json` with objects (classes) and figures of the type `cuboid_3d`.

`position` is the middle, `rotation` is about x, y and z in radians. In the documentation of the SDK a car has the
dimensions x 1.8 (width), y 3.9 (length), z 1.6, and Supervisely's import of KITTI writes the angle `-rotation_y` with
them: the heading is along -y of the box, and `yaw = rotation - pi/2`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from pointcloud.conventions.tokens import token
from pointcloud.exchange.scenes import JsonOf, LabelledScene, as_xyz, box_of, label_files, wrapped, xyz_of
from vol3d.errors import DataError
from vol3d.files import make_folder, write_json

_TURN = math.pi / 2
_CUBOID = "cuboid_3d"


def read_supervisely(path: Path) -> list[LabelledScene]:
    """The clouds of a project, a data set, its `ann` folder or one file.

    Raises:
        DataError: a file of another form, a figure that is no cuboid or of no object.
    """
    pattern = "ann/*.json" if (path / "ann").is_dir() else "*/ann/*.json" if any(path.glob("*/ann")) else "*.json"
    scenes = []
    for file in label_files(path, pattern):
        with JsonOf(file, "Supervisely") as value:
            classes = {one["key"]: one["classTitle"] for one in value["objects"]}
            boxes = []
            for number, figure in enumerate(value["figures"]):
                where, geometry = f"{file}: figures[{number}]", figure["geometry"]
                if figure["geometryType"] != _CUBOID:
                    raise DataError("a figure that is no box", where=where, got=figure["geometryType"], wanted=_CUBOID)
                width, length, height = xyz_of(geometry["dimensions"])
                about_x, about_y, about_z = xyz_of(geometry["rotation"])
                rotation, size = (about_x, about_y, about_z - _TURN), (length, width, height)
                name = classes[figure["objectKey"]]
                boxes.append(box_of(name, xyz_of(geometry["position"]), size, rotation, where))
            scenes.append(LabelledScene(file.stem, tuple(boxes)))
    return scenes


def write_supervisely(scenes: Sequence[LabelledScene], out: Path) -> None:
    """A project with one data set: `meta.json` and `ds0/ann/CLOUD.json`; the clouds belong into `ds0/pointcloud`."""
    folder = make_folder(out / "ds0" / "ann")
    for scene in scenes:
        objects, figures = [], []
        for number, box in enumerate(scene.boxes):
            key, figure = (token(scene.file, kind, number) for kind in ("object", "figure"))
            length, width, height = box.size
            geometry = {"position": as_xyz(box.center), "rotation": as_xyz((0.0, 0.0, wrapped(box.yaw + _TURN)))}
            geometry["dimensions"] = as_xyz((width, length, height))
            objects.append({"key": key, "classTitle": box.name, "tags": []})
            figures.append({"key": figure, "objectKey": key, "geometryType": _CUBOID, "geometry": geometry})
        about = {"description": "", "key": token(scene.file, "scene", 0), "tags": [], "objects": objects}
        write_json(folder / f"{Path(scene.file).name}.json", {**about, "figures": figures})
    names = sorted({box.name for scene in scenes for box in scene.boxes})
    classes = [{"title": name, "shape": _CUBOID, "color": f"#{token(name, 'colour', 0)[:6]}"} for name in names]
    write_json(out / "meta.json", {"classes": classes, "tags": [], "projectType": "point_clouds"})
