"""Attention that looks at a few places of feature maps of several sizes; the places and their weights are learned.

Zhu et al., "Deformable DETR", ICLR 2021, section 4.1, equation 3. Maps lie as (B, y, x) in rows; places are `x y` in
[0, 1] from the corner of the first cell to that of the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vol3d.host import constant
from vol3d.kernels import takes_triton
from vol3d.threads import parallel_for

Size = tuple[int, int]
_KERNEL = (torch.float32, torch.float16, torch.bfloat16)  # of a GPU: computed in float32
_GRAIN = 256  # queries that are worth a call to another thread


def sample_maps(
    values: Float[Tensor, "b cells heads d"],
    sizes: Sequence[Size],
    places: Float[Tensor, "b q heads levels points 2"],
    weights: Float[Tensor, "b q heads levels points"],
) -> Float[Tensor, "b q heads*d"]:
    """Weighted sums of bilinear samples; outside of the maps there are zeros.

    Args:
        values: cells of all maps, one map after the other, row by row.
        sizes: height and width of each map.
        places: where each query looks.
        weights: of each sample.
    """
    if values.device.type == "cpu" and not torch.compiler.is_exporting():
        wide = torch.promote_types(values.dtype, torch.float32)  # numba has no float16
        out = _SampleMaps.apply(values.to(wide), tuple(sizes), places.to(wide), weights.to(wide))
        return out.to(values.dtype)
    wide = torch.promote_types(torch.promote_types(values.dtype, places.dtype), weights.dtype)
    traced = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    if takes_triton(values) and wide in _KERNEL and not traced:
        return _SampleOnce.apply(values, tuple(sizes), places, weights).to(wide)
    return sample_torch(values, sizes, places, weights)


def sample_torch(values: Tensor, sizes: Sequence[Size], places: Tensor, weights: Tensor) -> Tensor:
    """`sample_maps` on any device and in any precision."""
    batch, queries, heads = weights.shape[:3]
    total = values.new_zeros(batch * heads, values.shape[3], queries)
    grid = (2 * places - 1).transpose(1, 2).flatten(0, 1)  # (B * heads, Q, levels, P, 2)
    share = weights.transpose(1, 2).flatten(0, 1)[:, None]  # (B * heads, 1, Q, levels, P)
    maps = values.permute(0, 2, 3, 1).flatten(0, 1).split([h * w for h, w in sizes], dim=2)
    for level, (cells, size) in enumerate(zip(maps, sizes, strict=True)):
        samples = F.grid_sample(cells.unflatten(2, size), grid[:, :, level], align_corners=False)
        total = total + (samples * share[:, :, :, level]).sum(-1)  # (B * heads, d, Q)
    return total.unflatten(0, (batch, heads)).permute(0, 3, 1, 2).flatten(2)


class _SampleOnce(torch.autograd.Function):
    """One kernel on CUDA. The samples are written out for the gradient only, while it is computed."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, sizes: tuple[Size, ...], places: Tensor, weights: Tensor) -> Tensor:
        from pointcloud.models.layers.deformable_triton import sample_triton

        ctx.save_for_backward(values, places, weights)
        ctx.sizes = sizes
        first = _extents(sizes)[1].tolist()
        rows = tuple((*size, begin) for size, begin in zip(sizes, first, strict=True))
        maps = constant(rows, values, torch.int32)
        return sample_triton(values.float(), maps, places.float(), weights.float())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        leaves = [x.detach().requires_grad_() for x in ctx.saved_tensors]
        with torch.enable_grad(), torch.autocast(leaves[0].device.type, enabled=False):
            values, places, weights = (x.float() for x in leaves)
            out = sample_torch(values, ctx.sizes, places, weights)
        to_values, to_places, to_weights = torch.autograd.grad(out, leaves, gradients[0])
        return to_values, None, to_places, to_weights


class _SampleMaps(torch.autograd.Function):
    """Compiled for the CPU; the samples, several times as large as the values, are not kept."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, sizes: tuple[Size, ...], places: Tensor, weights: Tensor) -> Tensor:
        from pointcloud.models.layers.deformable_cpu import sample_range

        values, places, weights = values.contiguous(), places.contiguous(), weights.contiguous()
        ctx.save_for_backward(values, places, weights)
        ctx.sizes = sizes
        out = values.new_empty(*weights.shape[:3], values.shape[3])
        arrays = (values.numpy(), *_extents(sizes), places.numpy(), weights.numpy(), out.numpy())
        parallel_for(sample_range, len(weights) * weights.shape[1], *arrays, grain=_GRAIN)
        return out.flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        from pointcloud.models.layers.deformable_cpu import gradient_range

        values, places, weights = ctx.saved_tensors
        to_values, to_places, to_weights = (torch.zeros_like(x) for x in (values, places, weights))
        pull = gradients[0].reshape(*weights.shape[:3], values.shape[3]).contiguous()
        arrays = (x.numpy() for x in (places, weights, pull, to_values, to_places, to_weights))
        parallel_for(gradient_range, len(values) * values.shape[2], values.numpy(), *_extents(ctx.sizes), *arrays)
        return to_values, None, to_places, to_weights


def _extents(sizes: Sequence[Size]) -> tuple[np.ndarray, np.ndarray]:
    """Height and width of each map, and where its cells begin."""
    table = np.array(sizes, dtype=np.int64).reshape(-1, 2)
    cells = table.prod(axis=1)
    return table, cells.cumsum() - cells


class DeformableAttention(nn.Module):
    """What queries gather from maps round their reference points.

    Args:
        width: of queries and cells, a multiple of `heads`.
        heads: attentions that work side by side.
        levels: number of maps.
        points: samples of each head in each map.
    """

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.shape = (heads, levels, points)
        self.offsets = nn.Linear(width, heads * levels * points * 2)
        self.weights = nn.Linear(width, heads * levels * points)
        self.values = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Each head looks into its own direction, each point one cell farther, all with equal weights."""
        heads, levels, points = self.shape
        angle = torch.arange(heads) * (2 * math.pi / heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, points + 1)[:, None]
        start = direction[:, None, None] * steps.expand(levels, points, 1)  # (heads, levels, points, 2)
        self.offsets.bias.copy_(start.flatten())
        for zero in (self.offsets.weight, self.weights.weight, self.weights.bias, self.values.bias, self.output.bias):
            zero.zero_()
        nn.init.xavier_uniform_(self.values.weight)
        nn.init.xavier_uniform_(self.output.weight)

    def forward(
        self,
        queries: Float[Tensor, "b q w"],
        cells: Float[Tensor, "b cells w"],
        sizes: Sequence[Size],
        reference: Float[Tensor, "#b q 2"],
    ) -> Float[Tensor, "b q w"]:
        heads, levels, points = self.shape
        offsets = self.offsets(queries).unflatten(2, (heads, levels, points, 2))  # in cells of each map
        extent = torch.tensor([(w, h) for h, w in sizes], device=queries.device)
        places = reference[:, :, None, None, None] + offsets / extent[:, None]
        weights = self.weights(queries).unflatten(2, (heads, levels * points)).softmax(-1)
        values = self.values(cells).unflatten(2, (heads, -1))
        return self.output(sample_maps(values, sizes, places, weights.unflatten(3, (levels, points))))


def cell_centers(size: Size, device: torch.device) -> Float[Tensor, "cells 2"]:
    """Places of a map's cells, row by row."""
    y, x = ((torch.arange(n, device=device) + 0.5) / n for n in size)
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).flatten(0, 1)


def embed_places(places: Float[Tensor, "cells 2"], width: int) -> Float[Tensor, "cells w"]:
    """sin and cos by turns of waves over y, then over x, at wavelengths from 1 to 10000 maps (DETR, appendix A.4).

    Args:
        places: `x y` in [0, 1].
        width: of the embedding, a multiple of 4.
    """
    rates = 10000.0 ** -(torch.arange(width // 4, device=places.device) / (width // 4))
    angle = 2 * math.pi * places.flip(-1)[..., None] * rates  # (cells, 2, width / 4)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
