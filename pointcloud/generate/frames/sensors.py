"""The four depth cameras of SUN RGB-D, and how common each is in it.

Sizes, focal lengths and shares are those of the data set (Song et al., CVPR 2015, table 1; its `intrinsics.txt`), with
every second pixel. The errors of structured light grow with the square of the distance (Khoshelham and Oude Elberink,
Sensors 2012; Nguyen et al., 3DIMPVT 2012) and its depths come in steps of an eighth of a pixel of disparity; those of
time of flight grow slowly and have no steps, but dark surfaces and the image's corners return too little light.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sensor:
    """One depth camera.

    Args:
        name: as SUN RGB-D's folders have it.
        share: how many of the frames are of it.
        size: width and height in pixels.
        focal: length in pixels.
        near_m, far_m: what it measures.
        base_m: between projector and camera; 0 for time of flight.
        noise_m, noise_per_m2: standard deviation of a depth z is `noise_m + noise_per_m2 * z**2`.
        corners: how much darker the corners of its image are than the middle.
    """

    name: str
    share: float
    size: tuple[int, int]
    focal: float
    near_m: float
    far_m: float
    base_m: float
    noise_m: float
    noise_per_m2: float
    corners: float

    def step_per_m2(self) -> float:
        """Distance between neighbouring depths around 1 m; it grows with the square."""
        pixels = 2 * self.focal  # of the full image
        return 1 / (8 * pixels * self.base_m) if self.base_m else 0.0


SENSORS = (
    Sensor("kv1", 0.19, (280, 213), 260.0, 0.6, 7.0, 0.075, 0.0012, 0.0019, 0.2),
    Sensor("kv2", 0.37, (365, 265), 264.5, 0.5, 8.3, 0.0, 0.002, 0.0003, 0.85),
    Sensor("realsense", 0.11, (340, 265), 345.0, 0.4, 4.5, 0.07, 0.0015, 0.0025, 0.4),
    Sensor("xtion", 0.33, (320, 240), 285.0, 0.6, 6.5, 0.075, 0.0012, 0.0019, 0.2),
)
