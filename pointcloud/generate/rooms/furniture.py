"""What stands in a room: faces with ScanNet's name for it; colours and sizes of furniture are drawn here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pointcloud.generate.rooms.quads import Quads, Triple

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Furniture:
    """One object.

    Args:
        label: ScanNet's raw category; "" for what nobody annotates.
        quads: in the object's frame: the origin on the floor amid its footprint, the back towards -y; in a group or a
            room, in the frame of that.
        yaw: radians by which the object is turned in that frame: 0 where its front looks towards +y.
    """

    label: str
    quads: Quads
    yaw: float = 0.0

    def placed(self, x: float = 0, y: float = 0, z: float = 0, yaw: float = 0) -> Furniture:
        """Turned by `yaw` radians about its origin, then moved."""
        return replace(self, quads=self.quads.turned(yaw).moved(x, y, z), yaw=self.yaw + yaw)

    @property
    def size(self) -> np.ndarray:
        """Extent along x, y and z."""
        low, high = self.quads.bounds()
        return high - low

    def box(self) -> np.ndarray:
        """x y z l w h yaw: around all of the object along its own sides, l from back to front."""
        low, high = self.quads.turned(-self.yaw).bounds()
        (x, y, z), (width, length, height) = (low + high) / 2, high - low
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        heading = np.mod(self.yaw + 1.5 * np.pi, 2 * np.pi) - np.pi
        return np.array([cosine * x - sine * y, sine * x + cosine * y, z, length, width, height, heading])


Group = list[Furniture]
"""Things that are placed together: a desk with its chair. In a frame like a piece's."""


def about(rng: Rng, mean: float, spread: float = 0.12) -> float:
    """A length around `mean`: log-normal, cut at two deviations."""
    return float(mean * np.exp(spread * np.clip(rng.normal(), -2, 2)))


def chance(rng: Rng, probability: float) -> bool:
    """True with this probability."""
    return bool(rng.random() < probability)


WOOD: Sequence[Triple] = ((139, 99, 62), (181, 141, 97), (94, 62, 40), (205, 175, 130), (120, 78, 48), (70, 50, 38))
PAINT: Sequence[Triple] = ((225, 222, 214), (200, 200, 198), (170, 172, 175), (60, 60, 62), (235, 230, 220))
FABRIC: Sequence[Triple] = (
    (70, 80, 105), (120, 55, 50), (95, 100, 88), (150, 135, 115), (55, 55, 60), (60, 95, 110), (160, 110, 70),
)  # fmt: skip
METAL: Sequence[Triple] = ((150, 152, 155), (100, 102, 105), (50, 50, 52))
CERAMIC: Sequence[Triple] = ((236, 236, 232), (228, 226, 216))
BRIGHT: Sequence[Triple] = (
    (190, 60, 50),
    (50, 110, 170),
    (225, 180, 60),
    (70, 140, 90),
    (120, 80, 140),
    (230, 230, 230),
)


def shade(rng: Rng, palette: Sequence[Triple]) -> Triple:
    """A colour of the palette, slightly off."""
    return tinted(rng, palette[int(rng.integers(len(palette)))], 0.8, 1.15)


def tinted(rng: Rng, rgb: Triple, darkest: float = 0.9, lightest: float = 1.1) -> Triple:
    """Nearly the same colour, darker or lighter."""
    red, green, blue = np.clip(np.array(rgb) * rng.uniform(darkest, lightest) + rng.normal(0, 6, 3), 5, 250)
    return float(red), float(green), float(blue)
