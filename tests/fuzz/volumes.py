"""Volume files that are not DICOM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vol3d.scans import read_labels, read_volume


def _nifti(path: Path) -> None:
    import nibabel

    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([-1.0, -1, 2, 1]))
    image.to_filename(path)


def _itk(compress: bool) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(5, 4, 3))
        image.SetSpacing((0.5, 1.5, 2.5))
        sitk.WriteImage(image, str(path), compress)

    return make


READERS = {
    "volume.nii": (read_volume, _nifti),
    "volume.nii.gz": (read_volume, _nifti),
    "volume.mha": (read_volume, _itk(False)),
    "packed.mha": (read_volume, _itk(True)),
    "volume.mhd": (read_volume, _itk(False)),
    "volume.nrrd": (read_volume, _itk(False)),
    "packed.nrrd": (read_volume, _itk(True)),
    "volume.nhdr": (read_volume, _itk(True)),
    "labels.nii": (read_labels, _nifti),
    "labels.nii.gz": (read_labels, _nifti),
    "labels.mha": (read_labels, _itk(True)),
    "labels.mhd": (read_labels, _itk(True)),
    "labels.seg.nrrd": (read_labels, _itk(True)),
    "labels.nhdr": (read_labels, _itk(False)),
}
