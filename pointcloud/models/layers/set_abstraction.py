"""PointNet++: fewer points that know their surroundings, and the way back to more points.

Qi et al., "PointNet++", NeurIPS 2017, sections 3.2 and 3.4. 3DETR begins with one set abstraction, VoteNet is built of
both. Features are (B, N, C), channels last: a point is a row, and a convolution of 1x1 is a linear map of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from vol3d.engine.settings import Settings
from vol3d.ops import (
    ball_query,
    farthest_point_sample,
    gather,
    group_around,
    interpolate_nearest,
    max_over_rows,
)


class SetAbstractionSettings(Settings):
    """One level of PointNet++; the defaults are those that 3DETR starts with."""

    points: int = Field(2048, ge=1, description="points that are kept, each the farthest from those before it")
    radius_m: float = Field(0.2, gt=0, description="how far a kept point looks")
    neighbours: int = Field(64, ge=1, description="points that it sees at most, the first in the order of the cloud")
    widths: tuple[int, ...] = Field((64, 128, 256), min_length=1, description="of the layers that each of them passes")


class TokenSet(NamedTuple):
    """Points with features, and where they were in the cloud that they were picked from."""

    xyz: Float[Tensor, "b m 3"]
    features: Float[Tensor, "b m c"]
    picks: Int64[Tensor, "b m"]


class SetAbstraction(nn.Module):
    """Picks points, groups the neighbours of each, passes them through a shared MLP and takes the maximum.

    Args:
        channels: features of a point besides its place.
        settings: sizes.
        skip_near_origin: quirk of the code released with VoteNet and 3DETR, see `vol3d.ops.farthest_point_sample`.
    """

    def __init__(self, channels: int, settings: SetAbstractionSettings, *, skip_near_origin: bool = False) -> None:
        super().__init__()
        self.settings, self.skip_near_origin = settings, skip_near_origin
        self.mlp = shared_mlp((3 + channels, *settings.widths))

    def forward(
        self,
        xyz: Float[Tensor, "b n 3"],
        features: Float[Tensor, "b n c"] | None = None,
        *,
        counts: Sequence[int] | None = None,
        picks: Int64[Tensor, "b m"] | None = None,
    ) -> TokenSet:
        """The points kept of each cloud, with features.

        Args:
            xyz, features: of all points; the places in metres.
            counts: points of each cloud, all N if None; what lies behind them is padding.
            picks: which points to keep; None: the farthest.
        """
        size = self.settings
        if picks is None:
            picks = sample_points(xyz, size.points, counts, skip_near_origin=self.skip_near_origin)
        centers = gather(xyz, picks)  # (B, M, 3)
        pooled = pool_around(self.mlp, xyz, features, centers, size.radius_m, size.neighbours, counts)
        return TokenSet(centers, pooled, picks)


def pool_around(
    mlp: nn.Module,
    xyz: Float[Tensor, "b n 3"],
    features: Float[Tensor, "b n c"] | None,
    centers: Float[Tensor, "b m 3"],
    radius_m: float,
    neighbours: int,
    counts: Sequence[int] | None = None,
) -> Float[Tensor, "b m w"]:
    """Maximum of the MLP's outputs over the points around each center, whose places count from it in radii.

    A center without a point in its ball, which is none of the points, sees the first point, wherever it is: so do the
    released codes.
    """
    near = ball_query(xyz, centers, radius_m, neighbours, counts=counts, padding="first").indices
    groups = group_around(xyz, centers, near, features, radius=radius_m)  # (B, M, k, 3 + C)
    pooled: Tensor = max_over_rows(mlp(groups))  # (B, M, W)
    return pooled


class FeaturePropagation(nn.Module):
    """Features of a sparse set interpolated at the points of a denser one, joined with their own, and a shared MLP.

    Args:
        channels: of the sparse features and of the dense ones together.
        widths: of the layers.
        power: 2 is the paper's; 1 a quirk that VoteNet's weights depend on, see `vol3d.ops.interpolate_nearest`.
    """

    def __init__(self, channels: int, widths: Sequence[int], *, power: int = 2) -> None:
        super().__init__()
        self.power = power
        self.mlp = shared_mlp((channels, *widths))

    def forward(
        self,
        xyz: Float[Tensor, "b n 3"],
        features: Float[Tensor, "b n c"] | None,
        sparse_xyz: Float[Tensor, "b m 3"],
        sparse_features: Float[Tensor, "b m s"],
    ) -> Float[Tensor, "b n w"]:
        """New features of the dense points; `features` are those they had, if any."""
        mixed = interpolate_nearest(sparse_xyz, sparse_features.float(), xyz, power=self.power)  # (B, N, S)
        return self.mlp(mixed if features is None else torch.cat([mixed, features], dim=-1))


class SharedLayer(nn.Module):
    """Linear map, batch norm and ReLU, the same for every row of the input."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, width, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Float[Tensor, "*rows c"]) -> Float[Tensor, "*rows w"]:
        rows = x.flatten(0, -2)
        rows = self.norm(self.linear(rows)) if self.norm.training else self._folded(rows)
        return F.relu_(rows).unflatten(0, x.shape[:-1])

    def _folded(self, rows: Tensor) -> Tensor:
        """Linear map and norm in one pass: with fixed statistics the norm is linear too."""
        norm = self.norm
        scale = norm.weight * (norm.get_buffer("running_var") + norm.eps).rsqrt()
        return F.linear(rows, self.linear.weight * scale[:, None], norm.bias - norm.get_buffer("running_mean") * scale)


def shared_mlp(widths: Sequence[int]) -> nn.Sequential:
    """One `SharedLayer` from each width to the next, as PointNet++ starts them."""
    layers = [SharedLayer(channels, width) for channels, width in pairwise(widths)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.linear.weight)
    return nn.Sequential(*layers)


def sample_points(
    xyz: Float[Tensor, "b n 3"], k: int, counts: Sequence[int] | None = None, *, skip_near_origin: bool = False
) -> Int64[Tensor, "b k"]:
    """Farthest-point samples; a cloud with fewer than k points gives all of them, over and over.

    Args:
        xyz: (B, N, 3), metres.
        k: how many.
        counts: points of each cloud, one at least; all N if None.
        skip_near_origin: quirk, see `vol3d.ops.farthest_point_sample`.
    """
    sizes = list(counts) if counts is not None else [xyz.shape[1]] * len(xyz)
    if min(sizes, default=k) >= k:
        return farthest_point_sample(xyz, k, counts=counts, skip_near_origin=skip_near_origin)
    turns = torch.arange(k, device=xyz.device)
    rows = []
    for cloud, size in zip(xyz, sizes, strict=True):
        order = farthest_point_sample(cloud[None, :size], min(k, size), skip_near_origin=skip_near_origin)[0]
        rows.append(order[turns % len(order)])
    return torch.stack(rows)
