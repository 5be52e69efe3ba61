"""Suppression on CUDA: all pairs of all groups judged by one kernel into words of 32 bits, the greedy rule by another.

The overlap is that of `overlap.py` (clamped Green integral), computed in float64 as the compiled loops do.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from vol3d.geometry.boxes import YAW
from vol3d.host import constant
from vol3d.kernels import on_its_device

ROWS, BITS = 16, 32  # boxes of a program; boxes of a word


@triton.jit
def _clamped(value, half):
    return tl.minimum(tl.maximum(value, -half), half)


@triton.jit
def _share(part, whole, vanishes):
    return tl.minimum(tl.maximum(tl.where(vanishes, 0.0, part) / tl.where(vanishes, 1.0, whole), 0.0), 1.0)


@triton.jit
def _edge(x0, y0, x1, y1, half_length, half_width):
    """Integral of clamp(x) d clamp(y) along one edge."""
    low, high = _clamped(y0, half_width), _clamped(y1, half_width)
    flat = low == high
    enter = x0 + _share(low - y0, y1 - y0, flat) * (x1 - x0)
    leave = x0 + _share(high - y0, y1 - y0, flat) * (x1 - x0)
    near, far = _clamped(enter, half_length), _clamped(leave, half_length)
    run = leave - enter
    first, last = _share(near - enter, run, run == 0.0), _share(far - enter, run, run == 0.0)
    mean = first * near + (last - first) * 0.5 * (near + far) + (1.0 - last) * far
    return tl.where(run == 0.0, near, mean) * (high - low)


@triton.jit
def _overlap(x, y, turn_cos, turn_sin, length, width, frame_length, frame_width):
    """Common area of a box at x y, turned, with one that lies along the axes around the origin."""
    lx, ly, wx, wy = 0.5 * length * turn_cos, 0.5 * length * turn_sin, -0.5 * width * turn_sin, 0.5 * width * turn_cos
    half_length, half_width = 0.5 * frame_length, 0.5 * frame_width
    x0, y0, x1, y1 = x + lx + wx, y + ly + wy, x - lx + wx, y - ly + wy
    x2, y2, x3, y3 = x - lx - wx, y - ly - wy, x + lx - wx, y + ly - wy
    area = _edge(x0, y0, x1, y1, half_length, half_width) + _edge(x1, y1, x2, y2, half_length, half_width)
    area += _edge(x2, y2, x3, y3, half_length, half_width) + _edge(x3, y3, x0, y0, half_length, half_width)
    return tl.maximum(area, 0.0)


@triton.jit
def _judge(columns, limits, words, count, width, circle: tl.constexpr, rows: tl.constexpr, bits: tl.constexpr):
    """words[group, i, w]: bit b is set where box 32 w + b comes behind box i and is too close to it.

    Args:
        columns: float64 [groups, 6, count], x, y, length, width, cosine and sine of the yaw; limits: float64 [groups].
        words: int64 [groups, count, width], 32 bits each.
        circle: limits are squared distances of centres; else overlaps, as shares of the union.
    """
    group = tl.program_id(2).to(tl.int64)
    i, j = tl.program_id(0) * rows + tl.arange(0, rows), tl.program_id(1) * bits + tl.arange(0, bits)
    a, b = columns + group * 6 * count + i[:, None], columns + group * 6 * count + j[None, :]
    mine, other = i[:, None] < count, j[None, :] < count
    limit = tl.load(limits + group)
    east = tl.load(b, other, other=0.0) - tl.load(a, mine, other=0.0)
    north = tl.load(b + count, other, other=0.0) - tl.load(a + count, mine, other=0.0)
    if circle:
        close = east * east + north * north <= limit
    else:
        length, wide = tl.load(a + 2 * count, mine, other=0.0), tl.load(a + 3 * count, mine, other=0.0)
        cos, sin = tl.load(a + 4 * count, mine, other=1.0), tl.load(a + 5 * count, mine, other=0.0)
        its_length, its_width = tl.load(b + 2 * count, other, other=0.0), tl.load(b + 3 * count, other, other=0.0)
        its_cos, its_sin = tl.load(b + 4 * count, other, other=1.0), tl.load(b + 5 * count, other, other=0.0)
        x, y = east * cos + north * sin, north * cos - east * sin
        turn_cos, turn_sin = its_cos * cos + its_sin * sin, its_sin * cos - its_cos * sin
        common = _overlap(x, y, turn_cos, turn_sin, its_length, its_width, length, wide)
        reach = 0.5 * (
            tl.sqrt(length * length + wide * wide) + tl.sqrt(its_length * its_length + its_width * its_width)
        )
        near = east * east + north * north < reach * reach  # others share nothing, and no rounding may say so
        close = near & (common > limit * (length * wide + its_length * its_width - common))
    close = close & (j[None, :] > i[:, None]) & other
    bit = tl.full((1, bits), 1, tl.int64) << tl.arange(0, bits)[None, :].to(tl.int64)
    word = tl.sum(tl.where(close, bit, 0), axis=1)
    tl.store(words + (group * count + i) * width + tl.program_id(1), word, i < count)


@triton.jit
def _choose(words, there, kept, count, width, padded: tl.constexpr, bits: tl.constexpr):
    """kept[group, i]: box i is there and no better box that stays is too close; one program for each group."""
    group = tl.program_id(0).to(tl.int64)
    word = tl.arange(0, padded)
    gone = tl.zeros((padded,), tl.int64)
    for i in range(count):
        row = tl.load(words + (group * count + i) * width + word, word < width, other=0)
        present = tl.load(there + group * count + i)
        mine = tl.sum(tl.where(word == i // bits, gone, 0))
        stays = (present != 0) & (((mine >> (i % bits)) & 1) == 0)
        gone = gone | tl.where(stays, row, 0)
        tl.store(kept + group * count + i, stays.to(tl.int8))


def keep_rotated_triton(boxes: Tensor, there: Tensor, iou_threshold: float) -> Tensor:
    """See `nms_groups.keep_rotated_torch`. Does not wait for the device."""
    return _keep(boxes, there, (iou_threshold,) * len(boxes), circle=False)


def keep_circle_triton(boxes: Tensor, there: Tensor, squared_radii: tuple[float, ...]) -> Tensor:
    """See `nms_groups.keep_circle_torch`. Does not wait for the device."""
    return _keep(boxes, there, squared_radii, circle=True)


@on_its_device
def _keep(boxes: Tensor, there: Tensor, limits: tuple[float, ...], circle: bool) -> Tensor:
    groups, count = there.shape
    if not there.numel():
        return there
    table = boxes.detach().double()
    parts = [*table.unbind(2)[:2], *table.unbind(2)[3:5], table[..., YAW].cos(), table[..., YAW].sin()]
    columns = torch.stack(parts, dim=1)  # (G, 6, N)
    width = triton.cdiv(count, BITS)
    words = torch.empty(groups, count, width, dtype=torch.int64, device=boxes.device)
    kept = torch.empty(groups, count, dtype=torch.int8, device=boxes.device)
    grid = (triton.cdiv(count, ROWS), width, groups)
    bounds = constant(limits, columns)
    # Without fusion it rounds as the compiled loops do.
    _judge[grid](columns, bounds, words, count, width, circle, ROWS, BITS, num_warps=4, enable_fp_fusion=False)
    padded = triton.next_power_of_2(width)
    _choose[(groups,)](words, there.to(torch.int8), kept, count, width, padded, BITS, num_warps=1)
    return kept.bool()
