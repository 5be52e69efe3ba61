"""DICOM series to volumes: from a folder, a zip archive, or one enhanced multi-frame file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.paths import user_path
from vol3d.scans.dicom.files import entries
from vol3d.scans.dicom.pixels import Padding, fill_volume
from vol3d.scans.dicom.series import Series, choose, find_series
from vol3d.scans.dicom.stack import grid_notes, numbering_notes, ordered_frames
from vol3d.scans.volumes.volume import Volume
from vol3d.scans.volumes.voxels import empty


def list_series(path: str | Path) -> list[Series]:
    """The image series in a folder, archive or file. Raises DataError if there is none."""
    with entries(Path(path)) as files:
        return find_series(files, Path(path))


def read_dicom(
    path: str | Path, series: str | None = None, fill_nonfinite: float | None = None, fill_padding: bool = True
) -> Volume:
    """Read one image series.

    Args:
        path: a folder (searched with what is below it), a zip archive, or one multi-frame file.
        series: UID, number or description, needed where there are several.
        fill_nonfinite: what replaces NaN and infinite voxels, which are an error by default.
        fill_padding: give padding (PixelPaddingValue) the least real value; not for labels.

    Returns:
        float32 (1, columns, rows, slices), in the modality's units (Hounsfield for CT); the grid in RAS.

    Raises:
        DataError: several series, slices that make no volume (see `ordered_frames`), damaged or undecodable pixels.
        UsageError: `series` names none or several.
    """
    path = user_path(path)
    with entries(path) as files:
        chosen = choose(find_series(files, path), series, path)
        ordered, grid = ordered_frames(chosen, path)
        notes = chosen.notes + grid_notes(grid, path) + numbering_notes(chosen)
        array = empty((1, *grid.shape), np.dtype(np.float32), path)
        padding = Padding(chosen.modality) if fill_padding else None
        fill_volume(array, ordered, fill_nonfinite, padding)
    if padding is not None:
        notes += padding.fill(array, str(path))
    return Volume(array, grid, path, notes, series=chosen.uid)
