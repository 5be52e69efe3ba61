"""Connected objects in finished labels, (channels, i, j, k); as MONAI treats them, without scikit-image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def keep_largest(
    labels_: Tensor,
    labels: Sequence[int] | None,
    onehot: bool | None,
    each: bool,
    connectivity: int | None,
    count: int,
) -> Tensor:
    """The largest `count` objects of each label, or of all labels together; the rest becomes 0.

    Args:
        labels: which labels, or with `onehot` which channels; None is all but 0.
        onehot: whether each channel is a label; None is where there are several.
        each: of each label by itself.
        connectivity: how many axes a neighbour may be away on: 1 faces, 3 (None) corners too.
    """
    result = labels_.numpy().copy()
    onehot = len(result) > 1 if onehot is None else onehot
    chosen = _foreground(result, onehot) if labels is None else list(labels)
    groups = [[one] for one in chosen] if each else [chosen]
    for group in groups:
        mask = np.any(result[group] > 0, axis=0) if onehot else np.isin(result[0], group)
        lost = mask & ~_largest(mask, connectivity, count)
        for channel in group if onehot else [0]:
            result[channel][lost] = 0
    return torch.from_numpy(result)


def _foreground(values: np.ndarray, onehot: bool) -> list[int]:
    """The labels that occur, or with `onehot` the channels, but 0."""
    if onehot:
        return [channel for channel in range(1, len(values)) if values[channel].any()]
    return [int(one) for one in np.unique(values) if one > 0]


def _largest(mask: np.ndarray, connectivity: int | None, count: int) -> np.ndarray:
    pieces, number = _pieces(mask, connectivity)
    if number <= count:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = np.zeros(len(sizes), dtype=bool)
    kept[np.argsort(sizes)[::-1][:count]] = True
    return kept[pieces]


def _pieces(mask: np.ndarray, connectivity: int | None) -> tuple[np.ndarray, int]:
    from scipy.ndimage import generate_binary_structure, label

    pieces, number = label(mask, structure=generate_binary_structure(mask.ndim, connectivity or mask.ndim))
    return pieces, int(number)


def remove_small(
    labels_: Tensor, min_size: int = 64, connectivity: int = 1, independent_channels: bool = True
) -> Tensor:
    """Objects of fewer than `min_size` voxels become 0.

    Of several labels in one channel each is one object, wherever its voxels lie, as in scikit-image.
    """
    values = labels_.numpy()
    if values.max(initial=0) > 1 and independent_channels:
        pieces = values.astype(np.int64)
    else:
        mask = (values > 0) if independent_channels else np.any(values > 0, axis=0, keepdims=True)
        pieces = _pieces(mask, connectivity)[0]
    small = np.bincount(pieces.ravel()) < min_size
    small[0] = False
    return torch.from_numpy(np.where(small[pieces], 0, values).astype(values.dtype))


def fill_holes(
    labels_: Tensor, applied_labels: Sequence[int] | int | None = None, connectivity: int | None = None
) -> Tensor:
    """Background that a label encloses becomes that label (MONAI's `FillHoles`)."""
    from monai.transforms import FillHoles

    return torch.as_tensor(FillHoles(applied_labels, connectivity)(labels_))
