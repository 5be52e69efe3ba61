"""What the scanner of a data set gives: how bright its points are, and how densely a moment of a drive is covered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Density(NamedTuple):
    """How much of a drive one scene holds.

    Args:
        sweeps: taken together, the newest among them.
        every_beam: beams whose number is a multiple of this are kept; 1 keeps all.
    """

    sweeps: int
    every_beam: int


@dataclass(frozen=True)
class Sensor:
    """The scanner that recorded a data set.

    Args:
        max_intensity: of the scale on which it measures reflections; None where it has no known scale.
        ground_m: z of the ground in its frame, metres; None where it is mounted at no known height.
    """

    max_intensity: float | None = None
    ground_m: float | None = None
