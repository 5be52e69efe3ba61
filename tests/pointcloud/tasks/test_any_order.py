"""The order of a file's points decides nothing, and what is turned is found turned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import vol3d
from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.generate.rooms.room import RoomNumber, make_room
from pointcloud.inference.align import turn_about_z, turned
from pointcloud.tasks.base import CloudTask, surface_of
from pointcloud.tasks.lidar import LidarSettings, LidarTask
from pointcloud.tasks.rooms import DetectionSettings, DetectionTask
from tests.pointcloud.inference.test_ground import street
from tests.pointcloud.models import small, small_lidar
from tests.pointcloud.synthetic import room
from vol3d.geometry import iou_3d
from vol3d.prediction import BoxPrediction
from vol3d.scans.points.cloud import PointCloud

CPU = torch.device("cpu")
RNG = np.random.default_rng(1)


def permuted(cloud: PointCloud) -> PointCloud:
    place = RNG.permutation(len(cloud))
    columns = {name: values[place] for name, values in cloud.columns.items()}
    faces = None if cloud.faces is None else RNG.permutation(np.argsort(place)[cloud.faces])
    return replace(cloud, xyz=cloud.xyz[place], columns=columns, faces=faces)


def with_duplicates(cloud: PointCloud) -> PointCloud:
    rows = np.concatenate([np.arange(len(cloud)), np.arange(0, len(cloud), 3), [0, 0]])
    return replace(cloud, xyz=cloud.xyz[rows], columns={name: values[rows] for name, values in cloud.columns.items()})


def check_any_order(task: CloudTask, cloud: PointCloud) -> None:
    torch.manual_seed(0)
    models = [task.model().eval()]
    once = task.predict(models, task.prepared(cloud), CPU)
    again = task.predict(models, task.prepared(permuted(cloud)), CPU)
    assert len(once.boxes) and once.boxes.tobytes() == again.boxes.tobytes()
    assert once.scores.tobytes() == again.scores.tobytes() and once.names == again.names and once.notes == again.notes
    assert np.array_equal(once.cloud.xyz, task.prepared(cloud).xyz)  # the points stay in the file's order


@pytest.mark.parametrize("name", sorted(small_lidar.MODELS))
def test_of_sweeps(name: str) -> None:
    model = small_lidar.MODELS[name]
    max_points = None if name == "pillar od" else 2
    few = {"voxels": model.voxels.model_copy(update={"max_voxels": 150, "max_points": max_points})}
    few |= {"score": 0.0} if name == "voxelnet" else {}
    if hasattr(model, "head") and hasattr(model.head, "score"):
        few["head"] = model.head.model_copy(update={"score": 0.0})
    settings = {"model": model.model_copy(update=few), "class_names": small_lidar.CLASSES}
    task = LidarTask(LidarSettings(data=NuScenesSettings(root="drives"), **settings, predict={"score": 0}))
    table = small_lidar.drive(4)[0].numpy()
    check_any_order(task, with_duplicates(PointCloud(table[:, :3].copy(), {"intensity": table[:, 3]})))


@pytest.mark.parametrize("name", sorted(small.MODELS))
@pytest.mark.parametrize("points", [300, 5000])
def test_of_rooms(name: str, points: int) -> None:
    settings: dict[str, Any] = {"model": small.MODELS[name], "class_names": small.CLASSES, "points": points}
    task = DetectionTask(
        DetectionSettings(
            data=PointFolderSettings(root="rooms"),
            **settings,
            postprocess={"min_objectness": 0},
            predict={"score": 0},
        )
    )
    xyz = room(0)[0]
    check_any_order(
        task, with_duplicates(PointCloud(xyz, {"rgb": RNG.integers(0, 256, (len(xyz), 3)).astype(np.uint8)}))
    )


def test_of_meshes() -> None:
    xyz = room(0, points=90)[0]
    cloud = PointCloud(xyz, faces=np.stack([RNG.permutation(len(xyz))[:3] for _ in range(50)]))
    once, again = surface_of(cloud, 400), surface_of(permuted(cloud), 400)
    assert once.xyz.tobytes() == again.xyz.tobytes()


@pytest.mark.parametrize("name", ["3detr-rooms", "centerpoint-drives", "object-dgcnn-drives"])
def test_of_files_for_shipped_models(name: str) -> None:
    model = vol3d.load(name, "cpu")
    if name == "3detr-rooms":
        cloud = PointCloud(room(1, points=6000)[0])
    else:
        xyz = street(points=9000)
        cloud = PointCloud(xyz, {"intensity": np.round(RNG.uniform(0, 200, len(xyz))).astype(np.float32)})
    once, again = model.predict(cloud, score=0.05), model.predict(permuted(cloud), score=0.05)
    assert isinstance(once, BoxPrediction) and isinstance(again, BoxPrediction)
    assert len(once.boxes) and once.boxes.tobytes() == again.boxes.tobytes() and once.names == again.names


def test_what_is_turned_by_90_degrees_is_found_turned() -> None:
    model = vol3d.load("3detr-rooms", "cpu")
    xyz = make_room(RoomNumber(0, 3, 0.06)).scan.xyz.astype(np.float32)
    turn = turn_about_z(np.pi / 2)[:3, :3].round().astype(np.float32)
    straight, other = model.predict(PointCloud(xyz)), model.predict(PointCloud(xyz @ turn.T))
    assert isinstance(straight, BoxPrediction) and isinstance(other, BoxPrediction)
    back = torch.from_numpy(turned(other.detections, -np.pi / 2).boxes)
    before, after = (
        iou_3d(torch.from_numpy(straight.boxes), boxes).max(dim=1).values
        for boxes in (torch.from_numpy(other.boxes), back)
    )
    assert len(straight.boxes) > 5 and before.median() < 0.1 and after.median() > 0.3
