"""Rigid motions of points and boxes between frames; matrices are 4x4 and named `target_from_source`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from vol3d.errors import DataError
from vol3d.geometry.boxes import SIZE, VELOCITY, YAW, check_boxes


def check_rigid(matrix: Tensor, argument: str) -> None:
    """Refuse a matrix that is not a rotation (to 1e-3) and a translation.

    Raises:
        DataError: wrong shape, not finite, scaled, sheared or mirrored.
    """
    if matrix.shape != (4, 4):
        raise DataError("not a rigid motion", where=argument, got=tuple(matrix.shape), wanted="(4, 4)")
    rotation = matrix[:3, :3].double()
    if not bool(matrix.isfinite().all()):
        raise DataError("not a rigid motion: a value is not finite", where=argument, got=matrix.tolist())
    error = float((rotation @ rotation.T - torch.eye(3, dtype=torch.float64, device=matrix.device)).abs().max())
    if error > 1e-3 or float(torch.linalg.det(rotation)) < 0:
        raise DataError("not a rigid motion: scaled, sheared or mirrored", where=argument, got=rotation.tolist())


def invert_rigid(matrix: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
    """The motion back: rotation R^T, translation -R^T t."""
    inverse = torch.eye(4, dtype=matrix.dtype, device=matrix.device)
    inverse[:3, :3] = matrix[:3, :3].T
    inverse[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return inverse


def transform_points(points: Float[Tensor, "*batch columns"], target_from_source: Tensor) -> Tensor:
    """Move the first three columns of `points`; further columns stay as they are. Units stay metres."""
    motion = target_from_source.to(points)
    moved = points[..., :3] @ motion[:3, :3].T + motion[:3, 3]
    return torch.cat((moved, points[..., 3:]), dim=-1)


def transform_boxes(boxes: Float[Tensor, "*batch columns"], target_from_source: Tensor) -> Tensor:
    """Move boxes into another frame with z (nearly) up.

    The heading and the velocity are turned in space and then laid flat, as the nuScenes tools do: a box that stands
    upright in one frame is taken to stand upright in the other.

    Args:
        boxes: (..., 7) or (..., 9), metres, radians.
        target_from_source: (4, 4) rigid motion.

    Raises:
        DataError: not boxes, not a rigid motion.
    """
    check_boxes(boxes)
    check_rigid(target_from_source, "target_from_source")
    motion = target_from_source.to(boxes)
    centre = transform_points(boxes[..., :3], motion)
    yaw = turn_yaw(boxes[..., YAW], motion)
    parts = [centre, boxes[..., SIZE], yaw[..., None]]
    if boxes.shape[-1] == 9:
        parts.append(boxes[..., VELOCITY] @ motion[:2, :2].T)
    return torch.cat(parts, dim=-1)


def turn_yaw(yaw: Tensor, target_from_source: Tensor) -> Tensor:
    """Headings after a rotation in space, laid flat, radians."""
    rotation = target_from_source[:3, :3].to(yaw)
    heading = torch.stack((yaw.cos(), yaw.sin()), dim=-1) @ rotation[:2, :2].T
    return torch.atan2(heading[..., 1], heading[..., 0])
