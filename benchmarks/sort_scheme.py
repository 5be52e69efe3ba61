"""The usual differentiable overlap of rotated boxes, as a peer: 24 candidate corners, sorted by angle, shoelace.

The scheme of mmcv's `diff_iou_rotated` and others, in plain torch. It loses area on nearly parallel edges.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vol3d.geometry import footprint_corners


def overlap_by_sorting(first: Tensor, second: Tensor) -> Tensor:
    """Common area of every box of `first` (n) with every box of `second` (m), m^2, (n, m)."""
    a = footprint_corners(first)[:, None].expand(-1, len(second), -1, -1)
    b = footprint_corners(second)[None].expand(len(first), -1, -1, -1)
    crossings, crossed = _crossings(a, b)
    points = torch.cat((crossings, a, b), dim=-2)
    valid = torch.cat((crossed, _inside(a, b), _inside(b, a)), dim=-1)
    count = valid.sum(-1)
    centre = (points * valid[..., None]).sum(-2, keepdim=True) / count.clamp(min=1)[..., None, None]
    points = points - centre
    angle = torch.where(valid, torch.atan2(points[..., 1], points[..., 0]), 1e3).detach()
    order = angle.argsort(-1)
    points = points.take_along_dim(order[..., None], dim=-2)
    valid = valid.take_along_dim(order, dim=-1)
    points = torch.where(valid[..., None], points, points[..., :1, :])
    ahead = points.roll(-1, -2)
    area = 0.5 * (points[..., 0] * ahead[..., 1] - points[..., 1] * ahead[..., 0]).sum(-1).abs()
    return torch.where(count > 2, area, 0)


def _crossings(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The 16 crossings of edges, and which of them lie on both."""
    along, other = (a.roll(-1, -2) - a)[..., :, None, :], (b.roll(-1, -2) - b)[..., None, :, :]
    away = b[..., None, :, :] - a[..., :, None, :]
    cross = along[..., 0] * other[..., 1] - along[..., 1] * other[..., 0]
    parallel = cross.abs() < 1e-8
    safe = torch.where(parallel, 1, cross)
    t = (away[..., 0] * other[..., 1] - away[..., 1] * other[..., 0]) / safe
    u = (away[..., 0] * along[..., 1] - away[..., 1] * along[..., 0]) / safe
    crossed = ~parallel & (t > 0) & (t < 1) & (u > 0) & (u < 1)
    points = a[..., :, None, :] + t[..., None] * along
    return points.flatten(-3, -2), crossed.flatten(-2)


def _inside(points: Tensor, corners: Tensor) -> Tensor:
    """Which points lie in the rectangles, to a millionth of their sides."""
    origin = corners[..., :1, :]
    first, second = corners[..., 1:2, :] - origin, corners[..., 3:4, :] - origin
    away = points - origin
    s, t = ((away * side).sum(-1) / side.square().sum(-1) for side in (first, second))
    return (s > -1e-6) & (s < 1 + 1e-6) & (t > -1e-6) & (t < 1 + 1e-6)
