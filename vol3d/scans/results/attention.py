"""Where a network's encoder looks from one place of a scan, as figure 1 of 3DETR shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """The weights of the encoder's last layer from one encoded point to all of them, the mean over the heads.

    Args:
        xyz: (T, 3) float64 encoded points: metres with z up, in the coordinates of the scan's boxes.
        weights: (T,) float32; they sum to 1.
        start: the encoded point that looks.
        heads: how many were averaged.
    """

    xyz: np.ndarray
    weights: np.ndarray
    start: int
    heads: int

    def moved(self, matrix: np.ndarray) -> AttentionMap:
        """The same weights at moved points, `matrix` (4, 4)."""
        xyz = self.xyz @ matrix[:3, :3].T + matrix[:3, 3]
        return AttentionMap(xyz, self.weights, self.start, self.heads)
