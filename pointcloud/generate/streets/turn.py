"""One turn of a scanner on a car that drives: its columns are measured one after the other, each from where it then is.

What data sets do with it, as far as their files show:

| format | a turn | cut | whose moment the frame is | points are where |
| --- | --- | --- | --- | --- |
| KITTI | 0.1 s, counter-clockwise | behind | the cameras fire, the scanner looks ahead | the scanner had them |
| nuScenes | 0.05 s, clockwise | on the left | the turn ends | they are in the frame of that moment |

KITTI: time and sense are what the notes of its recordings say. Its own motion is in the points: in eleven whole sweeps
of the object set each beam keeps to its cone about the scanner, ahead, aside and behind, 95 % within 1.3 mm.

nuScenes: the own motion has been taken out of the points, that of others is in them. In the real keyframe the columns
stand in the order of their time, and beams without an answer have the scanner's own place of their moment: 0.452 m
behind in the first column, on a straight line to 0 in the last. So the car drove 9 m/s.

Boxes are drawn around what is seen: where a thing is when the scanner looks at it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from pointcloud.generate.streets.scanners import Scanner


class Timing(NamedTuple):
    """When a format's scanner measures.

    Args:
        lasts_s: a turn.
        ends_s: its last column, from the moment that the points are given for.
        cut: azimuth of the first column in the scanner's frame, radians.
        compensated: whether the scanner's own motion is taken out of the points.
    """

    lasts_s: float
    ends_s: float
    cut: float
    compensated: bool


KITTI = Timing(0.1, 0.05, np.pi, False)  # x is ahead
NUSCENES = Timing(0.05, 0.0, np.pi, True)  # y is ahead


class Turn(NamedTuple):
    """A turn.

    Args:
        global_from_lidar: (4, 4) the scanner's pose at time 0, the moment that the points are given for.
        azimuths, times: (columns,) radians in the scanner's frame, and seconds.
        velocity: (3,) m/s of the scanner in the world.
        spin: (3,) radians/s, about axes of the world.
        compensated: whether points are in the scanner's frame of time 0, else in that of their own time.
    """

    global_from_lidar: np.ndarray
    azimuths: np.ndarray
    times: np.ndarray
    velocity: np.ndarray
    spin: np.ndarray
    compensated: bool

    def rotations(self) -> np.ndarray:
        """(columns, 3, 3) world from scanner at the time of each column."""
        turned = Rotation.from_rotvec(self.times[:, None] * self.spin).as_matrix()
        return np.asarray(turned @ self.global_from_lidar[:3, :3])

    def places(self) -> np.ndarray:
        """(columns, 3) of the scanner, metres from where it is at time 0."""
        return self.times[:, None] * self.velocity

    def when(self, xyz: np.ndarray) -> np.ndarray:
        """(n,) seconds: when the scanner looks at places (n, 3) in the world."""
        x, y, _ = ((xyz - self.global_from_lidar[:3, 3]) @ self.global_from_lidar[:3, :3]).T
        columns = np.rint((np.arctan2(y, x) - self.azimuths[0]) / (self.azimuths[1] - self.azimuths[0]))
        return self.times[columns.astype(np.int64) % len(self.times)]

    def frame(self, seconds: float) -> np.ndarray:
        """(4, 4) world from the frame that points of a time are in."""
        if self.compensated:
            return self.global_from_lidar
        pose = self.global_from_lidar.copy()
        pose[:3, :3] = Rotation.from_rotvec(seconds * self.spin).as_matrix() @ pose[:3, :3]
        pose[:3, 3] += seconds * self.velocity
        return pose


def standing(global_from_lidar: np.ndarray, azimuths: np.ndarray) -> Turn:
    """A turn taken at one instant."""
    return Turn(global_from_lidar, azimuths, np.zeros(len(azimuths)), np.zeros(3), np.zeros(3), True)


def driving(scanner: Scanner, timing: Timing, pose: Callable[[float], np.ndarray], phase: float) -> Turn:
    """A turn of a scanner whose pose (4, 4) in the world is a function of seconds; it goes straight on meanwhile.

    Args:
        phase: by which the first column is beyond the cut, radians.
    """
    number = np.arange(scanner.turn_steps)
    azimuths = timing.cut + scanner.sense * (phase + number * scanner.step)
    times = timing.ends_s + timing.lasts_s * ((number + 1) / scanner.turn_steps - 1)
    before, after = pose(float(times[0])), pose(float(times[-1]))
    span = float(times[-1] - times[0])
    spin = Rotation.from_matrix(after[:3, :3] @ before[:3, :3].T).as_rotvec() / span
    return Turn(pose(0.0), azimuths, times, (after - before)[:3, 3] / span, spin, timing.compensated)
