"""Area of the convex hull of two footprints, differentiable, by gift wrapping all pairs at once."""

from __future__ import annotations

import torch
from torch import Tensor

from vol3d.geometry.overlap import corners_in_frame_of


def hull_area(first: Tensor, second: Tensor) -> Tensor:
    """Area of the smallest convex region that holds both footprints, m^2; leading dimensions broadcast.

    Eight corners, so at most eight steps of gift wrapping (Jarvis 1973): from each hull corner to the one that has all
    others on its left, the farthest of several on one line. Which corners these are is decided without gradients.
    """
    own, _ = torch.broadcast_tensors(first[..., :7], second[..., :7])
    xa, ya = corners_in_frame_of(first, own)
    xb, yb = corners_in_frame_of(first, second)
    corners = torch.stack((torch.cat((xa, xb), -1), torch.cat((ya, yb), -1)), dim=-1)
    order = _wrap(corners.detach())
    path = corners.gather(-2, order[..., None].expand(*order.shape, 2))
    ahead = path.roll(-1, -2)
    return 0.5 * (path[..., 0] * ahead[..., 1] - path[..., 1] * ahead[..., 0]).sum(-1).clamp(min=0)


def _wrap(corners: Tensor) -> Tensor:
    """Indices (..., 8) of the hull corners, counter-clockwise; the start repeats where the hull has fewer."""
    start = _lowest(corners)
    here, order = start, [start]
    closed = torch.zeros_like(start, dtype=torch.bool)
    for _ in range(7):
        here = _next_corner(corners, here)
        closed = closed | (here == start)
        here = torch.where(closed, start, here)
        order.append(here)
    return torch.stack(order, dim=-1)


def _lowest(corners: Tensor) -> Tensor:
    """Index of the lowest corner, the leftmost of several: certainly on the hull."""
    low = corners[..., 1] == corners[..., 1].amin(-1, keepdim=True)
    return torch.where(low, corners[..., 0], torch.inf).argmin(-1)


def _next_corner(corners: Tensor, here: Tensor) -> Tensor:
    """Index of the corner that no other lies to the right of, seen from `here`."""
    seen = corners - corners.gather(-2, here[..., None, None].expand(*here.shape, 1, 2))
    best, x, y = here, torch.zeros_like(seen[..., 0, 0]), torch.zeros_like(seen[..., 0, 0])
    for index in range(8):
        other_x, other_y = seen[..., index, 0], seen[..., index, 1]
        side = x * other_y - y * other_x
        farther = other_x.square() + other_y.square() > x.square() + y.square()
        better = (side < 0) | ((side == 0) & farther)
        best = torch.where(better, index, best)
        x, y = torch.where(better, other_x, x), torch.where(better, other_y, y)
    return best
