"""Common area of rotated footprints, exact and differentiable, with no sorting, no case split and no tolerance.

Method. In the frame of box A the area of B inside the rectangle [-l/2, l/2] x [-w/2, w/2] is the closed integral of
clamp(x) d clamp(y) over the boundary of B: clamping maps the plane onto the rectangle, with Jacobian 1 inside and 0
outside, so that Green's theorem counts exactly the common part. Along one straight edge the integral has a closed form.
Identical, touching and parallel boxes, where clipping and sorting schemes go wrong, are nothing special here.

Without gradients on the CPU a compiled loop does the same; everywhere else torch does.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vol3d.geometry.boxes import YAW, working_dtype
from vol3d.host import constant
from vol3d.threads import parallel_for

# An edge shorter than this (m) along an axis encloses no area worth the name, and 1 / length^2 must not overflow.
_SHORTEST = 1e-18


def overlap_bev(first: Float[Tensor, "*batch n _"], second: Float[Tensor, "*batch m _"]) -> Float[Tensor, "*batch n m"]:
    """Common footprint area of every box of `first` with every box of `second`, m^2."""
    if needs_torch(first, second):
        return overlap_torch(first[..., :, None, :], second[..., None, :, :])
    from vol3d.geometry.overlap_kernels import as_rows, overlap_rows  # numba is loaded when something is computed

    dtype = working_dtype(first, second)
    batch, n, m = first.shape[:-2], first.shape[-2], second.shape[-2]
    out = np.zeros((first.numel() // first.shape[-1], m), dtype=np.float64 if dtype == torch.float64 else np.float32)
    if out.size:
        a, b = as_rows(first), np.ascontiguousarray(as_rows(second).reshape(-1, m, 9).transpose(0, 2, 1))
        parallel_for(overlap_rows, len(out), a, b, out, grain=1 + 4096 // m)
    return torch.from_numpy(out).reshape(*batch, n, m)


def overlap_bev_paired(first: Float[Tensor, "*batch _"], second: Float[Tensor, "*batch _"]) -> Float[Tensor, "*batch"]:
    """Common footprint area of first[i] with second[i], m^2."""
    if needs_torch(first, second):
        return overlap_torch(first, second)
    from vol3d.geometry.overlap_kernels import as_rows, overlap_paired

    dtype = working_dtype(first, second)
    a, b = as_rows(first), as_rows(second)
    out = np.zeros(len(a), dtype=np.float64 if dtype == torch.float64 else np.float32)
    parallel_for(overlap_paired, len(a), a, b, out, grain=4096)
    return torch.from_numpy(out).reshape(first.shape[:-1])


def needs_torch(*tensors: Tensor) -> bool:
    """True where the compiled loops do not serve: another device, or a gradient is wanted."""
    wants_gradient = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    return wants_gradient or any(t.device.type != "cpu" for t in tensors)


def overlap_torch(first: Float[Tensor, "*a _"], second: Float[Tensor, "*b _"]) -> Float[Tensor, "*ab"]:
    """Common footprint area of boxes whose leading dimensions broadcast, m^2, with gradients to both."""
    dtype = working_dtype(first, second)
    first, second = first.to(dtype), second.to(dtype)
    x, y = corners_in_frame_of(first, second)
    half_length, half_width = 0.5 * first[..., 3:4], 0.5 * first[..., 4:5]
    return _clamped_integral(x, y, half_length, half_width).clamp(min=0)


def corners_in_frame_of(frame: Float[Tensor, "*a _"], boxes: Float[Tensor, "*b _"]) -> tuple[Tensor, Tensor]:
    """x and y (..., 4) of the corners of `boxes` in the frames of other boxes, counter-clockwise, metres."""
    east, north = boxes[..., 0] - frame[..., 0], boxes[..., 1] - frame[..., 1]
    cos, sin = frame[..., YAW].cos(), frame[..., YAW].sin()
    x, y = (east * cos + north * sin)[..., None], (north * cos - east * sin)[..., None]
    turn = boxes[..., YAW] - frame[..., YAW]
    cos, sin = 0.5 * turn.cos(), 0.5 * turn.sin()
    length, width = boxes[..., 3], boxes[..., 4]
    lx, ly = (length * cos)[..., None], (length * sin)[..., None]
    wx, wy = (-width * sin)[..., None], (width * cos)[..., None]
    front, left = constant((1.0, -1.0, -1.0, 1.0), boxes), constant((1.0, 1.0, -1.0, -1.0), boxes)
    return x + front * lx + left * wx, y + front * ly + left * wy


def _clamped_integral(x: Tensor, y: Tensor, half_length: Tensor, half_width: Tensor) -> Tensor:
    """Sum over the four edges of the integral of clamp(x) d clamp(y)."""
    dx, dy = x.roll(-1, -1) - x, y.roll(-1, -1) - y
    inside_y = torch.minimum(torch.maximum(y, -half_width), half_width)
    rise = inside_y.roll(-1, -1) - inside_y
    # x where the edge enters and leaves the slab |y| <= w/2.
    enter = x + _fraction(inside_y - y, dy) * dx
    leave = x + _fraction(inside_y.roll(-1, -1) - y, dy) * dx
    near = torch.minimum(torch.maximum(enter, -half_length), half_length)
    far = torch.minimum(torch.maximum(leave, -half_length), half_length)
    run = leave - enter
    first, last = _fraction(near - enter, run), _fraction(far - enter, run)
    mean = first * near + (last - first) * 0.5 * (near + far) + (1 - last) * far
    return (mean * rise).sum(-1)


def _fraction(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole in [0, 1]; 0 where the whole vanishes, and then no gradient either."""
    flat = whole.abs() < _SHORTEST
    return (torch.where(flat, 0, part) / torch.where(flat, 1, whole)).clamp(0, 1)
