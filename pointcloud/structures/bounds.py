"""Where the points of each scan of a batch begin and end; sizes and places in 3DETR are shares of it."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

SMALLEST_EXTENT_M = 0.1
"""A scan counts as this large along every axis: sizes and places are shares of it, and it must not be 0."""


class Bounds(NamedTuple):
    """Lowest and highest coordinates of each scan of a batch, metres."""

    low: Float[Tensor, "b 3"]
    high: Float[Tensor, "b 3"]

    @property
    def extent(self) -> Float[Tensor, "b 3"]:
        """Edges of each scan, `SMALLEST_EXTENT_M` at least."""
        return (self.high - self.low).clamp(min=SMALLEST_EXTENT_M)

    def normalize(self, xyz: Float[Tensor, "*layers b n 3"]) -> Float[Tensor, "*layers b n 3"]:
        """Places as shares of the way from the lowest to the highest."""
        return (xyz - self.low[:, None]) / self.extent[:, None]
