"""Mirroring, turning about z, magnifying and shifting: what may happen to a scene so that boxes stay boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vol3d.geometry.boxes import SIZE, VELOCITY, YAW


@dataclass(frozen=True)
class Similarity:
    """p -> scale * turn(mirror(p)) + shift, of points and of the boxes around them.

    Args:
        flip_x, flip_y: x -> -x, y -> -y.
        angle: radians about z, counter-clockwise.
        scale: magnification.
        shift: metres along x, y and z.
    """

    flip_x: bool = False
    flip_y: bool = False
    angle: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64, without the shift."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        return self.scale * turn * [-1 if self.flip_x else 1, -1 if self.flip_y else 1, 1]

    def points(self, xyz: np.ndarray) -> np.ndarray:
        """(N, 3) float32 -> the same points moved, in a new array."""
        moved = xyz @ self.matrix.T.astype(np.float32)
        if any(self.shift):
            moved += np.array(self.shift, np.float32)
        return moved

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """(K, 7 or 9) float32 -> boxes around the moved points, in a new array; unknown velocities stay NaN."""
        moved = boxes.copy()
        moved[:, :3] = self.points(boxes[:, :3])
        moved[:, SIZE] *= self.scale
        yaw = boxes[:, YAW].astype(np.float64)
        yaw = math.pi - yaw if self.flip_x else yaw
        yaw = -yaw if self.flip_y else yaw
        moved[:, YAW] = wrapped(yaw + self.angle)
        if boxes.shape[1] == 9:
            moved[:, VELOCITY] = boxes[:, VELOCITY] @ self.matrix[:2, :2].T
        return moved


UNMOVED = Similarity()
"""Everything stays where it is."""


def wrapped(yaw: np.ndarray) -> np.ndarray:
    """Angles (K,) as float32 in [-pi, pi), also after rounding."""
    inside = (yaw - 2 * math.pi * np.floor(yaw / (2 * math.pi) + 0.5)).astype(np.float32)
    return np.where(inside >= np.float32(math.pi), -np.float32(math.pi), inside)
