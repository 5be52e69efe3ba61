"""Where the points of each scan of a batch begin and end; sizes and places in 3DETR are shares of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST_EXTENT_M = 0.1
"""A scan counts as this large along every axis: sizes and places are shares of it, and it must not be 0."""


class Bounds(NamedTuple):
    """Lowest and highest coordinates of each scan of a batch, metres."""

    low: Float[Tensor, "b 3"]
    high: Float[Tensor, "b 3"]

    @classmethod
    def without_strays(cls, clouds: list[Tensor], percent: float) -> Bounds:
        """Bounds of the inner points: on each side of each axis `percent` of a cloud (N, 3 or more) is beyond."""
        ordered = [cloud[:, :3].float().sort(dim=0).values for cloud in clouds]
        beyond = [int(len(cloud) * percent / 100) for cloud in clouds]
        ends = [(one[k], one[len(one) - 1 - k]) for one, k in zip(ordered, beyond, strict=True)]
        return cls(torch.stack([low for low, _ in ends]), torch.stack([high for _, high in ends]))

    @property
    def extent(self) -> Float[Tensor, "b 3"]:
        """Edges of each scan, `SMALLEST_EXTENT_M` at least."""
        return (self.high - self.low).clamp(min=SMALLEST_EXTENT_M)

    def normalize(self, xyz: Float[Tensor, "*layers b n 3"]) -> Float[Tensor, "*layers b n 3"]:
        """Places as shares of the way from the lowest to the highest."""
        return (xyz - self.low[:, None]) / self.extent[:, None]
