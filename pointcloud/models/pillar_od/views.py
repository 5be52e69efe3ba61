"""The points of a batch in one view: what a cell knows of its points, points to a map, a map to points.

Wang, Fathi, Kundu, Ross, Pantofaru, Funkhouser, Solomon, "Pillar-based Object Detection for Autonomous Driving", ECCV
2020, section 3.1 (cylindrical view) and 3.3 (bilinear interpolation in place of the nearest cell).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from vol3d.engine.settings import Settings
from vol3d.host import constant
from vol3d.ops import VoxelGrid, VoxelPoints, scatter_to_bev

STATISTICS = 22
"""Columns of `ViewPoints.statistics`."""

Align = Literal["centres", "corners"]


class CylinderSettings(Settings):
    """Cells of the cylindrical view; the defaults are the authors' on Waymo."""

    azimuths: int = Field(2560, ge=4, description="cells around the sensor")
    heights: int = Field(100, ge=4, description="cells above each other")
    z_range_m: tuple[float, float] = Field((-3.0, 7.0), description="lowest and highest z")
    radius_m: float = Field(107.0, gt=0, description="points farther from the axis are outside the view")

    @model_validator(mode="after")
    def _check(self) -> CylinderSettings:
        if not self.z_range_m[0] < self.z_range_m[1]:
            raise ValueError(f"z_range_m must rise, got {self.z_range_m}")
        if self.azimuths % 4 or self.heights % 4:
            raise ValueError(f"azimuths and heights must be multiples of 4, got {self.azimuths} and {self.heights}")
        return self

    @property
    def grid(self) -> VoxelGrid:
        """Its cells, in the coordinates of `cylindrical`."""
        low, high = self.z_range_m
        size = (2 * math.pi / self.azimuths, (high - low) / self.heights, self.radius_m)
        return VoxelGrid(size, (-math.pi, low, 0.0, math.pi, high, self.radius_m))


def cylindrical(xyz: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Azimuth in [-pi, pi], height and distance from the z axis (section 3.1); metres and radians."""
    x, y, z = xyz.unbind(1)
    return torch.stack([torch.atan2(y, x), z, (x.square() + y.square()).sqrt()], dim=1)


@dataclass(frozen=True, eq=False)
class ViewPoints:
    """Where the points of a batch lie in a view.

    voxels: the coordinates (N, 3) of all points in the view, and the cell of each, -1 outside.
    grid: of the view, one cell deep along the third coordinate.
    lengths: points of each cloud.
    """

    voxels: VoxelPoints
    grid: VoxelGrid
    lengths: Sequence[int]

    def statistics(self) -> Float[Tensor, "n 22"]:
        """Of each point: place, place from the cell's centre, points in the cell, place from their mean, their
        covariance, their mean. A point outside the view is in a cell at the origin with no points."""
        points, voxels = self.voxels.points, self.voxels
        centres = self._of_cell(self.grid.centers(voxels.coordinates))
        means = self._of_cell(voxels.mean())
        away = points - means
        spread = self._of_cell(voxels.mean((away[:, :, None] * away[:, None]).flatten(1)))  # (N, 9)
        counts = self._of_cell(voxels.counts[:, None].to(points.dtype))
        return torch.cat([points, points - centres, counts, away, spread, means], dim=1)

    def to_map(self, features: Float[Tensor, "n c"]) -> Float[Tensor, "b c y x"]:
        """The maximum over the points of each cell, 0 in cells without any."""
        cells = self.voxels.max(features)
        if not len(features):
            cells = cells + features.sum()  # nothing, but gradients exist
        return scatter_to_bev(cells, self.voxels.coordinates, len(self.lengths), self.grid.shape)

    def from_map(self, view: Float[Tensor, "b c y x"], align: Align = "centres") -> Float[Tensor, "n c"]:
        """The map at the place of each point, interpolated bilinearly; float32. Outside, that of the nearest border.

        Args:
            view: a value for each cell.
            align: where in its cell a value is exact. The authors' code has `corners`: the first two corners' one.
        """
        view, extent = view.float(), constant(self.grid.shape[:0:-1], self.voxels.points)  # nx ny
        low, size = (constant(t[:2], extent) for t in (self.grid.point_range, self.grid.voxel_size))
        place = (self.voxels.points[:, :2] - low) / size + (0.5 if align == "corners" else 0.0)
        where = (2 * place / extent - 1).split(list(self.lengths))
        found = [_sample(view[i], xy) for i, xy in enumerate(where)]
        return torch.cat(found)

    def _of_cell(self, rows: Float[Tensor, "v c"]) -> Float[Tensor, "n c"]:
        """The row of each point's cell, zeros for points outside: -1 takes the last."""
        return torch.cat([rows, rows.new_zeros(1, rows.shape[1])])[self.voxels.voxels]


def _sample(view: Float[Tensor, "c y x"], xy: Float[Tensor, "n 2"]) -> Float[Tensor, "n c"]:
    """The map at places from -1 to 1 over its width and height."""
    if not len(xy):
        return view.new_zeros(0, len(view)) + view.sum()
    with torch.autocast(view.device.type, enabled=False):
        found = F.grid_sample(view[None], xy[None, None], padding_mode="border", align_corners=False)
    return found[0, :, 0].T  # (1, C, 1, N) -> (N, C)
