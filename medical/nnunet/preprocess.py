"""A scan as an nnU-Net network sees it: cropped to what is not zero, normalised, then resampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from medical.nnunet.plans import Plans
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
    start, stop = foreground_box(volume.array, None) or ((0, 0, 0), volume.grid.shape)
    i, j, k = (slice(*ends) for ends in zip(start, stop, strict=True))
    # Contiguous in nnU-Net's order of the axes, so that sums of intensities are taken in the same order.
    image = np.ascontiguousarray(volume.array[:, i, j, k].transpose(0, 3, 2, 1))
    image = turned(image.astype(np.float32, copy=np.may_share_memory(image, volume.array)).transpose(0, 3, 2, 1), plans)
    labels = None if previous is None else turned(previous[i, j, k], plans).astype(np.int32)
    mask = _mask(image, labels) if any(plans.masked) or labels is not None else None
    for number, channel in enumerate(image):
        _normalise(channel, number, plans, mask, volume)

    spacing_mm = _turned(spacing_of(volume.grid), plans)
    target_mm = _target(plans, spacing_mm)
    shape = resampled_shape(image.shape[1:], spacing_mm, target_mm, plans.data)
    ready = np.empty((len(image) + len(added) * (labels is not None), *shape), np.float32)
    for number, channel in enumerate(image):
        ready[number] = resample(channel, shape, plans.data.apart(spacing_mm, target_mm), plans.data)
    if labels is not None:
        resampled = resample_labels(labels, shape, plans.labels.apart(spacing_mm, target_mm), plans.labels)
        for number, label in enumerate(added, start=len(image)):
            ready[number] = resampled == label
    return Prepared(ready, _turned(start, plans), image.shape[1:], (spacing_mm, target_mm))


def prepared_shape(grid: Grid, plans: Plans) -> Shape:
    """Voxels along the network's axes that `prepare` makes of a scan at most; reads none."""
    spacing_mm = _turned(spacing_of(grid), plans)
    return resampled_shape(_turned(grid.shape, plans), spacing_mm, _target(plans, spacing_mm), plans.data)


def _target(plans: Plans, spacing_mm: Spacing) -> Spacing:
    """Spacing of the network's voxels: slices keep their distance."""
    first, second, third = plans.spacing_mm
    return spacing_mm[0] if first is None else first, second, third


def _turned(triple: tuple[Number, Number, Number], plans: Plans) -> tuple[Number, Number, Number]:
    """Numbers along i, j, k -> along the network's axes."""
    a, b, c = (triple[2 - axis] for axis in plans.transpose)
    return a, b, c


def _mask(image: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """(a, b, c) True where a channel is not 0, in holes of that, and where a previous stage found something.

    `labels` become -1 elsewhere, in place.
    """
    from scipy.ndimage import binary_fill_holes

    mask: np.ndarray = binary_fill_holes((image != 0).any(axis=0))
    if labels is None:
        return mask
    labels[(labels == 0) & ~mask] = -1
    return labels >= 0


def _normalise(channel: np.ndarray, number: int, plans: Plans, mask: np.ndarray | None, volume: Volume) -> None:
    """Normalises channel `number` (a, b, c) in place."""
    known = plans.intensities[number]
    if known is not None:
        np.clip(channel, known.percentile_00_5, known.percentile_99_5, out=channel)
        channel -= known.mean
        channel /= max(known.std, _TINY)
        return
    if plans.schemes[number] == "RGBTo01Normalization" and (channel.min() < 0 or channel.max() > 255):
        got = f"{channel.min():g} to {channel.max():g}"
        raise DataError("intensities of no picture", where=volume.source, got=got, wanted="0 to 255")
    _IN_PLACE[plans.schemes[number]](channel, mask if plans.masked[number] else None)


def _picture(channel: np.ndarray, mask: np.ndarray | None) -> None:
    channel /= 255.0


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
    "RGBTo01Normalization": _picture,
    "NoNormalization": _as_it_is,
}
