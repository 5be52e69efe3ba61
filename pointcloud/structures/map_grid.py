"""Where the cells of a map seen from above lie in metres."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from vol3d.host import constant


class MapGrid(NamedTuple):
    """Where the cells of a map lie: the lower corner of cell (y, x) is low + (x, y) * voxel * stride, metres."""

    low: tuple[float, float]
    voxel: tuple[float, float]
    stride: int
    shape: tuple[int, int]  # y x

    def to_cells(self, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Metres to cells; in two steps, as the originals round."""
        return (xy - constant(self.low, xy)) / constant(self.voxel, xy) / self.stride

    def to_metres(self, cells: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Cells to metres."""
        return cells * self.stride * constant(self.voxel, cells) + constant(self.low, cells)
