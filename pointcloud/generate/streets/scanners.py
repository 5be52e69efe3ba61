"""Scanners by name: where their beams point, how often they fire, how far and how exactly they see.

KITTI's HDL-64E was measured: in its sweeps each beam keeps to one cone, z = height + tan(elevation) x distance, within
a millimetre. The two blocks of 32 lasers have their own optical centres, 8 cm apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Scanner:
    """A scanner that turns about its z axis.

    Args:
        elevations: (rings,) of the beams, radians above the level, in the order of their numbers.
        heights_m: (rings,) where on the axis they begin, above the origin of the points.
        turn_steps: how often each beam is fired in a turn.
        nearest_m, farthest_m: nothing nearer or farther is seen.
        noise_m: standard deviation of a distance.
        fades_m: up to this distance it sees all that is not quite dark.
    """

    elevations: np.ndarray
    heights_m: np.ndarray
    turn_steps: int
    nearest_m: float
    farthest_m: float
    noise_m: float
    fades_m: float

    def beams(self, phase: float, columns: int | None = None) -> np.ndarray:
        """Directions (columns, rings, 3) in the scanner's frame; the first column is at azimuth `phase`."""
        columns = self.turn_steps if columns is None else columns
        azimuth = phase + np.arange(columns) * self.step
        level = np.cos(self.elevations)
        rays = np.empty((columns, len(self.elevations), 3))
        rays[..., 0], rays[..., 1] = np.cos(azimuth)[:, None] * level, np.sin(azimuth)[:, None] * level
        rays[..., 2] = np.sin(self.elevations)
        return rays

    @property
    def step(self) -> float:
        """From one column to the next, radians."""
        return 2 * np.pi / self.turn_steps


# fmt: off
_HDL64_DEG = (
    1.94, 1.57, 1.30, 0.87, 0.58, 0.18, -0.09, -0.45, -0.80, -1.20, -1.49, -1.83, -2.21, -2.55, -2.87, -3.24,
    -3.54, -3.94, -4.22, -4.59, -4.91, -5.25, -5.61, -5.96, -6.33, -6.68, -7.00, -7.29, -7.68, -8.06, -8.31, -8.71,
    -9.03, -9.57, -10.06, -10.47, -10.96, -11.60, -12.12, -12.56, -13.04, -13.48, -14.05, -14.60, -15.19, -15.66,
    -16.18, -16.55, -17.19, -17.73, -18.32, -18.80, -19.32, -19.74, -20.22, -20.79, -21.32, -21.93, -22.44, -22.86,
    -23.32, -23.97, -24.50, -25.00,
)
# fmt: on


def hdl_64e() -> Scanner:
    """Velodyne HDL-64E as on KITTI's car; measured."""
    heights = np.concatenate([np.linspace(0.209, 0.198, 32), np.linspace(0.126, 0.116, 32)])
    return Scanner(np.deg2rad(_HDL64_DEG), heights, 2008, 1.5, 80.0, 0.02, 45.0)
