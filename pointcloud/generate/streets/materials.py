"""What beams meet, and how much of their light comes back.

Adjusted to 129 real frames of KITTI, as the camera sees them. Median intensities there: ground 0.27 from 8 to 25 m,
0.09 from 25 to 40 m, 0 beyond; all that stands above it 0.34, 0.27 and 0.04; people within 25 m 0.38; of the points on
fully visible cars 0.51 have none up to 15 m, 0.48 up to 30 m, 0.74 up to 60 m. Other scanners have the same materials
with a gain.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Material(NamedTuple):
    """How a surface answers.

    Args:
        albedo: lowest and highest mean of an object made of it.
        grazing: how fast it gets dark where the beam meets it at an angle: exponent of the cosine.
        grain: standard deviation from point to point, as a share of the mean.
    """

    albedo: tuple[float, float]
    grazing: float
    grain: float


ASPHALT, PAVEMENT, GRASS, PAINT, GLASS, RUBBER, INSIDE, MIRROR, LEAF, BARK, WALL, METAL, CLOTH, NONE = range(14)
"""PAINT is a car's, INSIDE its seats and its floor, MIRROR what sends light back to where it came from: plates, lamps,
signs. NONE gives no point: the car with the scanner."""
MATERIALS = {
    ASPHALT: Material((0.26, 0.40), 0.15, 0.22),
    PAVEMENT: Material((0.34, 0.50), 0.15, 0.22),
    GRASS: Material((0.45, 0.60), 0.12, 0.25),
    PAINT: Material((0.01, 0.9), 0.7, 0.30),
    GLASS: Material((0.0, 0.02), 2.0, 0.5),
    RUBBER: Material((0.03, 0.10), 0.3, 0.5),
    INSIDE: Material((0.05, 0.25), 0.3, 0.4),
    MIRROR: Material((0.8, 1.0), 0.2, 0.15),
    LEAF: Material((0.30, 0.50), 0.0, 0.25),
    BARK: Material((0.20, 0.35), 0.3, 0.30),
    WALL: Material((0.32, 0.48), 0.2, 0.12),
    METAL: Material((0.25, 0.50), 0.5, 0.30),
    CLOTH: Material((0.25, 0.70), 0.4, 0.35),
    NONE: Material((0.0, 0.0), 0.0, 0.0),
}
_GRAZING = np.array([one.grazing for one in MATERIALS.values()])
_GRAIN = np.array([one.grain for one in MATERIALS.values()])


def albedo(material: int, rng: np.random.Generator) -> float:
    """Of one object."""
    return float(rng.uniform(*MATERIALS[material].albedo))


def strength(material: np.ndarray, albedos: np.ndarray, cosine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Share of a beam's light that a surface sends back: (n,) each."""
    facing = np.clip(cosine, 0.02, 1) ** _GRAZING[material]
    return albedos * facing * np.clip(1 + _GRAIN[material] * rng.standard_normal(len(material)), 0, None)
