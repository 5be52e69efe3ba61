"""Corners, angles, frames and points in boxes, on synthetic boxes and on real frames."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import geometry as reference
from tests.vol3d.geometry.samples import random_boxes
from vol3d.errors import DataError
from vol3d.geometry import (
    box_corners,
    box_of_points,
    box_volume,
    count_points_in_boxes,
    enclosing_axis_aligned,
    footprint_corners,
    invert_rigid,
    nearest_axis_aligned,
    points_in_boxes,
    transform_boxes,
    transform_points,
    wrap_yaw,
)
from vol3d.geometry.points_in_boxes import _inside


def test_yaw_turns_counter_clockwise_from_x():
    box = torch.tensor([[1.0, 2, 3, 4, 2, 6, math.pi / 2]])
    expected = torch.tensor([[[0.0, 4], [0, 0], [2, 0], [2, 4]]])
    torch.testing.assert_close(footprint_corners(box), expected)
    corners = box_corners(box)
    torch.testing.assert_close(corners[0, :4, :2], expected[0])
    assert corners[0, :, 2].tolist() == [0, 0, 0, 0, 6, 6, 6, 6]
    assert box_volume(box).item() == 48


def test_wrapped_yaw_is_in_the_half_open_interval():
    yaw = torch.tensor([0.0, math.pi, -math.pi, 4.0, -4.0, 100.0], dtype=torch.float64)
    wrapped = wrap_yaw(yaw)
    assert ((wrapped >= -math.pi) & (wrapped < math.pi)).all()
    torch.testing.assert_close(wrapped.cos(), yaw.cos())
    torch.testing.assert_close(wrapped.sin(), yaw.sin())


def test_axis_aligned_versions():
    boxes = random_boxes(20, 1)
    corners = footprint_corners(boxes)
    around = enclosing_axis_aligned(boxes)
    torch.testing.assert_close(around[:, :2] + around[:, 3:5] / 2, corners.amax(1))
    nearest = nearest_axis_aligned(torch.tensor([[0, 0, 0, 4.0, 2, 1, 1.5], [0, 0, 0, 4, 2, 1, -3.0]]))
    assert nearest[:, 3:].tolist() == [[2, 4, 1, 0], [4, 2, 1, 0]]


def test_frames_there_and_back():
    boxes = torch.cat((random_boxes(5, 1), torch.ones(5, 2, dtype=torch.float64)), dim=1)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:2, :2] = torch.tensor([[0.0, -1], [1, 0]])
    matrix[:3, 3] = torch.tensor([1.0, 2, 3])
    moved = transform_boxes(boxes, matrix)
    torch.testing.assert_close(moved[:, 7:], torch.tensor([[-1.0, 1]], dtype=torch.float64).expand(5, 2))
    torch.testing.assert_close(footprint_corners(moved), footprint_corners(boxes) @ matrix[:2, :2].T + matrix[:2, 3])
    back = transform_boxes(moved, invert_rigid(matrix))
    torch.testing.assert_close(back[:, :6], boxes[:, :6])
    torch.testing.assert_close(wrap_yaw(back[:, 6] - boxes[:, 6]), torch.zeros(5, dtype=torch.float64))
    with pytest.raises(DataError, match="target_from_source: not a rigid motion: scaled, sheared or mirrored"):
        transform_boxes(boxes, 2 * matrix)


def test_points_in_boxes_equal_the_twin():
    boxes = random_boxes(25, 1)
    points = torch.rand(500, 4, dtype=torch.float64) * 12 - 6
    expected = reference.points_in_boxes(points, boxes)
    assert expected.any()
    assert torch.equal(points_in_boxes(points, boxes), expected)
    assert torch.equal(_inside(points, boxes), expected)
    assert torch.equal(count_points_in_boxes(points, boxes), expected.sum(1))
    first = torch.tensor([next((i for i in range(25) if expected[i, j]), -1) for j in range(500)])
    assert torch.equal(box_of_points(points, boxes), first)


def test_points_on_faces_no_points_no_boxes():
    box = torch.tensor([[0.0, 0, 0, 2, 4, 6, 0]])
    points = torch.tensor([[1.0, 2, 3], [1.0001, 0, 0], [0, 0, -3]])
    assert points_in_boxes(points, box).tolist() == [[True, False, True]]
    assert points_in_boxes(points[:0], box).shape == (1, 0)
    assert count_points_in_boxes(points, box).tolist() == [2] and count_points_in_boxes(points[:0], box).tolist() == [0]
    assert count_points_in_boxes(points, box[:0]).shape == (0,)
    assert box_of_points(points, box[:0]).tolist() == [-1, -1, -1]
    with pytest.raises(DataError, match=r"points: not a table of points; got \(3, 2\) torch\.float32"):
        points_in_boxes(points[:, :2], box)


def test_counts_are_those_of_the_mask_far_away_and_with_odd_points():
    boxes = random_boxes(25, 1).float()
    points = torch.rand(500, 3) * 12 - 6
    points[::50], points[7, 0], points[9, 2] = torch.nan, torch.inf, -torch.inf
    points[100:120] = boxes[:20, :3]
    boxes[:5, 3:6] = 0
    for shift in (0.0, 1e4, -1e6):
        moved, around = points + shift, torch.cat((boxes[:, :3] + shift, boxes[:, 3:]), dim=1)
        inside = points_in_boxes(moved, around)
        assert torch.equal(count_points_in_boxes(moved, around), inside.sum(1))
        first = torch.where(inside.any(0), inside.int().argmax(0), -1)
        assert torch.equal(box_of_points(moved, around), first) and int((first >= 0).sum()) > 20


@given(st.integers(0, 10**6), st.integers(1, 40), st.floats(-3, 3))
def test_the_owner_of_a_point_is_the_first_box_that_holds_it(seed, count, exponent):
    torch.manual_seed(seed)
    boxes = torch.randn(count, 7) * 10**exponent
    boxes[:, 3:6] = boxes[:, 3:6].abs()
    boxes[:, 6] = torch.randint(-4, 5, (count,)) * math.pi / 4  # footprints along the grid and across it
    corners = box_corners(boxes).flatten(0, 1)
    points = torch.cat((corners, boxes[:, :3], torch.randn(200, 3) * 10**exponent))
    inside = points_in_boxes(points, boxes)
    assert torch.equal(box_of_points(points, boxes), torch.where(inside.any(0), inside.int().argmax(0), -1))
    halves = points.half()
    inside = points_in_boxes(halves, boxes)
    assert torch.equal(box_of_points(halves, boxes), torch.where(inside.any(0), inside.int().argmax(0), -1))


def test_boxes_of_a_real_indoor_scan_hold_its_points(data_root: Path):
    scene = json.loads((data_root / "scannet" / "scene0000_00.json").read_text())
    points = torch.from_numpy(np.fromfile(data_root / "scannet" / "scene0000_00.bin", dtype=np.float32).reshape(-1, 6))
    rotation = torch.tensor(scene["axis_align_matrix"])
    aligned = transform_points(points, rotation)
    boxes = torch.tensor([instance["bbox_3d"] + [0.0] for instance in scene["instances"]])
    counts = count_points_in_boxes(aligned, boxes)
    assert len(boxes) == 27
    # The faces go through the outermost points, so rounding decides about one or two of them.
    assert abs(int(counts.min()) - 116) <= 2 and abs(int(counts.max()) - 3557) <= 2
