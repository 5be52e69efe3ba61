"""Attention that looks at a few places of feature maps of several sizes; the places and their weights are learned.

Zhu et al., "Deformable DETR", ICLR 2021, section 4.1, equation 3. Maps lie as (B, y, x) in rows; places are `x y` in
[0, 1] from the corner of the first cell to that of the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Size = tuple[int, int]


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
    batch, queries, heads = weights.shape[:3]
    total = values.new_zeros(batch * heads, values.shape[3], queries)
    grid = (2 * places - 1).transpose(1, 2).flatten(0, 1)  # (B * heads, Q, levels, P, 2)
    share = weights.transpose(1, 2).flatten(0, 1)[:, None]  # (B * heads, 1, Q, levels, P)
    maps = values.permute(0, 2, 3, 1).flatten(0, 1).split([h * w for h, w in sizes], dim=2)
    for level, (cells, size) in enumerate(zip(maps, sizes, strict=True)):
        samples = F.grid_sample(cells.unflatten(2, size), grid[:, :, level], align_corners=False)
        total = total + (samples * share[:, :, :, level]).sum(-1)  # (B * heads, d, Q)
    return total.unflatten(0, (batch, heads)).permute(0, 3, 1, 2).flatten(2)


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
        reference: Float[Tensor, "b q 2"],
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
