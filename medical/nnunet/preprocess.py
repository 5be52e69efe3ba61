"""A scan as an nnU-Net network sees it: cropped to what is not zero, normalised, then resampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from medical.nnunet.plans import Intensities, Plans
from medical.nnunet.resample import Shape, Spacing, resample, resample_labels, resampled_shape
from medical.preprocess import foreground_box
from vol3d.errors import DataError
from vol3d.scans.volumes.volume import Grid, Volume

Number = TypeVar("Number", int, float)
_TINY = 1e-8  # the least standard deviation that is divided by


@dataclass(frozen=True, eq=False)
class Prepared:
    """A prepared scan.

    Args:
        image: (channels, a, b, c) float32, the network's axes.
        start: first voxel of the crop, along the network's axes before resampling.
        cropped: voxels of the crop.
        spacing_mm: of the scan, and of the image.
    """

    image: np.ndarray
    start: Shape
    cropped: Shape
    spacing_mm: tuple[Spacing, Spacing]


def spacing_of(grid: Grid) -> Spacing:
    """Edges of a voxel as nnU-Net's readers give them, along i, j, k: the `pixdim` of a NIfTI file.

    The affine holds the same lengths with other last bits, and half a voxel more or less depends on these.
    """
    own = grid.spacing_mm
    if grid.qform is None or not np.allclose(grid.qform[1:4], own, rtol=1e-3):
        return own
    i, j, k = (float(length) for length in grid.qform[1:4])
    return i, j, k


def turned(array: np.ndarray, plans: Plans) -> np.ndarray:
    """(..., i, j, k) -> (..., a, b, c) as the network has its axes; a view."""
    offset = array.ndim - 3
    order = [offset + 2 - axis for axis in plans.transpose]
    return array.transpose([*range(offset), *order])


def prepare(volume: Volume, plans: Plans, previous: np.ndarray | None = None, added: Sequence[int] = ()) -> Prepared:
    """The scan for the network.

    Args:
        volume: (channels, i, j, k), with its axes as the plan's reader gives them.
        previous: labels (i, j, k) of the cascade's previous stage.
        added: the labels of `previous` that each become a channel of ones and zeros.

    Raises:
        DataError: intensities that the plan's normalisation is not made for.
    """
    box = foreground_box(volume.array, None) or ((0, 0, 0), volume.grid.shape)
    inside = tuple(slice(*ends) for ends in zip(*box, strict=True))
    # Contiguous in nnU-Net's order of the axes, so that sums of intensities are taken in the same order.
    image = np.ascontiguousarray(volume.array[(slice(None), *inside)].transpose(0, 3, 2, 1))
    image = image.astype(np.float32, copy=np.may_share_memory(image, volume.array))
    image = image.transpose(0, *(1 + axis for axis in plans.transpose))
    labels = None if previous is None else turned(previous[inside], plans).astype(np.int32)

    outside = _outside(image) if any(plans.masked) or labels is not None else None
    if labels is not None and outside is not None:
        labels[(labels == 0) & outside] = -1
    mask = labels >= 0 if labels is not None else None if outside is None else ~outside
    for number, channel in enumerate(image):
        one = mask if plans.masked[number] else None
        _normalise(channel, plans.schemes[number], one, plans.intensities[number], volume)

    spacing_mm = _turned(spacing_of(volume.grid), plans)
    target_mm = tuple(own if new is None else new for own, new in zip(spacing_mm, plans.spacing_mm, strict=True))
    shape = resampled_shape(image.shape[1:], spacing_mm, target_mm, plans.data)
    ready = np.empty((len(image) + (0 if labels is None else len(added)), *shape), np.float32)
    for number, channel in enumerate(image):
        ready[number] = resample(channel, shape, plans.data.apart(spacing_mm, target_mm), plans.data)
    if labels is not None:
        resampled = resample_labels(labels, shape, plans.labels.apart(spacing_mm, target_mm), plans.labels)
        for number, label in enumerate(added, start=len(image)):
            ready[number] = resampled == label
    return Prepared(ready, _turned(box[0], plans), image.shape[1:], (spacing_mm, target_mm))


def _turned(triple: tuple[Number, Number, Number], plans: Plans) -> tuple[Number, Number, Number]:
    """Numbers along i, j, k -> along the network's axes."""
    a, b, c = (triple[2 - axis] for axis in plans.transpose)
    return a, b, c


def _outside(image: np.ndarray) -> np.ndarray:
    """(a, b, c) True where all channels are 0 and no wall of voxels that are not lies around."""
    from scipy.ndimage import binary_fill_holes

    return ~binary_fill_holes((image != 0).any(axis=0))


def _normalise(
    channel: np.ndarray, scheme: str, mask: np.ndarray | None, known: Intensities | None, volume: Volume
) -> None:
    """Normalises (a, b, c) in place."""
    if scheme == "CTNormalization":
        assert known is not None
        np.clip(channel, known.percentile_00_5, known.percentile_99_5, out=channel)
        channel -= known.mean
        channel /= max(known.std, _TINY)
    elif scheme == "RGBTo01Normalization":
        if channel.min() < 0 or channel.max() > 255:
            got = f"{channel.min():g} to {channel.max():g}"
            raise DataError("intensities of no picture", where=volume.source, got=got, wanted="0 to 255")
        channel /= 255.0
    else:
        _IN_PLACE[scheme](channel, mask)


def _zscore(channel: np.ndarray, mask: np.ndarray | None) -> None:
    """With a mask over, and only of, the voxels in it."""
    values = channel if mask is None else channel[mask]
    mean, deviation = values.mean(), max(values.std(), _TINY)
    if mask is None:
        channel -= mean
        channel /= deviation
    else:
        channel[mask] = (values - mean) / deviation


def _from_0_to_1(channel: np.ndarray, mask: np.ndarray | None) -> None:
    channel -= channel.min()
    channel /= max(channel.max(), _TINY)


def _as_it_is(channel: np.ndarray, mask: np.ndarray | None) -> None:
    pass


_IN_PLACE: dict[str, Callable[[np.ndarray, np.ndarray | None], None]] = {
    "ZScoreNormalization": _zscore,
    "RescaleTo01Normalization": _from_0_to_1,
    "NoNormalization": _as_it_is,
}
