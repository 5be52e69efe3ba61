"""From a scan as it was read to the grid and the intensities that a network sees: orient, resample, scale, crop.

The way back needs no record: the prepared volume's own grid states where its voxels lie.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from medical.align import axis_maps, take_nearest
from vol3d.engine.settings import Settings
from vol3d.errors import DataError
from vol3d.scans.volumes.grid import crop, orientation, reorient, resample, resampled_grid
from vol3d.scans.volumes.volume import Grid, Volume

Index = tuple[int, int, int]
Spacing = tuple[float, float, float]
_OPPOSITES = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}


class ZScore(Settings):
    """Mean 0 and standard deviation 1 per scan and channel; with `nonzero` over, and only of, voxels that are not 0."""

    name: Literal["zscore"] = "zscore"
    nonzero: bool = False


class Window(Settings):
    """`low` -> 0, `high` -> 1, clipped; for CT in Hounsfield units."""

    name: Literal["window"] = "window"
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Window:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        return self


class ClippedZScore(Settings):
    """Clipped to `low` and `high`, then (value - `mean`) / `std`: one scale for all scans, nnU-Net's for CT."""

    name: Literal["clipped_zscore"] = "clipped_zscore"
    low: float
    high: float
    mean: float
    std: float = Field(gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> ClippedZScore:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        return self


class Unscaled(Settings):
    """Intensities as they are in the file."""

    name: Literal["none"] = "none"


Intensity = ZScore | Window | ClippedZScore | Unscaled


class PreprocessSettings(Settings):
    """How scans reach the network; the same in training and in prediction."""

    orientation: str = Field("RAS", description="where the axes i, j, k point to")
    spacing_mm: tuple[float, float, float] | None = Field(None, description="along i, j, k; null keeps the scan's own")
    intensity: Annotated[Intensity, Field(discriminator="name")] = ZScore()
    crop_foreground: bool = Field(
        False, description="keep the box of voxels above `low`, or not 0 where the scale has none"
    )

    @field_validator("orientation")
    @classmethod
    def _known(cls, value: str) -> str:
        axes = {frozenset((code, _OPPOSITES.get(code, code))) for code in value}
        if len(value) != 3 or len(axes) != 3 or not set(value) <= set(_OPPOSITES):
            raise ValueError(f"orientation must be three of R/L, A/P, S/I such as 'RAS', got '{value}'")
        return value

    @field_validator("spacing_mm")
    @classmethod
    def _positive(cls, value: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        if value is not None and min(value) <= 0:
            raise ValueError(f"spacing_mm must be above 0, got {value}")
        return value


def prepare(volume: Volume, settings: PreprocessSettings) -> Volume:
    """An image as the network sees it: float32 (channels, i, j, k); `volume` itself is left as it is.

    Oriented, resampled (linear), scaled and cropped, in this order; `spacing_mm` is along the axes of `orientation`.
    Beside `volume` at most two copies of the result are alive at a time.

    Raises:
        DataError: voxels that are not finite.
    """
    ready = volume
    if settings.spacing_mm is not None:  # before turning the axes, which copies: what comes out is usually smaller
        ready = resample(ready, _own_order(settings.spacing_mm, settings.orientation, volume.affine), order=1)
    ready = reorient(ready, settings.orientation)
    array = ready.array
    if array.dtype != np.float32 or np.may_share_memory(array, volume.array) or not array.flags.c_contiguous:
        array = np.array(array, dtype=np.float32, order="C")
    if not np.isfinite(array.sum(dtype=np.float64)):
        raise DataError("voxels are not finite", where=volume.source, do="Repair the file or leave it out.")
    box = foreground_box(array, _threshold(settings.intensity)) if settings.crop_foreground else None
    _scale(array, settings.intensity)
    ready = ready.with_array(array)
    if box is None:
        return ready
    ready = crop(ready, *box)
    return ready.with_array(np.ascontiguousarray(ready.array))


def with_coarser_voxels(settings: PreprocessSettings, grid: Grid, factor: float) -> PreprocessSettings:
    """The settings with voxels `factor` times as long: as `spacing_mm`, or where that is null as the grid's own."""
    edges = settings.spacing_mm
    if edges is None:
        letters = orientation(grid.affine)
        known = {
            name: edge for one, edge in zip(letters, grid.spacing_mm, strict=True) for name in (one, _OPPOSITES[one])
        }
        edges = known[settings.orientation[0]], known[settings.orientation[1]], known[settings.orientation[2]]
    return settings.model_copy(update={"spacing_mm": tuple(factor * edge for edge in edges)})


def prepared_shape(grid: Grid, settings: PreprocessSettings) -> Index:
    """Voxels along the axes of `orientation` that `prepare` makes of a scan, before any crop; reads none."""
    if settings.spacing_mm is not None:
        grid = resampled_grid(grid, _own_order(settings.spacing_mm, settings.orientation, grid.affine))
    own = orientation(grid.affine)
    i, j, k = (next(n for n, one in enumerate(own) if one in (c, _OPPOSITES[c])) for c in settings.orientation)
    return grid.shape[i], grid.shape[j], grid.shape[k]


def prepare_labels(labels: Volume, grid: Grid) -> Volume:
    """Labels (1, i, j, k) on the grid of the image that `prepare` made: the nearest voxel, 0 where there is none.

    Raises:
        DataError: the grids are not parallel.
    """
    array = take_nearest(labels.array[0], axis_maps(labels.grid, grid), grid.shape)
    return Volume(array[None], grid, labels.source)


def foreground_box(array: np.ndarray, above: float | None) -> tuple[Index, Index] | None:
    """The smallest box with all foreground of (channels, i, j, k).

    Args:
        above: foreground is every voxel above this value in any channel, or every one that is not 0 if None.

    Returns:
        (start, stop) along i, j, k, or None if there is no foreground.
    """
    mask = np.zeros(array.shape[1:], dtype=bool)
    for channel in array:
        mask |= channel != 0 if above is None else channel > above
    start, stop = [], []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if not len(used):
            return None
        start.append(int(used[0]))
        stop.append(int(used[-1]) + 1)
    return (start[0], start[1], start[2]), (stop[0], stop[1], stop[2])


def _own_order(spacing_mm: Spacing, code: str, affine: np.ndarray) -> Spacing:
    """Spacing along the axes of `code` -> along those of the affine."""
    lengths = {}
    for letter, spacing in zip(code, spacing_mm, strict=True):
        lengths[letter] = lengths[_OPPOSITES[letter]] = spacing
    own = orientation(affine)
    return lengths[own[0]], lengths[own[1]], lengths[own[2]]


def _threshold(intensity: Intensity) -> float | None:
    return intensity.low if isinstance(intensity, (Window, ClippedZScore)) else None


def _scale(array: np.ndarray, intensity: Intensity) -> None:
    """Scales (channels, i, j, k) in place."""
    if isinstance(intensity, Window):
        array -= intensity.low
        array /= intensity.high - intensity.low
        np.clip(array, 0.0, 1.0, out=array)
    if isinstance(intensity, ClippedZScore):
        np.clip(array, intensity.low, intensity.high, out=array)
        array -= intensity.mean
        array /= intensity.std
    if isinstance(intensity, ZScore):
        for channel in array:
            _zscore(channel, intensity.nonzero)


def _zscore(channel: np.ndarray, nonzero: bool) -> None:
    """Normalises (i, j, k) in place, plane by plane: the sums are float64 without a float64 copy of the volume."""
    count, total = 0, 0.0
    for plane in channel:
        count += int(np.count_nonzero(plane)) if nonzero else plane.size
        total += float(plane.sum(dtype=np.float64))  # zeros add nothing, counted or not
    mean = total / max(count, 1)
    squares = 0.0
    for plane in channel:
        centred = (plane[plane != 0] if nonzero else plane).astype(np.float64) - mean
        squares += float(np.square(centred).sum())
    deviation = (squares / max(count, 1)) ** 0.5
    for plane in channel:
        np.subtract(plane, mean, out=plane, where=plane != 0 if nonzero else True)
        plane /= deviation if deviation > 0 else 1.0
