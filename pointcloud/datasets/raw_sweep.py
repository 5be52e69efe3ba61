"""LiDAR points as nuScenes and KITTI store them: rows of little-endian float32 and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.files import require_file
from vol3d.scans.points.bin import refuse_another_width

FARTHEST_M = 1e6  # larger numbers are not measured, and would not stay finite when they are moved


def read_rows(path: Path, columns: str, cut: str, unread: str, do: str | None = None) -> np.ndarray:
    """Points (N, columns) float32; those not finite or beyond measure are left out.

    Args:
        path: of the file.
        columns: names, with spaces between.
        cut, unread: the messages for a file that ends within a row, and for one that cannot be read.
        do: the remedy suggested for the latter.

    Raises:
        DataError: missing, its size fits no such rows, or its numbers repeat by another number of columns.
    """
    width = len(columns.split())
    try:
        size = require_file(path, do=do).stat().st_size
        if size % (4 * width):
            wanted = f"a multiple of {4 * width}: float32 {columns}"
            raise DataError(cut, where=path, got=f"{size} bytes", wanted=wanted, do="Copy it again.")
        values = np.fromfile(path, "<f4")
    except OSError as error:
        raise DataError(f"{unread} ({error.strerror})", where=path, do=do) from error
    refuse_another_width(values, width, path)
    return only_measured(values.reshape(-1, width))


def only_measured(points: np.ndarray) -> np.ndarray:
    """The rows (N, C) without those that have a value which is not finite or beyond measure."""
    measured = np.abs(points) <= FARTHEST_M
    return points if measured.all() else points[measured.all(axis=1)]
