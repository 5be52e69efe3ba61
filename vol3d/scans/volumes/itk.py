"""NRRD, MHA and MHD, the formats of ITK.

ITK itself is not used: it takes a header at its word, so that a damaged one can end the process, take all memory, or
load as another image in silence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.scans.paths import file_size
from vol3d.scans.volumes.metaimage import read_metaimage_header
from vol3d.scans.volumes.nrrd import read_nrrd_header
from vol3d.scans.volumes.segments import merged, segments_of
from vol3d.scans.volumes.stored import Stored
from vol3d.scans.volumes.volume import Volume
from vol3d.scans.volumes.voxels import image_slab, label_slab, narrowest


def read_itk(path: str | Path, fill_nonfinite: float | None = None) -> Volume:
    """Read an image as float32; vector components, or the fourth axis, are channels.

    Raises:
        DataError: damaged or cut, complex or colour, not 3D or 4D, more voxels than the file can hold, voxels outside
            of the header's folder, a geometry that places nothing, a voxel that is not finite.
    """
    path = Path(path)

    def slab(raw: np.ndarray, first_k: int) -> np.ndarray:
        return image_slab(raw, 1.0, 0.0, path, first_k, fill_nonfinite)

    return read_itk_header(path).read(np.dtype(np.float32), slab)


def read_itk_labels(path: str | Path) -> Volume:
    """Read labels: whole numbers from 0. The layers of a segmentation by 3D Slicer are merged, and its names kept.

    Raises:
        DataError: any other value, segments that overlap, and as `read_itk` does.
    """
    path = Path(path)

    def slab(raw: np.ndarray, first_k: int) -> np.ndarray:
        return label_slab(raw, 1.0, 0.0, path, first_k)

    stored = read_itk_header(path)
    volume = stored.read(np.dtype(np.int32), slab)
    if segments := segments_of(stored.keys, volume):
        volume = merged(volume, segments)
    return volume.with_array(narrowest(volume.array))


def read_itk_header(path: Path) -> Stored:
    """What a file of ITK says of its voxels; raises as `read_itk`, but for the voxels themselves."""
    file_size(path)
    with path.open("rb") as file:
        nrrd = file.read(4) == b"NRRD"
    return read_nrrd_header(path) if nrrd else read_metaimage_header(path)


def voxel_files(path: Path) -> list[Path]:
    """The files of voxels that a header names, without the header; none for other files. Raises DataError."""
    if path.suffix.lower() not in (".mhd", ".nhdr"):
        return []
    return [part for part in read_itk_header(path).parts if part != path]
