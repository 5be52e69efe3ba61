"""Which points lie in which boxes; a point on a face counts as inside."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from vol3d.errors import DataError
from vol3d.geometry.boxes import YAW, check_boxes
from vol3d.threads import parallel_for

_CHUNK = 1 << 24  # point-box pairs that torch tests together: 64 MB per intermediate result in float32


def points_in_boxes(points: Float[Tensor, "n columns"], boxes: Float[Tensor, "m _"]) -> Bool[Tensor, "m n"]:
    """For every box, which points lie inside it.

    Args:
        points: x y z in metres, further columns are not looked at.
        boxes: in the frame of the points.

    Raises:
        DataError: not points, not boxes, or on two devices.

    >>> boxes = torch.tensor([[0.0, 0, 0, 4, 2, 2, 0], [9, 0, 0, 4, 2, 2, 0]])
    >>> points_in_boxes(torch.tensor([[1.0, 0, 0], [9, 1, 1], [5, 0, 0]]), boxes)
    tensor([[ True, False, False],
            [False,  True, False]])
    """
    _check(points, boxes)
    if points.device.type == "cpu":
        from vol3d.geometry.overlap_kernels import as_rows  # numba is loaded when something is computed
        from vol3d.geometry.points_in_boxes_kernels import mark_rows

        inside = np.zeros((len(boxes), len(points)), dtype=np.bool_)
        xyz = np.ascontiguousarray(points.detach()[:, :3].double().numpy())
        parallel_for(mark_rows, len(boxes), as_rows(boxes), xyz, inside, grain=1 + 65536 // max(len(points), 1))
        return torch.from_numpy(inside)
    step = max(1, _CHUNK // max(len(points), 1))
    parts = [_inside(points, boxes[i : i + step]) for i in range(0, len(boxes), step)]
    return torch.cat(parts) if parts else torch.zeros(0, len(points), dtype=torch.bool, device=points.device)


def count_points_in_boxes(points: Float[Tensor, "n columns"], boxes: Float[Tensor, "m _"]) -> Int64[Tensor, " m"]:
    """How many points each box holds; a point in two boxes counts in both.

    Raises:
        DataError: as `points_in_boxes`.
    """
    _check(points, boxes)
    if points.device.type != "cpu":
        return points_in_boxes(points, boxes).sum(dim=1)
    from vol3d.geometry.overlap_kernels import as_rows
    from vol3d.geometry.points_in_boxes_kernels import count_rows

    xyz = points.detach()[:, :3].double().numpy()
    x, y, z = np.ascontiguousarray(xyz[np.argsort(xyz[:, 0])].T)  # along x, so each box tests few points only
    counts = np.zeros(len(boxes), dtype=np.int64)
    parallel_for(count_rows, len(boxes), as_rows(boxes), x, y, z, counts, grain=1 + 262144 // max(len(x), 1))
    return torch.from_numpy(counts)


def box_of_points(points: Float[Tensor, "n columns"], boxes: Float[Tensor, "m _"]) -> Int64[Tensor, " n"]:
    """Index of the first box that holds each point, -1 for a point in none.

    Raises:
        DataError: as `points_in_boxes`.
    """
    _check(points, boxes)
    if points.device.type == "cpu" and len(boxes):
        from vol3d.geometry.overlap_kernels import as_rows
        from vol3d.geometry.owner_kernels import BoxGrid, find_owners

        xyz = points.detach()[:, :3]
        xyz = xyz if xyz.dtype in (torch.float32, torch.float64) else xyz.double()
        owners, grid = np.empty(len(points), np.int64), BoxGrid(as_rows(boxes))
        where = (grid.rows, grid.low, grid.per_m, grid.starts, grid.members)
        parallel_for(find_owners, len(xyz), xyz.contiguous().numpy(), *where, owners, grain=16384)
        return torch.from_numpy(owners)
    inside = points_in_boxes(points, boxes)
    if len(boxes) == 0:
        return torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
    return torch.where(inside.any(0), inside.to(torch.uint8).argmax(0), -1)


def _check(points: Tensor, boxes: Tensor) -> None:
    check_boxes(boxes)
    if boxes.ndim != 2:
        raise DataError("not a table of boxes", where="boxes", got=tuple(boxes.shape), wanted="(m, 7 or 9)")
    if points.ndim != 2 or points.shape[1] < 3 or not points.is_floating_point():
        got = f"{tuple(points.shape)} {points.dtype}"
        raise DataError("not a table of points", where="points", got=got, wanted="(n, 3 or more) floating point")
    if points.device != boxes.device:
        raise DataError("points and boxes on two devices", where="boxes", got=boxes.device, wanted=points.device)


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """(m, n) by torch, on any device, in the precision of the boxes."""
    away = points[None, :, :3].to(boxes.dtype) - boxes[:, None, :3]
    cos, sin = boxes[:, None, YAW].cos(), boxes[:, None, YAW].sin()
    along = (away[..., 0] * cos + away[..., 1] * sin).abs()
    across = (away[..., 1] * cos - away[..., 0] * sin).abs()
    half = 0.5 * boxes[:, None, 3:6]
    return (along <= half[..., 0]) & (across <= half[..., 1]) & (away[..., 2].abs() <= half[..., 2])
