"""What voxels without a word about them are: intensities or labels, a CT or something else."""

from __future__ import annotations

import numpy as np

_LOOKED_AT = 24  # slices that distinguish labels from an image
_ALIKE = 0.5  # share of voxels that equal their neighbour: labels have 0.7 and more, noise 0.1 and less
_CT_AIR_HU, SOFT_TISSUE_HU = -500.0, (-160.0, 240.0)
_PERCENTILES, _PERCENTILES_AROUND = (1.0, 98.5), (2.0, 99.5)


def looks_like_labels(array: np.ndarray) -> bool:
    """True for whole numbers from 0 of which neighbours (i, j, k) mostly agree; zeros do not count."""
    slices = array[:, :, :: max(1, array.shape[2] // _LOOKED_AT)]
    if not np.isfinite(slices).all() or (slices < 0).any() or (slices != np.floor(slices)).any():
        return False
    here, there = slices[:-1], slices[1:]
    either = (here > 0) | (there > 0)
    return bool(either.any()) and float((here == there)[either].mean()) > _ALIKE


def grey_window(array: np.ndarray, around: np.ndarray | None = None) -> tuple[float, float]:
    """Values that are black and white: those of soft tissue where the values are a CT's, else percentiles.

    Args:
        array: voxels of any shape.
        around: values from which the percentiles are taken; None: all of them.
    """
    some = array[tuple(slice(None, None, max(1, side // 96)) for side in array.shape)]
    some = some[np.isfinite(some)]
    if not some.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(some, _PERCENTILES))
    if low < _CT_AIR_HU and high > 0:
        return SOFT_TISSUE_HU
    if around is not None and around.size:
        low, high = (float(value) for value in np.percentile(around, _PERCENTILES_AROUND))
    return (low, high) if high > low else (low - 0.5, low + 0.5)
