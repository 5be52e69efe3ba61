"""Stored numbers to voxels, slab by slab: scale, check and narrow without a second full-size copy."""

from __future__ import annotations

import math
from collections.abc import Callable
from os import PathLike

import numpy as np

from vol3d.errors import DataError
from vol3d.memory import require_memory
from vol3d.scans.volumes.gzipped import Stream

SLAB_BYTES = 1 << 24  # stored bytes that one step works on; its float64 copy stays under 150 MB
SLAB_WORK = 16  # bytes per voxel of a slab, while it is computed


def empty(shape: tuple[int, ...], dtype: np.dtype, where: str | PathLike[str]) -> np.ndarray:
    """Room for the voxels. Raises DataError where less memory than that is free."""
    check_memory(shape, dtype, where)
    return np.empty(shape, dtype)


def check_memory(shape: tuple[int, ...], dtype: np.dtype, where: str | PathLike[str]) -> None:
    """Raises DataError for voxels that do not fit beside what runs already, before any memory is taken.

    What a reader takes beside its array is counted: one slab as it is stored and as float64, and for labels the copy
    in a narrower type.
    """
    voxels = math.prod(shape)
    narrower = 2 * voxels if dtype.kind == "i" else 0
    slab = min(voxels, max(SLAB_BYTES, voxels // max(1, shape[-1])))
    check_bytes(dtype.itemsize * voxels + narrower + SLAB_WORK * slab, where, shape)


def check_bytes(need: int, where: str | PathLike[str], shape: tuple[int, ...] = ()) -> None:
    """Raises DataError where fewer than `need` bytes are free; `shape` is for the message."""
    voxels = f"{' x '.join(map(str, shape))} voxels, " if shape else ""
    do = "Close other programs, crop or resample it elsewhere, or check its header."
    require_memory(need, "the volume does not fit into the free memory", where, voxels, do)


def fill(
    array: np.ndarray,
    stream: Stream,
    dtype: np.dtype,
    slab: Callable[[np.ndarray, int], np.ndarray],
    channel_axis: int | None = None,
) -> None:
    """Read voxels slab by slab into their final place.

    Args:
        array: (channels, i, j, k), filled.
        stream: numbers of `dtype`, the first stored axis fastest.
        slab: from stored numbers (i, j, some k) and the index of the first k to values.
        channel_axis: which of the four stored axes counts channels if not the last.
    """
    channels, *shape = array.shape
    stored = shape if channel_axis is None else [*shape[:channel_axis], channels, *shape[channel_axis:]]
    slice_bytes = math.prod(stored[:-1]) * dtype.itemsize
    depth = slab_depth(slice_bytes)
    for channel in range(0, channels, 1 if channel_axis is None else channels):
        for k in range(0, shape[2], depth):
            stop = min(shape[2], k + depth)
            raw = np.frombuffer(stream.take((stop - k) * slice_bytes), dtype)
            raw = raw.reshape((*stored[:-1], stop - k), order="F")
            for offset, part in enumerate(raw[None] if channel_axis is None else np.moveaxis(raw, channel_axis, 0)):
                array[channel + offset, :, :, k:stop] = slab(part, k)


def image_slab(
    raw: np.ndarray,
    slope: float,
    intercept: float,
    where: str | PathLike[str],
    first_k: int = 0,
    fill_nonfinite: float | None = None,
) -> np.ndarray:
    """`raw * slope + intercept` as float32.

    Args:
        raw: (i, j, k) numbers as stored.
        first_k: index of the slab's first slice in the volume, for messages.
        fill_nonfinite: what replaces NaN and infinite voxels.

    Raises:
        DataError: a voxel is NaN or infinite, or too large for float32, and `fill_nonfinite` is None.
    """
    values = raw
    if (slope, intercept) != (1.0, 0.0):
        values = raw.astype(np.float64) * slope + intercept
    with np.errstate(over="ignore", invalid="ignore"):
        voxels = values.astype(np.float32)
    if raw.dtype.kind in "iu" and abs(slope) < 1e28:
        return voxels
    finite = np.isfinite(voxels)
    if finite.all():
        return voxels
    if fill_nonfinite is None:
        i, j, k = (int(axis[0]) for axis in np.nonzero(~finite))
        raise DataError(
            "a voxel is not a finite float32 number",
            where=where,
            got=f"{values[i, j, k]} at voxel ({i}, {j}, {first_k + k})",
            wanted="finite numbers",
            do="Repair the file, or read it with fill_nonfinite=0.",
        )
    voxels[~finite] = fill_nonfinite
    return voxels


def label_slab(
    raw: np.ndarray, slope: float, intercept: float, where: str | PathLike[str], first_k: int = 0
) -> np.ndarray:
    """`raw * slope + intercept` as int32, which must be whole numbers from 0.

    A slope in a file is float32, so with one (say 1/255) values within its rounding of a whole number are accepted.

    Raises:
        DataError: a label is negative, fractional, not finite or beyond int32; the message names value and voxel.
    """
    if raw.dtype.kind in "iu" and (slope, intercept) == (1.0, 0.0):
        if raw.size and (int(raw.min()) < 0 or int(raw.max()) > np.iinfo(np.int32).max):
            bad = (raw < 0) | (raw > np.iinfo(np.int32).max)
            raise _wrong_label(raw, bad, where, first_k)
        return raw.astype(np.int32)
    values = raw.astype(np.float64) * slope + intercept
    with np.errstate(invalid="ignore"):
        nearest = np.rint(values)
        tolerance = 0.0 if (slope, intercept) == (1.0, 0.0) else 1e-5 * np.maximum(1.0, np.abs(values))
        good = (np.abs(values - nearest) <= tolerance) & (nearest >= 0) & (nearest <= np.iinfo(np.int32).max)
    if not good.all():
        raise _wrong_label(values, ~good, where, first_k)
    return nearest.astype(np.int32)


def narrowest(labels: np.ndarray) -> np.ndarray:
    """The same labels as uint8, uint16 or int32, whichever is the first to hold them."""
    highest = int(labels.max()) if labels.size else 0
    for dtype in (np.uint8, np.uint16):
        if highest <= np.iinfo(dtype).max:
            return labels.astype(dtype)
    return labels


def slab_depth(slice_bytes: int) -> int:
    """How many slices of `slice_bytes` make one slab; at least one."""
    return max(1, SLAB_BYTES // max(1, slice_bytes))


def _wrong_label(values: np.ndarray, bad: np.ndarray, where: str | PathLike[str], first_k: int) -> DataError:
    i, j, k = (int(axis[0]) for axis in np.nonzero(bad))
    return DataError(
        "a label is not a whole number from 0",
        where=where,
        got=f"{values[i, j, k]} at voxel ({i}, {j}, {first_k + k})",
        wanted="0, 1, 2, ...",
        do="A label image must not be interpolated or normalised; export it again, or check that it is not the scan.",
    )
