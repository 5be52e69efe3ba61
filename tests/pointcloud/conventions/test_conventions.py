"""Other projects' layouts: on real annotations, and there and back."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pointcloud import conventions as to
from tests.vol3d.geometry.samples import random_boxes
from vol3d.errors import DataError
from vol3d.geometry import count_points_in_boxes, footprint_corners, invert_rigid, transform_boxes, wrap_yaw


def same(a: Tensor, b: Tensor, atol: float = 1e-9) -> None:
    """Equal boxes; angles may differ by whole turns."""
    torch.testing.assert_close(a[:, :6], b[:, :6], rtol=0, atol=atol)
    torch.testing.assert_close(wrap_yaw(a[:, 6] - b[:, 6]), torch.zeros_like(a[:, 6]), rtol=0, atol=atol)
    torch.testing.assert_close(a[:, 7:], b[:, 7:], rtol=0, atol=atol, equal_nan=True)


def nine_columns(count: int) -> Tensor:
    velocity = torch.arange(2.0 * count, dtype=torch.float64).reshape(count, 2)
    velocity[0] = math.nan
    return torch.cat((random_boxes(count, 7), velocity), dim=1)


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (to.boxes_to_mmdet3d, to.boxes_from_mmdet3d),
        (to.boxes_to_mmdet3d_before_1_0, to.boxes_from_mmdet3d_before_1_0),
        (to.boxes_to_openpcdet, to.boxes_from_openpcdet),
    ],
)
def test_lidar_layouts_there_and_back(there, back):
    boxes = nine_columns(6)
    same(back(there(boxes)), boxes)
    same(back(there(boxes[:, :7])), boxes[:, :7])
    assert back(there(boxes[:0])).shape == (0, 9)


@pytest.mark.parametrize(
    ("there", "back"),
    [(to.boxes_to_sun_rgbd, to.boxes_from_sun_rgbd), (to.boxes_to_three_detr, to.boxes_from_three_detr)],
)
def test_indoor_layouts_there_and_back(there, back):
    boxes = random_boxes(6, 7)
    same(back(there(boxes)), boxes)


def test_old_mmdet3d_by_hand():
    """A car along +x: l = 4, w = 2, h = 1, bottom at 0. Its old yaw is -pi/2, its old sizes are w l h."""
    table = torch.tensor([[1.0, 2, 0, 2, 4, 1, -math.pi / 2]])
    same(to.boxes_from_mmdet3d_before_1_0(table), torch.tensor([[1.0, 2, 0.5, 4, 2, 1, 0]]), atol=1e-6)
    turned = torch.tensor([[1.0, 2, 0, 2, 4, 1, -math.pi / 2 - 0.3]])
    assert to.boxes_from_mmdet3d_before_1_0(turned)[0, 6].item() == pytest.approx(0.3, abs=1e-6)


def test_new_mmdet3d_by_hand():
    table = torch.tensor([[1.0, 2, 0, 4, 2, 1, 0.3]])
    same(to.boxes_from_mmdet3d(table), torch.tensor([[1.0, 2, 0.5, 4, 2, 1, 0.3]]), atol=1e-6)


def test_sun_rgbd_halves_and_turns_the_other_way():
    table = torch.tensor([[1.0, 2, 3, 2, 1, 0.5, 0.3, 9]])
    same(to.boxes_from_sun_rgbd(table), torch.tensor([[1.0, 2, 3, 4, 2, 1, -0.3]]), atol=1e-6)
    same(to.boxes_from_three_detr(table[:, :7]), torch.tensor([[1.0, 2, 3, 2, 1, 0.5, -0.3]]), atol=1e-6)


def test_kitti_boxes_hold_the_annotated_points(data_root: Path):
    frame = json.loads((data_root / "kitti" / "000008.json").read_text())
    points = torch.from_numpy(np.fromfile(data_root / "kitti" / "000008.bin", dtype=np.float32).reshape(-1, 4))
    lidar = frame["lidar"]
    matrix = to.kitti_lidar_from_camera(
        torch.tensor(lidar["R0_rect"], dtype=torch.float64)[:3, :3],
        torch.tensor(lidar["Tr_velo_to_cam"], dtype=torch.float64)[:3],
    )
    cars = [instance for instance in frame["instances"] if instance["bbox_label_3d"] == 2]
    rows = torch.tensor([instance["bbox_3d"] for instance in cars], dtype=torch.float64)
    labels = to.KittiBoxes(rows[:, :3], rows[:, [4, 5, 3]], rows[:, 6])
    boxes = to.boxes_from_kitti(labels, matrix)
    # The file's order is l h w.
    assert torch.equal(boxes[:, 3:6], rows[:, [3, 5, 4]])
    assert count_points_in_boxes(points, boxes).tolist() == [1325, 1900, 881, 659, 55, 162]
    back = to.boxes_to_kitti(boxes, matrix)
    torch.testing.assert_close(back.location, labels.location)
    torch.testing.assert_close(back.dimensions_hwl, labels.dimensions_hwl)
    torch.testing.assert_close(wrap_yaw(back.rotation_y - labels.rotation_y), torch.zeros(len(cars)).double())


def test_nuscenes_boxes_of_a_real_frame_there_and_back(data_root: Path):
    frame = json.loads((data_root / "nuscenes" / "keyframe.json").read_text())
    ego, lidar = frame["ego2global"], frame["lidar"]["lidar2ego"]
    # The file's matrices are rounded to float32: make the rotation exact.
    matrix = torch.tensor(ego, dtype=torch.float64) @ torch.tensor(lidar, dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrix[:3, :3])
    matrix[:3, :3] = left @ right
    boxes = torch.tensor([i["bbox_3d"] + i["velocity"] for i in frame["instances"]], dtype=torch.float64)
    annotations = to.boxes_to_nuscenes(boxes, matrix)
    torch.testing.assert_close(annotations.rotation_wxyz.norm(dim=1), torch.ones(len(boxes)).double())
    back = to.boxes_from_nuscenes(annotations, invert_rigid(matrix))
    same(back[:, :7], boxes[:, :7], atol=1e-9)
    # Velocities are laid flat twice, by frames that lean 3 degrees against each other.
    torch.testing.assert_close(back[:, 7:], boxes[:, 7:], rtol=0, atol=0.02, equal_nan=True)
    flat = transform_boxes(boxes, matrix)
    level = to.boxes_from_nuscenes(annotations, torch.eye(4))
    assert (footprint_corners(flat) - footprint_corners(level)).abs().max() < 1e-6


def test_a_quarter_turn_in_nuscenes_by_hand():
    half = math.sqrt(0.5)
    annotations = to.NuscenesBoxes(
        torch.tensor([[10.0, 20, 1]]), torch.tensor([[2.0, 4, 1]]), torch.tensor([[half, 0, 0, half]])
    )
    same(to.boxes_from_nuscenes(annotations, torch.eye(4)), torch.tensor([[10, 20, 1, 4, 2, 1, math.pi / 2]]), 1e-6)


@pytest.mark.bad_input
def test_bad_layouts_are_refused():
    with pytest.raises(DataError, match=r"table: not boxes of this layout; got \(2, 8\).*wanted \(\.\.\., 7 or 9\)"):
        to.boxes_from_mmdet3d(torch.zeros(2, 8))
    with pytest.raises(DataError, match="rotation_wxyz: a quaternion has length 0"):
        to.boxes_from_nuscenes(to.NuscenesBoxes(torch.zeros(1, 3), torch.ones(1, 3), torch.zeros(1, 4)), torch.eye(4))
    with pytest.raises(DataError, match=r"lidar_from_camera: not a rigid motion; got \(3, 4\)"):
        to.boxes_to_kitti(torch.ones(1, 7), torch.zeros(3, 4))
