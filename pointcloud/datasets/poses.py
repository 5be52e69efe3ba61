"""Poses as data sets of drives write them, a translation and a quaternion w x y z, as matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vol3d.errors import DataError

FARTHEST_M = 1e8  # more than twice round the Earth


def pose_matrices(translation: ArrayLike, rotation_wxyz: ArrayLike, where: object) -> np.ndarray:
    """Matrices (n, 4, 4) float64 of translations (n, 3) in metres and quaternions (n, 4) of any length but 0.

    Raises:
        DataError: other shapes, a value that is not finite, a place off the Earth, a quaternion of length 0.
    """
    try:
        shift = np.asarray(translation, np.float64).reshape(-1, 3)
        turn = np.asarray(rotation_wxyz, np.float64).reshape(-1, 4)
        length = np.linalg.norm(turn, axis=1)
        near, turning = np.abs(shift) <= FARTHEST_M, np.isfinite(length) & (length > 0)
        if len(shift) != len(turn) or not near.all() or not turning.all():
            raise ValueError("a value is not finite or too large, or a quaternion has length 0")
    except (TypeError, ValueError) as error:
        wanted = "translation x y z and rotation w x y z"
        raise DataError(f"not a pose ({error})", where=str(where), wanted=wanted) from error
    w, x, y, z = (turn / length[:, None]).T
    matrices = np.zeros((len(shift), 4, 4))
    matrices[:, 0, :3] = np.stack((1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)), axis=1)
    matrices[:, 1, :3] = np.stack((2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)), axis=1)
    matrices[:, 2, :3] = np.stack((2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)), axis=1)
    matrices[:, :3, 3], matrices[:, 3, 3] = shift, 1.0
    return matrices


def invert(matrix: np.ndarray) -> np.ndarray:
    """The rigid motion (4, 4) back."""
    inverse = np.eye(4)
    inverse[:3, :3] = matrix[:3, :3].T
    inverse[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return inverse
