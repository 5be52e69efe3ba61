"""Volumes, labels and logits on other grids, as nnU-Net resamples them.

Faces stay where they are: target index t lies at (t + 1/2) n / m - 1/2, clamped to the outermost centres. One axis may
be resampled apart, after the planes across it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medical.nnunet.methods import Resampling

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]


def resampled_shape(shape: Shape, spacing_mm: Spacing, target_mm: Spacing, how: Resampling) -> Shape:
    """Voxels along each axis at another spacing; halves are rounded to even numbers."""
    if how.is_off:
        return shape
    i, j, k = (round(old / new * n) for n, old, new in zip(shape, spacing_mm, target_mm, strict=True))
    return i, j, k


def resample(voxels: np.ndarray, shape: Shape, apart: int | None, how: Resampling) -> np.ndarray:
    """An image (a, b, c) float32 on a grid of `shape`, float32; itself where the shape is the same.

    A cubic spline is clipped to the range of what it interpolates: of the volume, or of each plane.

    Args:
        apart: the axis that is resampled after the others, or None.
    """
    if voxels.shape == shape:
        return voxels
    if apart is None:
        return _spline(voxels, shape, how.order)
    planes = np.moveaxis(voxels, apart, 0)
    across = tuple(length for axis, length in enumerate(shape) if axis != apart)
    turned = np.stack([_spline(plane, across, how.order) for plane in planes])
    return np.ascontiguousarray(np.moveaxis(_along(turned, shape[apart], how.order_z), 0, apart))


def _spline(voxels: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    if voxels.shape == shape:
        return voxels
    from scipy.ndimage import zoom

    result = np.empty(shape, np.float32)
    factors = [new / old for new, old in zip(shape, voxels.shape, strict=True)]
    zoom(voxels, factors, output=result, order=order, mode="nearest", grid_mode=True)
    return np.clip(result, voxels.min(), voxels.max(), out=result)


def _along(planes: np.ndarray, count: int, order: int) -> np.ndarray:
    """(n, ...) -> (count, ...), the nearest plane or a mixture of two."""
    line = Line.of(len(planes), count, order)
    lower, upper = planes[line.lower], planes[line.upper]
    share = line.share.reshape(-1, *(1 for _ in planes.shape[1:]))
    return (lower + (upper - lower) * share).astype(np.float32) if order else upper


def resample_labels(labels: np.ndarray, shape: Shape, apart: int | None, how: Resampling) -> np.ndarray:
    """Labels (a, b, c) of a signed type on a grid of `shape`.

    Each label's share is interpolated; the last one with at least half is taken, 0 where there is none; or the one with
    the largest share.
    """
    if labels.shape == shape:
        return labels
    values = np.unique(labels)
    if how.largest_share:
        shares = (_shares(labels == value, shape, apart, how, 1).astype(np.float16) for value in values)
        return values[np.argmax(np.stack(list(shares)), axis=0)].astype(labels.dtype)
    result = np.zeros(shape if apart is None else _but(shape, apart, labels.shape[apart]), labels.dtype)
    for value in values:  # planes first, then the axis apart: what was decided in a plane is not decided again
        share = _shares(labels == value, result.shape, apart, how, how.order)
        result[share >= 0.5] = value
    return (
        result
        if apart is None
        else np.moveaxis(_labels_along(np.moveaxis(result, apart, 0), shape[apart], how), 0, apart)
    )


def _shares(mask: np.ndarray, shape: tuple[int, ...], apart: int | None, how: Resampling, order: int) -> np.ndarray:
    """Where `mask` (a, b, c) is, interpolated to `shape`."""
    return resample(mask.astype(np.float32), shape, apart, Resampling(order, how.order_z))  # type: ignore[arg-type]


def _labels_along(planes: np.ndarray, count: int, how: Resampling) -> np.ndarray:
    line = Line.of(len(planes), count, how.order_z)
    if how.order_z == 0:
        return planes[line.upper]
    result = np.zeros((count, *planes.shape[1:]), planes.dtype)
    for value in np.unique(planes):
        share = _along((planes == value).astype(np.float32), count, 1)
        result[np.round(share) > 0.5] = value
    return result


def _but(shape: Shape, axis: int, length: int) -> Shape:
    i, j, k = (length if number == axis else one for number, one in enumerate(shape))
    return i, j, k


@dataclass(frozen=True)
class Line:
    """One axis of n samples at m targets: `share` of the sample `upper`, the rest of `lower`."""

    lower: np.ndarray
    upper: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, samples: int, targets: int, order: int) -> Line:
        """Linear, or with `order` 0 the nearest sample, of two equally near ones the upper."""
        place = np.clip((np.arange(targets) + 0.5) * samples / targets - 0.5, 0, samples - 1)
        if order == 0:
            nearest = np.clip(np.floor(place + 0.5), 0, samples - 1).astype(np.int64)
            return cls(nearest, nearest, np.ones(targets, np.float32))
        upper = np.ceil(place).astype(np.int64)
        lower = np.maximum(upper - 1, 0)
        return cls(lower, upper, np.where(upper > lower, place - lower, 1.0).astype(np.float32))

    def mix(self, values: Tensor, dim: int) -> Tensor:
        """`values` at the targets, along `dim`."""
        if len(self.share) == values.shape[dim] and bool((self.share == 1).all()):
            return values
        upper = values.index_select(dim, torch.from_numpy(self.upper).to(values.device))
        if bool((self.share == 1).all()):
            return upper
        lower = values.index_select(dim, torch.from_numpy(self.lower).to(values.device))
        share = torch.from_numpy(self.share).to(values.device)
        return torch.lerp(lower, upper, share.reshape([-1 if axis == dim else 1 for axis in range(values.ndim)]))


def lines(shape: Shape, target: Shape, apart: int | None, how: Resampling) -> tuple[Line, Line, Line]:
    """How logits go from one grid to another, axis by axis: linear resampling needs no more."""
    orders = [how.order_z if axis == apart else how.order for axis in range(3)]
    a, b, c = (Line.of(n, m, order) for n, m, order in zip(shape, target, orders, strict=True))
    return a, b, c
