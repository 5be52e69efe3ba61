"""Which part of space a LiDAR detector looks at, and in voxels of which size."""

from __future__ import annotations

from pydantic import Field, model_validator

from pointcloud.structures.map_grid import MapGrid
from vol3d.engine.settings import Settings
from vol3d.errors import UsageError
from vol3d.ops import VoxelGrid

Range = tuple[float, float, float, float, float, float]
"""Lowest x y z, then highest x y z, metres."""


class VoxelSettings(Settings):
    """The grid, and how many points and voxels are kept.

    The papers train with a lower limit of voxels than they test with; here one limit holds for both.
    """

    point_range_m: Range = Field((-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), description="lowest x y z, then highest x y z")
    voxel_size_m: tuple[float, float, float] = Field((0.2, 0.2, 8.0), description="x y z")
    max_points: int | None = Field(20, ge=1, description="kept per voxel, first come first served; null: all")
    max_voxels: int | None = Field(40000, ge=1, description="kept per cloud, first come first served; null: all")

    @property
    def grid(self) -> VoxelGrid:
        """Where the voxels lie."""
        return VoxelGrid(self.voxel_size_m, self.point_range_m)

    def map_grid(self, stride: int) -> MapGrid:
        """Where the cells of a map lie that are `stride` voxels long and wide."""
        (x, y, *_), (length, width, _), (_, ny, nx) = self.point_range_m, self.voxel_size_m, self.grid.shape
        return MapGrid((x, y), (length, width), stride, (ny // stride, nx // stride))

    def require_pillars(self) -> None:
        """Refuses voxels above each other.

        Raises:
            ValueError: there are some.
        """
        if self.grid.shape[0] != 1:
            layers = self.grid.shape[0]
            raise ValueError(f"pillars must reach over the whole range in z, got {layers} voxels above each other")

    def require_multiple(self, stride: int) -> None:
        """Refuses a grid that maps of this stride do not tile: their sizes would differ.

        Raises:
            ValueError: names the multiple.
        """
        _, ny, nx = self.grid.shape
        if ny % stride or nx % stride:
            raise ValueError(f"voxels along y and x must be multiples of {stride}, got {ny} and {nx}")

    @model_validator(mode="after")
    def _check(self) -> VoxelSettings:
        try:
            _ = self.grid
        except UsageError as error:
            raise ValueError(str(error)) from error
        return self
