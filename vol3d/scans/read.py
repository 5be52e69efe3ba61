"""One door to every format: which reader a path needs is decided by what is in it, then by its name."""

from __future__ import annotations

from pathlib import Path

from vol3d.errors import DataError
from vol3d.scans.volume import Volume


def read_volume(path: str | Path, *, fill_nonfinite: float | None = None) -> Volume:
    """Read an image as float32 (channels, i, j, k)."""
    from vol3d.scans.nifti import read_nifti

    return read_nifti(Path(path), fill_nonfinite)


def read_labels(path: str | Path) -> Volume:
    """Read labels as uint8, uint16 or int32 (1, i, j, k)."""
    from vol3d.scans.nifti import read_nifti_labels

    return one_channel(read_nifti_labels(Path(path)))


def one_channel(labels: Volume) -> Volume:
    """The volume itself. Raises DataError if it has more than one channel."""
    if len(labels.array) != 1:
        raise DataError("a label image has several channels", where=labels.source, got=len(labels.array), wanted=1)
    return labels
