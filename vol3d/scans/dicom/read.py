"""DICOM series to volumes: from a folder, a zip archive, or one enhanced multi-frame file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.paths import user_path
from vol3d.scans.dicom.files import Entry, entries
from vol3d.scans.dicom.frames import Frame
from vol3d.scans.dicom.series import Series, choose, find_series, grid_notes, ordered_frames
from vol3d.scans.volumes.volume import Volume
from vol3d.scans.volumes.voxels import empty, image_slab

AT_ONCE = 16  # slices gathered before they are written into the volume, whose last axis they are


def list_series(path: str | Path) -> list[Series]:
    """The image series in a folder, archive or file. Raises DataError if there is none."""
    with entries(Path(path)) as files:
        return find_series(files, Path(path))


def read_dicom(path: str | Path, series: str | None = None, fill_nonfinite: float | None = None) -> Volume:
    """Read one image series.

    Args:
        path: a folder (searched with what is below it), a zip archive, or one multi-frame file.
        series: UID, number or description, needed where there are several.
        fill_nonfinite: what replaces NaN and infinite voxels, which are an error by default.

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
        notes = chosen.notes + grid_notes(grid, path)
        array = empty((1, *grid.shape), np.dtype(np.float32), path)
        pixels = Pixels()
        for start in range(0, len(ordered), AT_ONCE):
            part = [pixels.values(frame, fill_nonfinite) for frame in ordered[start : start + AT_ONCE]]
            array[0, :, :, start : start + AT_ONCE] = np.stack(part, axis=-1).transpose(1, 0, 2)
    return Volume(array, grid, path, notes)


class Pixels:
    """Decoded pixels of frames; the file of the last frame is kept, for files with many."""

    def __init__(self) -> None:
        self._entry: Entry | None = None
        self._stored = np.empty(0)
        self._scaled = False

    def values(self, frame: Frame, fill_nonfinite: float | None) -> np.ndarray:
        """(rows, columns) float32. Raises DataError if they cannot be decoded or are not as many as announced."""
        if frame.entry is not self._entry:
            self._stored, self._scaled = _decode(frame.entry)
            self._entry = frame.entry
        stored = self._stored if frame.number is None else self._stored[frame.number]
        if stored.shape != frame.shape:
            raise DataError("the pixels have another shape", where=frame.name, got=stored.shape, wanted=frame.shape)
        slope, intercept = (1.0, 0.0) if self._scaled else (frame.slope, frame.intercept)
        return image_slab(stored[..., None], slope, intercept, frame.name, 0, fill_nonfinite)[..., 0]


def _decode(entry: Entry) -> tuple[np.ndarray, bool]:
    """Pixels of a file, and whether slope and intercept are in them already."""
    dataset = entry.dataset(pixels=True)
    try:
        return dataset.pixel_array, False
    except (RuntimeError, NotImplementedError) as fault:
        syntax = dataset.file_meta.TransferSyntaxUID
        if not syntax.is_compressed or int(dataset.get("NumberOfFrames") or 1) > 1:
            raise _undecodable(entry, syntax, fault) from fault
        return _decode_by_itk(entry, syntax), True
    except Exception as fault:  # pydicom: ValueError, AttributeError, KeyError ... for cut or missing pixel data
        raise DataError(
            "the pixels are damaged or cut", where=entry.name, got=str(fault), do="Copy it again."
        ) from fault


def _decode_by_itk(entry: Entry, syntax: Any) -> np.ndarray:
    """SimpleITK brings decoders for the JPEG family, which pydicom has only with extra packages."""
    import SimpleITK as sitk

    with tempfile.TemporaryDirectory() as folder, entry.open() as file:
        copy = Path(folder, "slice.dcm")
        copy.write_bytes(file.read())
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(copy))
        reader.SetImageIO("GDCMImageIO")
        try:
            return sitk.GetArrayFromImage(reader.Execute())[0]
        except RuntimeError as fault:
            raise _undecodable(entry, syntax, fault) from fault


def _undecodable(entry: Entry, syntax: Any, fault: Exception) -> DataError:
    return DataError(
        f"no decoder for pixels compressed as '{syntax.name}', or they are damaged",
        where=entry.name,
        got=str(fault).splitlines()[-1],
        do="Run `pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg`, or export without compression.",
    )
