"""Radiomic features of each class of a mask by pyradiomics, if it is installed, with its default settings.

van Griethuysen et al., "Computational radiomics system to decode the radiographic phenotype" (Cancer Research 2017).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError, Vol3dError
from vol3d.files import write_text
from vol3d.notes import Note
from vol3d.prediction import MaskPrediction
from vol3d.scans.volumes.volume import Grid

_ABOUT = "diagnostics_"
SQUARE = 1e-3  # how far from right angles the axes may be


def require_pyradiomics() -> None:
    """Raises Vol3dError if it is not installed."""
    if importlib.util.find_spec("radiomics") is None:
        do = "Run `pip install pyradiomics`, or leave out --format radiomics."
        raise Vol3dError("radiomic features need the package pyradiomics", do=do)


def write_radiomics(prediction: MaskPrediction, path: Path) -> tuple[Note, ...]:
    """A row for each class and channel, a column for each feature; classes without any are noted.

    Raises:
        DataError: the axes of the scan are not at right angles.
    """
    from radiomics import featureextractor  # type: ignore[import-not-found]

    from vol3d.engine.results import table

    extractor = featureextractor.RadiomicsFeatureExtractor()
    found, grid = prediction.segmentation, prediction.volume.grid
    mask = _itk(found.labels, grid, prediction.volume.source)
    rows, without = [], []
    for channel, values in enumerate(prediction.volume.array):
        image = _itk(values, grid, prediction.volume.source)
        for label, name in found.asked():
            features: dict[str, Any] = {}
            try:
                if (found.labels == label).any():
                    features = dict(extractor.execute(image, mask, label=label))
            except ValueError:  # of one voxel, or of one slice
                features = {}
            features = {key: float(value) for key, value in features.items() if not key.startswith(_ABOUT)}
            without += [] if features else [name]
            rows.append({"label": label, "class": name, "channel": channel, **features})
    write_text(path, table(rows))
    if not without:
        return ()
    return (Note("no-radiomics", "no radiomic features of {value}", value=", ".join(dict.fromkeys(without))),)


def _itk(array: np.ndarray, grid: Grid, source: Path | None) -> Any:
    """(i, j, k) as an image of SimpleITK, in LPS millimetres."""
    import SimpleITK as sitk

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    direction = lps[:3, :3] / spacing
    if not np.allclose(direction.T @ direction, np.eye(3), atol=SQUARE):
        what = "the axes of the scan are not at right angles, and shapes would be wrong"
        raise DataError(what, where=source, do="Leave out --format radiomics.")
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection(direction.ravel().tolist())
    return image
