"""NIfTI files of a test's own making, and any byte of their header overwritten."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np

OBLIQUE = np.array([[0.9, -0.1, 0.2, -40], [0.1, 1.1, 0.0, 12.5], [-0.1, 0.05, 2.5, 7], [0, 0, 0, 1]])


def save(
    path: Path, array: np.ndarray, affine: np.ndarray | None = OBLIQUE, codes: tuple[int, int] = (1, 0)
) -> nibabel.Nifti1Image:
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, codes[0])
    image.set_qform(affine, codes[1])
    image.to_filename(path)
    return image


def patch(path: Path, offset: int, form: str, *values: float) -> Path:
    """Overwrite header bytes of a `.nii` or `.nii.gz`."""
    packed = path.suffix == ".gz"
    data = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    struct.pack_into(form, data, offset, *values)
    path.write_bytes(gzip.compress(bytes(data)) if packed else bytes(data))
    return path
