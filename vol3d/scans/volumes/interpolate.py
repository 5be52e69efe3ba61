"""Values of a volume between its voxels, a slab of the target at a time.

`AxisTaps` serves grids with parallel axes: interpolation is then a product of three one-dimensional ones. `Lookup`
serves any other grid, point by point through scipy. Both give the same numbers: coordinates are clamped to the
outermost voxel centres, and cubic means the interpolating B-spline with mirrored ends (scipy's mode "mirror").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Triple = tuple[int, int, int]
Order = Literal[0, 1, 3]  # nearest, linear, cubic B-spline
PARALLEL = 1e-3  # voxels: how far a shear or turn that is ignored may move the farthest corner
FACE = 0.5 + 1e-4  # voxels beyond the outermost centre that still belong to the volume


@dataclass(frozen=True)
class Taps:
    """One target axis as weighted voxels of one source axis.

    Args:
        source: which source axis.
        coordinates: (n,) source index of each target index, not clamped.
        index: (n, taps) source voxels.
        weight: (n, taps) float32, rows sum to 1.
    """

    source: int
    coordinates: np.ndarray
    index: np.ndarray
    weight: np.ndarray


def axis_taps(source: Triple, source_from_target: np.ndarray, target: Triple, order: Order) -> list[Taps] | None:
    """Taps of each target axis, or None where the grids' axes are not parallel."""
    linear = source_from_target[:3, :3]
    axes = np.abs(linear).argmax(axis=0)
    kept = np.zeros_like(linear)
    kept[axes, range(3)] = linear[axes, range(3)]
    if sorted(axes) != [0, 1, 2] or (np.abs(linear - kept) @ (np.array(target) - 1)).max() > PARALLEL:
        return None
    taps = []
    for axis, from_axis in enumerate(int(a) for a in axes):
        places = linear[from_axis, axis] * np.arange(target[axis]) + source_from_target[from_axis, 3]
        taps.append(_taps(from_axis, places, source[from_axis], order))
    return taps


def _taps(axis: int, places: np.ndarray, count: int, order: Order) -> Taps:
    clamped = np.clip(places, 0, count - 1)
    if order == 0:
        # Halves go up, as in `np.floor(x + 0.5)`; the small number keeps rounding of the affine from deciding.
        index = np.clip(np.floor(clamped + 0.5 + 1e-6), 0, count - 1).astype(np.intp)[:, None]
        return Taps(axis, places, index, np.ones_like(index, dtype=np.float32))
    first = np.floor(clamped)
    t = (clamped - first)[:, None]
    if order == 1:
        offsets, weight = np.array([0, 1]), np.concatenate([1 - t, t], axis=1)
    else:  # the four pieces of the cubic B-spline
        offsets = np.array([-1, 0, 1, 2])
        inner = [(4 - 6 * t**2 + 3 * t**3) / 6, (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6]
        weight = np.concatenate([(1 - t) ** 3 / 6, *inner, t**3 / 6], axis=1)
    index = first.astype(np.intp)[:, None] + offsets
    if count > 1:  # mirrored about the outermost centres: -1 -> 1, n -> n - 2
        index = np.abs(index)
        period = 2 * (count - 1)
        index = np.minimum(index % period, period - index % period)
    else:
        index = np.zeros_like(index)
    return Taps(axis, places, index, weight.astype(np.float32))


def _coefficients(voxels: np.ndarray, order: Order) -> np.ndarray:
    """(i, j, k) voxels as they are, or as B-spline coefficients in float32, an axis and a slab at a time."""
    if order != 3:
        return voxels
    from scipy import ndimage  # loaded when something is interpolated

    result = voxels.astype(np.float32)
    for axis in range(3):
        if result.shape[axis] == 1:
            continue
        other = 0 if axis else 1
        step = max(1, (1 << 21) * result.shape[other] // max(1, result.size))
        for at in range(0, result.shape[other], step):
            part = (slice(None),) * other + (slice(at, at + step),)
            result[part] = ndimage.spline_filter1d(result[part], 3, axis, np.float64, mode="mirror")
    return result


class Lookup:
    """Values of (i, j, k) voxels at the target indices that an affine brings to source indices."""

    def __init__(self, voxels: np.ndarray, source_from_target: np.ndarray, shape: Triple, order: Order) -> None:
        self._voxels, self._order, self._shape = voxels, order, shape
        self._matrix = source_from_target
        self._coefficients = _coefficients(voxels, order)

    def values(self, rows: slice) -> np.ndarray:
        """(rows, j, k) values; float32 for images, the voxels' type for labels."""
        places = np.clip(self._places(rows), 0, np.array(self._voxels.shape).reshape(3, 1, 1, 1) - 1)
        if self._order == 0:
            i, j, k = np.floor(places + 0.5 + 1e-6).astype(np.intp)
            return self._voxels[i, j, k]
        return _interpolated(self._coefficients, places, self._order)

    def share(self, label: np.generic, rows: slice) -> np.ndarray:
        """(rows, j, k) float32: the linearly interpolated part of `label`."""
        reach = self.reach(rows)
        start = np.array([part.start for part in reach]).reshape(3, 1, 1, 1)
        places = np.clip(self._places(rows), 0, np.array(self._voxels.shape).reshape(3, 1, 1, 1) - 1) - start
        return _interpolated((self._voxels[reach] == label).astype(np.float32), places, 1)

    def beyond(self, rows: slice) -> np.ndarray:
        """(rows, j, k) True where the target's centre lies beyond the source's outer faces."""
        places = self._places(rows)
        last = np.array(self._voxels.shape).reshape(3, 1, 1, 1) - 1
        return np.any((places < -FACE) | (places > last + FACE), axis=0)

    def reach(self, rows: slice) -> tuple[slice, slice, slice]:
        """The box of source voxels that these rows need."""
        first = np.array([rows.start, 0, 0])
        last = np.array([rows.stop, self._shape[1], self._shape[2]]) - 1
        corners = first + np.array(list(np.ndindex(2, 2, 2))) * (last - first)
        places = corners @ self._matrix[:3, :3].T + self._matrix[:3, 3]
        box = []
        for axis, count in enumerate(self._voxels.shape):
            low = int(np.clip(np.floor(places[:, axis].min()) - 1, 0, count - 1))
            high = int(np.clip(np.ceil(places[:, axis].max()) + 2, low + 1, count))
            box.append(slice(low, high))
        return box[0], box[1], box[2]

    def _places(self, rows: slice) -> np.ndarray:
        """(3, rows, j, k) source indices."""
        axes = [np.arange(rows.start, rows.stop), np.arange(self._shape[1]), np.arange(self._shape[2])]
        i, j, k = np.meshgrid(*axes, indexing="ij", sparse=True)
        return np.stack([m[0] * i + m[1] * j + m[2] * k + m[3] for m in self._matrix[:3]])


class AxisTaps(Lookup):
    """The same for parallel axes: three one-dimensional sums."""

    def __init__(self, voxels: np.ndarray, taps: list[Taps], order: Order) -> None:
        self._voxels, self._order, self._taps = voxels, order, taps
        self._coefficients = _coefficients(voxels, order)

    def values(self, rows: slice) -> np.ndarray:
        reach = self.reach(rows)
        return self._contract(self._coefficients[reach], reach, rows)

    def share(self, label: np.generic, rows: slice) -> np.ndarray:
        reach = self.reach(rows)
        return self._contract((self._voxels[reach] == label).astype(np.float32), reach, rows)

    def beyond(self, rows: slice) -> np.ndarray:
        outside = []
        for axis, taps in enumerate(self._taps):
            places = taps.coordinates[rows] if axis == 0 else taps.coordinates
            outside.append((places < -FACE) | (places > self._voxels.shape[taps.source] - 1 + FACE))
        return outside[0][:, None, None] | outside[1][None, :, None] | outside[2][None, None, :]

    def reach(self, rows: slice) -> tuple[slice, slice, slice]:
        box = [slice(0, 0)] * 3
        for axis, taps in enumerate(self._taps):
            index = taps.index[rows] if axis == 0 else taps.index
            box[taps.source] = slice(int(index.min()), int(index.max()) + 1)
        return box[0], box[1], box[2]

    def _contract(self, block: np.ndarray, reach: tuple[slice, slice, slice], rows: slice) -> np.ndarray:
        block = block.transpose([taps.source for taps in self._taps])
        for axis, taps in enumerate(self._taps):
            index = (taps.index[rows] if axis == 0 else taps.index) - reach[taps.source].start
            weight = taps.weight[rows] if axis == 0 else taps.weight
            block = _weighted(block, index, weight, axis) if self._order else np.take(block, index[:, 0], axis)
        return block if self._order == 0 else block.astype(np.float32, copy=False)


def _weighted(block: np.ndarray, index: np.ndarray, weight: np.ndarray, axis: int) -> np.ndarray:
    """sum over t of weight[:, t] * block[index[:, t]] along `axis`, float32."""
    along = [1, 1, 1]
    along[axis] = -1
    total = np.take(block, index[:, 0], axis).astype(np.float32)
    total *= weight[:, 0].reshape(along)
    for t in range(1, index.shape[1]):
        term = np.take(block, index[:, t], axis).astype(np.float32, copy=False)
        term *= weight[:, t].reshape(along)
        total += term
    return total


def _interpolated(coefficients: np.ndarray, places: np.ndarray, order: Order) -> np.ndarray:
    from scipy import ndimage

    result = np.empty(places.shape[1:], np.float32)
    ndimage.map_coordinates(coefficients, places, result, order, "mirror", prefilter=False)
    return result
