"""Farthest-point sampling of small clouds on CUDA: one launch, one program per cloud, the buckets of `sampling_cpu`.

Each step tests the boxes of all buckets at once, lists those that the new pick can change and visits only them.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from vol3d.kernels import on_its_device

BUCKET = 256
NO_POINT: tl.constexpr = tl.constexpr(2**31 - 1)


@triton.jit
def squared(x, y, z):
    """The squared length of (x, y, z), summed in the order of the compiled loops: picks depend on the last bit."""
    return (x * x + y * y) + z * z


@triton.jit
def _visit(bucket, x, y, z, xyz, order, nearest, farthest, winner, padded, buckets, SIZE: tl.constexpr):
    """Brings one bucket's distances up to date and notes its farthest point: distance, place, lowest index."""
    j = bucket * SIZE + tl.arange(0, SIZE)
    px, py, pz = tl.load(xyz + j), tl.load(xyz + padded + j), tl.load(xyz + 2 * padded + j)
    d = tl.minimum(tl.load(nearest + j), squared(px - x, py - y, pz - z))
    tl.store(nearest + j, d)
    top = tl.max(d, 0)
    index = tl.load(order + j)
    first = tl.min(tl.where(d == top, index, NO_POINT), 0)
    tl.store(farthest + bucket, top)
    tl.store(winner + bucket, first)
    tl.store(winner + buckets + bucket, tl.max(tl.where(index == first, j, -1), 0))


@triton.jit
def _box_distance(x, y, z, boxes, b, known, buckets):
    dx = tl.maximum(tl.load(boxes + b, known) - x, x - tl.load(boxes + 3 * buckets + b, known))
    dy = tl.maximum(tl.load(boxes + buckets + b, known) - y, y - tl.load(boxes + 4 * buckets + b, known))
    dz = tl.maximum(tl.load(boxes + 2 * buckets + b, known) - z, z - tl.load(boxes + 5 * buckets + b, known))
    return squared(tl.maximum(dx, 0.0), tl.maximum(dy, 0.0), tl.maximum(dz, 0.0))


@triton.jit
def _sample(xyz, order, nearest, boxes, farthest, winner, listed, places, picks, padded, buckets, k,
            SIZE: tl.constexpr, WIDTH: tl.constexpr):  # fmt: skip
    cloud = tl.program_id(0)
    xyz += cloud * 3 * padded
    order += cloud * padded
    nearest += cloud * padded
    boxes += cloud * 6 * buckets
    farthest += cloud * buckets
    winner += cloud * 2 * buckets
    listed += cloud * buckets
    b = tl.arange(0, WIDTH)
    known = b < buckets
    current = tl.load(places + 2 * cloud)
    for i in range(k):
        tl.store(picks + cloud * k + i, tl.load(order + current))
        x, y, z = tl.load(xyz + current), tl.load(xyz + padded + current), tl.load(xyz + 2 * padded + current)
        bound = _box_distance(x, y, z, boxes, b, known, buckets)
        active = known & (bound < tl.load(farthest + b, known, other=-1.0))
        tl.store(listed + tl.cumsum(active.to(tl.int32), 0) - 1, b, active)
        tl.debug_barrier()  # what threads wrote is read by others from here on
        for a in range(tl.sum(active.to(tl.int32), 0)):
            _visit(tl.load(listed + a), x, y, z, xyz, order, nearest, farthest, winner, padded, buckets, SIZE)
        tl.debug_barrier()
        far = tl.load(farthest + b, known, other=-2.0)
        top = tl.max(far, 0)
        index = tl.load(winner + b, known, other=NO_POINT)
        first = tl.min(tl.where(far == top, index, NO_POINT), 0)
        place = tl.max(tl.where((far == top) & (index == first), tl.load(winner + buckets + b, known, other=-1), -1), 0)
        current = tl.where(top < 0, tl.load(places + 2 * cloud + 1), place)
        tl.debug_barrier()


@on_its_device
def sample_clouds_triton(points: Tensor, usable: Tensor, starts: Tensor, k: int) -> Tensor:
    """Picks (B, k) int64 from float32 points (B, N, 3); see `sampling_torch.sample_by_rows`. N >= 1."""
    batch, n = usable.shape
    buckets = triton.cdiv(n, BUCKET)
    padded = buckets * BUCKET
    points = points.nan_to_num(0, 0, 0)  # a start that may not be picked again keeps its coordinates
    order = _morton(points, usable).argsort(dim=1, stable=True)
    xyz = points.gather(1, order[..., None].expand(-1, -1, 3))
    present = torch.nn.functional.pad(usable.gather(1, order), (0, padded - n))
    xyz = torch.nn.functional.pad(xyz, (0, 0, 0, padded - n))
    nearest = torch.where(present, torch.inf, -1.0)
    tiles, absent = xyz.view(batch, buckets, BUCKET, 3), ~present.view(batch, buckets, BUCKET, 1)
    low = tiles.masked_fill(absent, torch.inf).amin(2)
    boxes = torch.cat([low, tiles.masked_fill(absent, -torch.inf).amax(2)], 2).transpose(1, 2).contiguous()
    farthest = nearest.view(batch, buckets, BUCKET).amax(2)
    winner = torch.full((batch, 2, buckets), 2**31 - 1, dtype=torch.int32, device=points.device)
    place = order.argsort(1)
    places = torch.stack([place.gather(1, starts[:, None])[:, 0], place[:, 0]], 1).int()
    order = torch.nn.functional.pad(order, (0, padded - n), value=2**31 - 1).int()
    picks = torch.empty(batch, k, dtype=torch.int64, device=points.device)
    width = triton.next_power_of_2(buckets)
    arrays = (xyz.transpose(1, 2).contiguous(), order, nearest.contiguous(), boxes, farthest, winner, winner.clone())
    # Without fusion every backend rounds alike, so that they pick alike.
    launch = {"num_warps": 8, "enable_fp_fusion": False}
    _sample[(batch,)](*arrays, places, picks, padded, buckets, k, SIZE=BUCKET, WIDTH=width, **launch)
    return picks


def _morton(points: Tensor, usable: Tensor) -> Tensor:
    """Place of each point on a Morton curve of 2^18 cells over its cloud, unusable points last: int64 (B, N)."""
    low, high = points.amin(1, keepdim=True), points.amax(1, keepdim=True)
    scale = 63 / (high - low).amax(2, keepdim=True).clamp_min(1e-30)
    cell = ((points - low) * scale).long()
    code = torch.zeros_like(cell[..., 0])
    for bit in range(6):
        for axis in range(3):
            code |= ((cell[..., axis] >> bit) & 1) << (3 * bit + axis)
    return code.masked_fill(~usable, 1 << 18)
