"""Whether voxels without a word about them are intensities or labels."""

from __future__ import annotations

import numpy as np

_LOOKED_AT = 24  # slices that distinguish labels from an image
_ALIKE = 0.5  # share of voxels that equal their neighbour: labels have 0.7 and more, noise 0.1 and less


def looks_like_labels(array: np.ndarray) -> bool:
    """True for whole numbers from 0 of which neighbours (i, j, k) mostly agree; zeros do not count."""
    slices = array[:, :, :: max(1, array.shape[2] // _LOOKED_AT)]
    if not np.isfinite(slices).all() or (slices < 0).any() or (slices != np.floor(slices)).any():
        return False
    here, there = slices[:-1], slices[1:]
    either = (here > 0) | (there > 0)
    return bool(either.any()) and float((here == there)[either].mean()) > _ALIKE
