"""Slow twin of `medical.segment`: whole probabilities on the scan's grid, point by point."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

from vol3d.scans.volumes.volume import Grid


def slow_labels(probabilities: np.ndarray, ready: Grid, grid: Grid) -> np.ndarray:
    """(outputs, i, j, k) on the prepared grid -> argmax (i, j, k) on the scan's, 0 farther out."""
    index = np.stack([*np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), np.ones(grid.shape)])
    where = np.einsum("ab,bijk->aijk", np.linalg.solve(ready.affine, grid.affine), index)[:3].round(6)
    fine = np.stack([map_coordinates(p, where, order=1, mode="nearest", output=np.float64) for p in probabilities])
    last = np.array(ready.shape).reshape(3, 1, 1, 1)
    return np.where(((where < -1) | (where > last)).any(0), 0, fine.argmax(0)).astype(np.uint8)
