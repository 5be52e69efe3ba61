"""Tables of nuScenes: boxes in the world, with the sizes w l h and quaternions, of `samples/LIDAR_TOP`.

A keyframe is a scan, and its boxes are put into the LiDAR's frame (`pointcloud.conventions.nuscenes`). Categories have
the names of the detection classes where they are of one (`vehicle.car` is `car`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pointcloud.conventions.nuscenes import NuscenesBoxes, boxes_from_nuscenes, boxes_to_nuscenes
from pointcloud.conventions.tokens import token
from pointcloud.datasets.nuscenes.index import NuScenesIndex
from pointcloud.datasets.nuscenes.sample import CLASS_OF_CATEGORY
from pointcloud.datasets.nuscenes.splits import SPLITS
from pointcloud.datasets.nuscenes.tables import CHANNEL, read_tables
from pointcloud.datasets.poses import invert
from pointcloud.exchange.scenes import LabelledBox, LabelledScene, box_of
from vol3d.errors import DataError
from vol3d.files import atomic, make_folder, write_json

VERSION = "v1.0-own"
_MAP = "maps/none.png"
_KEYFRAME_US = 500_000
_CATEGORIES = {
    **{name: category for category, name in reversed(CLASS_OF_CATEGORY.items())},
    "bus": "vehicle.bus.rigid",
}
"""Detection class -> the category that boxes of it are written with."""
Table = list[dict[str, Any]]


def read_nuscenes(path: Path) -> list[LabelledScene]:
    """The keyframes of a data set's folder with one version, or of the folder of its tables.

    Raises:
        DataError: no tables or several versions; and as `read_tables`.
    """
    found = (
        [path]
        if (path / "sample_data.json").is_file()
        else sorted(one.parent for one in path.glob("*/sample_data.json"))
    )
    if len(found) != 1:
        got = ", ".join(folder.name for folder in found) or "no sample_data.json"
        raise DataError("not the tables of one version of nuScenes", where=path, got=got, do="Give their folder.")
    index = read_tables(found[0])
    return [_scene(index, row, found[0]) for row in range(len(index))]


def _scene(index: NuScenesIndex, row: int, folder: Path) -> LabelledScene:
    keyframe, rows = int(index.keyframe[row]), index.boxes_of(row)
    columns = (torch.from_numpy(one[rows]) for one in (index.centre, index.size_wlh, index.rotation_wxyz))
    table = boxes_from_nuscenes(NuscenesBoxes(*columns), torch.from_numpy(invert(index.global_from_lidar[keyframe])))
    categories = [str(index.categories[category]) for category in index.category[rows]]
    where = f"{folder}: sample {index.token[row].decode()}"
    boxes = tuple(
        box_of(CLASS_OF_CATEGORY.get(category, category), box[:3], box[3:6], (0.0, 0.0, box[6]), where)
        for category, box in zip(categories, table.tolist(), strict=True)
    )
    return LabelledScene(Path(index.path(keyframe)).name, boxes)


def write_nuscenes(scenes: Sequence[LabelledScene], out: Path) -> None:
    """`v1.0-own/*.json`; clouds belong into `samples/LIDAR_TOP`, float32 rows x y z intensity ring.

    Nothing is made up but what the tables must state: each scan is a scene of one sample, the LiDAR stands in the
    origin of the world, objects have no next sample and so no velocity, the visibility is that of what is fully seen,
    and the number of LiDAR points in a box is 1, as boxes with none are left out of training and evaluation. All
    scenes are for training (`splits.json`).
    """
    folder, tables = make_folder(out / VERSION), _fixed_tables(scenes)
    for number, scene in enumerate(scenes):
        _add_scene(tables, number, scene)
    make_folder(out / "samples" / CHANNEL)
    make_folder((out / _MAP).parent)
    with atomic(out / _MAP) as temporary:
        Image.fromarray(np.zeros((10, 10), np.uint8)).save(temporary)
    for name, table in tables.items():
        write_json(folder / f"{name}.json", table)
    write_json(folder / SPLITS, {"train": [scene.stem for scene in scenes], "val": []})


def _fixed_tables(scenes: Sequence[LabelledScene]) -> dict[str, Table]:
    categories = sorted({_category(box) for scene in scenes for box in scene.boxes})
    pose = {"translation": [0.0, 0.0, 0.0], "rotation": [1.0, 0.0, 0.0, 0.0]}
    mount = {"token": token("mount"), "sensor_token": token("sensor"), **pose, "camera_intrinsic": []}
    log = {"token": token("log"), "logfile": "", "vehicle": "", "date_captured": "", "location": ""}
    return {
        "sensor": [{"token": token("sensor"), "channel": CHANNEL, "modality": "lidar"}],
        "calibrated_sensor": [mount],
        "category": [{"token": token("category", name), "name": name, "description": ""} for name in categories],
        "attribute": [],
        "visibility": [{"token": "4", "level": "v80-100", "description": ""}],
        "log": [log],
        "map": [{"token": token("map"), "log_tokens": [token("log")], "category": "", "filename": _MAP}],
        "ego_pose": [{"token": token("pose"), "timestamp": 0, **pose}],
        **{name: [] for name in ("scene", "sample", "sample_data", "instance", "sample_annotation")},
    }


def _category(box: LabelledBox) -> str:
    return _CATEGORIES.get(box.name, box.name)


def _add_scene(tables: dict[str, Table], number: int, scene: LabelledScene) -> None:
    name, time_us, alone = scene.stem, number * _KEYFRAME_US, {"prev": "", "next": ""}
    key, sample = token("scene", name), token("sample", name)
    ends = {"first_sample_token": sample, "last_sample_token": sample}
    about: dict[str, Any] = {
        "token": key,
        "name": name,
        "description": "",
        "log_token": token("log"),
        "nbr_samples": 1,
    }
    tables["scene"].append({**about, **ends})
    tables["sample"].append({"token": sample, "timestamp": time_us, "scene_token": key, **alone})
    reading: dict[str, Any] = {"token": token("sweep", name), "sample_token": sample, "ego_pose_token": token("pose")}
    reading |= {"calibrated_sensor_token": token("mount"), "timestamp": time_us, "fileformat": "pcd"}
    file = f"samples/{CHANNEL}/{name}.pcd.bin"
    tables["sample_data"].append({**reading, "is_key_frame": True, "height": 0, "width": 0, "filename": file, **alone})
    for at, box in enumerate(scene.boxes):
        _add_box(tables, (name, at), sample, box)


def _add_box(tables: dict[str, Table], own: tuple[str, int], sample: str, box: LabelledBox) -> None:
    instance, annotation = token("instance", *own), token("box", *own)
    ends = {"first_annotation_token": annotation, "last_annotation_token": annotation}
    about = {"token": instance, "category_token": token("category", _category(box)), "nbr_annotations": 1}
    tables["instance"].append({**about, **ends})
    row = torch.tensor([(*box.center, *box.size, box.yaw)], dtype=torch.float64)
    placed = boxes_to_nuscenes(row, torch.eye(4, dtype=torch.float64))
    place = {
        "translation": placed.translation[0].tolist(),
        "size": placed.size_wlh[0].tolist(),
        "rotation": placed.rotation_wxyz[0].tolist(),
    }
    seen = {"visibility_token": "4", "attribute_tokens": [], "num_lidar_pts": 1, "num_radar_pts": 0}
    links = {"sample_token": sample, "instance_token": instance, "prev": "", "next": ""}
    tables["sample_annotation"].append({"token": annotation, **links, **seen, **place})
