"""A point cloud: coordinates, and by name whatever else is known of each point, as one object.

Coordinates are metres with z up, whatever the file's; what a reader had to assume or turn is in the notes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vol3d.notes import Note


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points of one scan, in the file's order.

    Args:
        xyz: (N, 3) float32 metres, z up, relative to `origin`.
        columns: name -> (N,) or (N, k) values of each point. Names with a meaning: `rgb` (N, 3) uint8, `normal` (N, 3),
            `intensity`, `ring`, `time` (seconds before the reference, positive), `class` (integers).
        faces: (F, 3) int64 corners of a mesh's triangles as indices into `xyz`; None where the file holds no mesh.
        origin: (3,) float64 metres that were taken off, for scans in map coordinates which float32 cannot hold.
        source: the file it was read from.
        notes: what was assumed, found, changed or left out, for the user to see.
        file_from_scan: (4, 4) float64, takes `xyz + origin` to the coordinates in the file, with its axes and its unit.

    >>> cloud = PointCloud(np.array([[0, 0, 0], [1, 2, 3]], np.float32), {"intensity": np.array([0.1, 0.9])})
    >>> len(cloud), sorted(cloud.columns)
    (2, ['intensity'])
    >>> cloud.in_file(cloud.xyz[1])
    array([1., 2., 3.])
    """

    xyz: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    faces: np.ndarray | None = None
    origin: np.ndarray = field(default_factory=lambda: np.zeros(3))
    source: Path | None = None
    notes: tuple[Note, ...] = ()
    file_from_scan: np.ndarray = field(default_factory=lambda: np.eye(4))

    def __post_init__(self) -> None:
        if self.xyz.ndim != 2 or self.xyz.shape[1] != 3 or self.xyz.dtype != np.float32:
            raise ValueError(f"xyz must be (N, 3) float32, got {self.xyz.shape} {self.xyz.dtype}")
        if self.file_from_scan.shape != (4, 4):
            raise ValueError(f"file_from_scan must be (4, 4), got {self.file_from_scan.shape}")
        for name, values in self.columns.items():
            if len(values) != len(self.xyz):
                raise ValueError(f"column '{name}' has {len(values)} values for {len(self.xyz)} points")

    def __len__(self) -> int:
        return len(self.xyz)

    def in_file(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the scan, relative to `origin`, in the file's own coordinates, float64."""
        turn, shift = self.file_from_scan[:3, :3], self.file_from_scan[:3, 3]
        return (np.asarray(points, np.float64) + self.origin) @ turn.T + shift
