"""KITTI's object labels: `label_2/NAME.txt` in the frame of the camera, with `calib/NAME.txt`, of `velodyne/NAME.bin`.

Rows have the middle of the bottom face in the rectified camera frame, the sizes h w l and `rotation_y`
(`pointcloud.conventions.kitti`); boxes here are in the LiDAR's frame. Regions that are `DontCare` are no boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pointcloud.conventions.kitti import KittiBoxes, boxes_from_kitti, boxes_to_kitti
from pointcloud.conventions.kitti_objects import KittiObjects, read_kitti_objects, write_kitti_objects
from pointcloud.datasets.annotations import refuse_angles
from pointcloud.datasets.kitti.calibration import KittiCalibration, parse_calibration, read_calibration
from pointcloud.datasets.kitti.labels import IGNORED
from pointcloud.exchange.scenes import LabelledScene, box_of, cloud_of, label_files
from vol3d.class_names import plain_name
from vol3d.errors import DataError
from vol3d.files import make_folder, write_text

# A camera in the LiDAR's place that looks along +x: x to the right is -y, y down is -z, z forward is x.
_CAMERA = "1 0 0 0 0 1 0 0 0 0 1 0"
_FORWARD = "0 -1 0 0 0 0 -1 0 1 0 0 0"
_CALIBRATION = f"""P0: {_CAMERA}
P1: {_CAMERA}
P2: {_CAMERA}
P3: {_CAMERA}
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: {_FORWARD}
Tr_imu_to_velo: {_CAMERA}
"""


def read_kitti(path: Path) -> list[LabelledScene]:
    """The frames of the data set's folder, of `training`, of its `label_2`, or of one label file.

    `calib` lies beside `label_2`.

    Raises:
        DataError: no calibration, a row of another form.
    """
    scenes, folders = [], (path / "label_2", path / "training" / "label_2")
    for file in label_files(next((one for one in folders if one.is_dir()), path), "*.txt"):
        found = read_kitti_objects(file)
        calibration = _calibration_of(file)
        found = found.select(np.array([plain_name(name) != plain_name(IGNORED) for name in found.types], np.bool_))
        refuse_angles(found.rotation_y, "rotation_y", file)
        labels = KittiBoxes(
            *(torch.from_numpy(one) for one in (found.location, found.dimensions_hwl, found.rotation_y))
        )
        table = boxes_from_kitti(labels, torch.from_numpy(calibration.lidar_from_camera)).tolist()
        boxes = tuple(
            box_of(name, row[:3], row[3:6], (0.0, 0.0, row[6]), f"{file}: {name}")
            for name, row in zip(found.types.tolist(), table, strict=True)
        )
        scenes.append(LabelledScene(cloud_of(file, "velodyne", ".bin"), boxes))
    return scenes


def _calibration_of(file: Path) -> KittiCalibration:
    calib = file.absolute().parent.parent / "calib" / file.name
    if not calib.is_file():
        do = "Put KITTI's `calib` folder beside `label_2`: without it, nobody knows where the LiDAR is."
        raise DataError("these labels have no calibration", where=file, wanted=calib, do=do)
    return read_calibration(calib)


def write_kitti(scenes: Sequence[LabelledScene], out: Path) -> None:
    """`training/label_2/NAME.txt` and `training/calib/NAME.txt`; the clouds belong into `training/velodyne`.

    There is no camera: the calibration puts one into the LiDAR's place, looking along +x, and boxes in the image, the
    angle alpha, truncation and occlusion are stated as unknown, as KITTI does it.

    Raises:
        DataError: a class of several words.
    """
    labels, calibs = (make_folder(out / "training" / name) for name in ("label_2", "calib"))
    calibration = parse_calibration(_CALIBRATION, "calib")
    for scene in scenes:
        write_kitti_objects(labels / f"{scene.stem}.txt", _objects(scene, calibration))
        write_text(calibs / f"{scene.stem}.txt", _CALIBRATION)


def _objects(scene: LabelledScene, calibration: KittiCalibration) -> KittiObjects:
    count = len(scene.boxes)
    rows = [(*box.center, *box.size, box.yaw) for box in scene.boxes]
    table = torch.tensor(rows, dtype=torch.float64).reshape(count, 7)
    columns = boxes_to_kitti(table, torch.from_numpy(calibration.lidar_from_camera))
    return KittiObjects(
        types=np.array([box.name for box in scene.boxes], np.str_),
        truncation=np.full(count, -1.0),
        occlusion=np.full(count, -1),
        alpha=np.full(count, -10.0),
        bbox=np.full((count, 4), -1.0),
        dimensions_hwl=columns.dimensions_hwl.numpy(),
        location=columns.location.numpy(),
        rotation_y=columns.rotation_y.numpy(),
        scores=np.ones(count),
    )
