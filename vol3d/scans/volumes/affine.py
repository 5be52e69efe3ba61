"""What a voxel-to-world matrix must fulfil before anything is computed with it."""

from __future__ import annotations

from os import PathLike

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def check_affine(affine: np.ndarray, where: str | PathLike[str]) -> list[Note]:
    """Refuse a matrix that places no volume; note what is unusual about one that does.

    Args:
        affine: (4, 4), voxel index -> mm.

    Returns:
        Remarks for the user, empty for an ordinary matrix.

    Raises:
        DataError: not finite, a zero spacing, or two axes that coincide.
    """
    if not np.isfinite(affine).all():
        raise DataError("the affine is not finite", where=where, got=np.array2string(affine[:3], separator=", "))
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if (lengths <= 0).any():
        raise DataError("a voxel spacing is zero", where=where, got=tuple(lengths.tolist()), wanted="mm above 0")
    directions = affine[:3, :3] / lengths
    if abs(np.linalg.det(directions)) < 1e-4:
        raise DataError(
            "the affine is singular: two voxel axes point the same way",
            where=where,
            got=np.array2string(affine[:3, :3], separator=", "),
            do="The header is damaged; export the scan again.",
        )
    skew = float(np.abs(directions.T @ directions - np.eye(3)).max())
    text = "the voxel axes are not at right angles (cosine {cosine:.4f})"
    return [Note("axes-not-perpendicular", text, numbers={"cosine": skew})] if skew > 1e-3 else []
