"""Boxes of a scene as it lies, moved as training moved its points: what lets a teacher's outputs be kept."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pointcloud.structures.box_code import decode_boxes, encode_boxes
from pointcloud.structures.similarity import Similarity
from vol3d.geometry import enclosing_axis_aligned


def moved_code(code: Float[Tensor, "t 8"], how: Similarity, turns: bool) -> Float[Tensor, "t 8"]:
    """Codes of the moved boxes.

    The direction is turned and mirrored as a vector: one shorter than 1, a 3DETR's mean over its bins, stays so.

    Args:
        code: see `pointcloud.structures.box_code`, without the velocity.
        how: the motion.
        turns: whether the detector's boxes turn; those that do not grow around the turned box, as annotated ones do.
    """
    matrix = code.new_tensor(how.matrix)
    center = code[:, :3] @ matrix.T + code.new_tensor(how.shift)
    forward = code[:, [7, 6]] @ (matrix[:2, :2] / how.scale).T  # cosine, sine
    moved = torch.cat([center, code[:, 3:6] + math.log(how.scale), forward[:, [1, 0]]], dim=1)
    return moved if turns else encode_boxes(enclosing_axis_aligned(decode_boxes(moved)))


def moved_velocity(velocity: Float[Tensor, "t 2"], how: Similarity) -> Float[Tensor, "t 2"]:
    """Velocities in the moved scene, metres a second."""
    return velocity @ velocity.new_tensor(how.matrix[:2, :2]).T


def moved_boxes(boxes: Float[Tensor, "k c"], how: Similarity, turns: bool) -> Float[Tensor, "k c"]:
    """Boxes (K, 7 or 9) in the moved scene; `turns` as in `moved_code`."""
    moved = torch.from_numpy(how.boxes(boxes.numpy()))
    return moved if turns else enclosing_axis_aligned(moved)
