"""Scanners by name: where their beams point, how often they fire, how far and how exactly they see.

KITTI's HDL-64E was measured: in its sweeps each beam keeps to one cone, z = height + tan(elevation) x distance, in
the median within a millimetre. The two blocks of 32 lasers have their own optical centres, 8 cm apart. The elevations
of the HDL-32E and the VLP-32C were compared with a real sweep of nuScenes and one of Argoverse 2: each beam's median
is within 0.1 degrees. Those of the VLP-16 and the OS1 are evenly spaced over their nominal field and compared with
nothing; ranges and gains of all but the HDL-64E are rough. Seen from above KITTI's scanner turns counter-clockwise,
the others clockwise; of the two of Argoverse 2 the lower, which hangs upside down, in truth turns the other way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vol3d.errors import UsageError


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
        gain: intensity of a surface that sends all the light back, as a share of the largest.
        response: exponent of that light. The HDL-64E's intensities are near to it, those of the others' calibrated
            reflectivity lie farther apart: people are 1.4 times as bright as the road on KITTI, 3 times in Argoverse 2.
        falls: what intensities lose in a metre beyond half of `fades_m`.
        darkest: what would have less has an intensity of 0.
        speckle: standard deviation of the logarithm of an intensity, from one point to the next on the same surface.
        sense: 1 if it turns counter-clockwise, seen from above, -1 if clockwise.
    """

    elevations: np.ndarray
    heights_m: np.ndarray
    turn_steps: int
    nearest_m: float
    farthest_m: float
    noise_m: float
    fades_m: float
    gain: float = 1.0
    response: float = 1.0
    falls: float = 0.0
    darkest: float = 0.0
    speckle: float = 0.0
    sense: int = -1

    @property
    def step(self) -> float:
        """From one column to the next, radians."""
        return 2 * np.pi / self.turn_steps


def directions(azimuths: np.ndarray, elevations: np.ndarray) -> np.ndarray:
    """Unit vectors (columns, rings, 3) of beams at azimuths (columns,) and elevations (rings,), radians."""
    level = np.cos(elevations)
    rays = np.empty((len(azimuths), len(elevations), 3))
    rays[..., 0], rays[..., 1] = np.cos(azimuths)[:, None] * level, np.sin(azimuths)[:, None] * level
    rays[..., 2] = np.sin(elevations)
    return rays


# fmt: off
_HDL64_DEG = (
    1.94, 1.57, 1.30, 0.87, 0.58, 0.18, -0.09, -0.45, -0.80, -1.20, -1.49, -1.83, -2.21, -2.55, -2.87, -3.24,
    -3.54, -3.94, -4.22, -4.59, -4.91, -5.25, -5.61, -5.96, -6.33, -6.68, -7.00, -7.29, -7.68, -8.06, -8.31, -8.71,
    -9.03, -9.57, -10.06, -10.47, -10.96, -11.60, -12.12, -12.56, -13.04, -13.48, -14.05, -14.60, -15.19, -15.66,
    -16.18, -16.55, -17.19, -17.73, -18.32, -18.80, -19.32, -19.74, -20.22, -20.79, -21.32, -21.93, -22.44, -22.86,
    -23.32, -23.97, -24.50, -25.00,
)
_VLP32C_DEG = (
    -25.0, -15.639, -11.31, -8.843, -7.254, -6.148, -5.333, -4.667, -4.0, -3.667, -3.333, -3.0, -2.667, -2.333, -2.0,
    -1.667, -1.333, -1.0, -0.667, -0.333, 0.0, 0.333, 0.667, 1.0, 1.333, 1.667, 2.333, 3.333, 4.667, 7.0, 10.333, 15.0,
)
# fmt: on


def hdl_64e() -> Scanner:
    """Velodyne HDL-64E as on KITTI's car; measured."""
    heights = np.concatenate([np.linspace(0.209, 0.198, 32), np.linspace(0.126, 0.116, 32)])
    return Scanner(np.deg2rad(_HDL64_DEG), heights, 2008, 1.5, 80.0, 0.02, 45.0, falls=0.012, darkest=0.07, sense=1)


def hdl_32e() -> Scanner:
    """Velodyne HDL-32E as on nuScenes' cars; the lowest beam first.

    Of a real keyframe's points up to 15 m on the ground a quarter have an intensity below 7 of 255, a half below 11, a
    quarter above 18: as with this gain, response and speckle.
    """
    return replace(_even(-30.67, 10.67, 32, 1084, 100.0, 40.0, 0.55), response=2.0, speckle=0.45)


def vlp_16() -> Scanner:
    """Velodyne VLP-16 at ten turns a second."""
    return replace(_even(-15.0, 15.0, 16, 1800, 100.0, 40.0, 0.38), response=2.0)


def os1_64() -> Scanner:
    """Ouster OS1 with 64 beams over 45 degrees, 1024 columns."""
    return _even(-22.5, 22.5, 64, 1024, 100.0, 45.0, 0.5)


def os1_128() -> Scanner:
    """Ouster OS1 with 128 beams over 45 degrees, 1024 columns."""
    return _even(-22.5, 22.5, 128, 1024, 100.0, 45.0, 0.5)


def two_vlp_32c() -> Scanner:
    """Two Velodyne VLP-32C one above the other, the lower upside down, as on Argoverse 2's cars."""
    table = np.deg2rad(_VLP32C_DEG)
    heights = np.repeat([0.0, -0.115], 32)
    return Scanner(np.concatenate([table, -table]), heights, 1800, 1.0, 200.0, 0.03, 80.0, gain=0.38, response=2.0)


def _even(low: float, high: float, rings: int, steps: int, farthest_m: float, fades_m: float, gain: float) -> Scanner:
    """Beams at even angles between two, degrees."""
    elevations = np.deg2rad(np.linspace(low, high, rings))
    return Scanner(elevations, np.zeros(rings), steps, 1.0, farthest_m, 0.02, fades_m, gain)


SCANNERS: dict[str, Callable[[], Scanner]] = {
    **{"hdl-64e": hdl_64e, "hdl-32e": hdl_32e, "vlp-16": vlp_16},
    **{"two-vlp-32c": two_vlp_32c, "os1-64": os1_64, "os1-128": os1_128},
}


MIXED = "mixed"


def find_scanner(name: str, number: int = 0) -> Scanner:
    """The scanner with a name; of "mixed" the one whose turn it is, by a number. Raises UsageError if there is none."""
    if name == MIXED:
        return list(SCANNERS.values())[number % len(SCANNERS)]()
    if name not in SCANNERS:
        raise UsageError("no such scanner", where="scanner", got=name, wanted=", ".join([*SCANNERS, MIXED]))
    return SCANNERS[name]()
