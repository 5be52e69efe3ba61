"""What a transform did to a grid, kept so that it can be undone: each record gives the `Way` back across it.

MONAI inverts the traced transforms one after the other on whole volumes of all classes; here the ways are joined and
walked plane by plane, with the same values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medical.bundle.lines import Line, Outside, Triple, Way
from vol3d.errors import DataError

_PARALLEL = 0.01  # voxels: how far a shear that is ignored may move the farthest corner


@dataclass(frozen=True, eq=False)
class Place:
    """Where the voxels of a step stand.

    Args:
        shape: voxels along i, j, k.
        affine: (4, 4) float64, voxel index -> RAS mm.
    """

    shape: Triple
    affine: np.ndarray


class Step(ABC):
    """One change of the grid on the way to the network."""

    @abstractmethod
    def back(self, nearest: bool) -> Way:
        """The grid before the step in terms of the one after it; `nearest` for labels."""


@dataclass(frozen=True, eq=False)
class Moved(Step):
    """Voxels that were turned, flipped, cropped or padded; what was cropped comes back as 0."""

    before: Place
    after: Place

    def back(self, nearest: bool) -> Way:
        """Each voxel's own place in the grid after the step."""
        sources, places = positions(self.before, self.after)
        return _way(
            sources, [Line.nearest(one, self.after.shape[s], "zeros") for s, one in zip(sources, places, strict=True)]
        )


@dataclass(frozen=True, eq=False)
class Resampled(Step):
    """Voxels of another spacing.

    Args:
        mode: how they were interpolated, and are on the way back.
        outside: what lies beyond the outermost centres.
    """

    before: Place
    after: Place
    mode: Literal["linear", "nearest"]
    outside: Outside

    def forward(self) -> Way:
        """The grid after the step in terms of the one before it."""
        return between(self.after, self.before, self.mode, self.outside)

    def back(self, nearest: bool) -> Way:
        """Interpolated at the old places."""
        return between(self.before, self.after, "nearest" if nearest else self.mode, self.outside)


@dataclass(frozen=True, eq=False)
class Resized(Step):
    """Voxels stretched to another number of voxels, as `torch.nn.functional.interpolate` does it.

    Args:
        before, after: voxels along i, j, k.
        mode: of `interpolate`.
        corners: whether the outermost centres stay where they are (`align_corners`).
    """

    before: Triple
    after: Triple
    mode: str
    corners: bool

    def back(self, nearest: bool) -> Way:
        """Stretched to the old number."""
        mode = "nearest" if nearest else self.mode
        pairs = zip(self.before, self.after, strict=True)
        return _way((0, 1, 2), [_stretched(count, length, mode, self.corners) for count, length in pairs])


def way_back(steps: Sequence[Step], shape: Triple, nearest: bool) -> Way:
    """A scan of `shape` in terms of what all steps made of it."""
    way = Way.same(shape)
    for step in steps:
        way = way.through(step.back(nearest))
    return way


def between(target: Place, source: Place, mode: Literal["linear", "nearest"], outside: Outside) -> Way:
    """One grid in terms of another one that lies parallel.

    Raises:
        DataError: they are turned against each other.
    """
    sources, places = positions(target, source)
    make = Line.linear if mode == "linear" else Line.nearest
    return _way(sources, [make(one, source.shape[s], outside) for s, one in zip(sources, places, strict=True)])


def positions(target: Place, source: Place) -> tuple[Triple, list[np.ndarray]]:
    """For each target axis its source axis, and the source positions of its voxels.

    Raises:
        DataError: the grids are turned against each other.
    """
    matrix = np.linalg.solve(source.affine, target.affine)
    linear = matrix[:3, :3]
    order = np.abs(linear).argmax(axis=0)
    kept = np.zeros_like(linear)
    kept[order, range(3)] = linear[order, range(3)]
    shear = (np.abs(linear - kept) @ np.maximum(np.array(target.shape) - 1, 0)).max()
    if sorted(order) != [0, 1, 2] or shear > _PARALLEL:
        raise DataError(
            "the bundle turns the scan to axes that are not its own, which is not supported",
            got=f"a shift of {shear:.3f} voxels in a corner",
            do="Resample the scan so that its axes lie along the patient's.",
        )
    first, second, third = (int(s) for s in order)
    places = [linear[s, axis] * np.arange(target.shape[axis]) + matrix[s, 3] for axis, s in enumerate(order)]
    return (first, second, third), places


def _way(sources: Triple, lines: Sequence[Line]) -> Way:
    return Way(sources, (lines[0], lines[1], lines[2]))


def _stretched(count: int, length: int, mode: str, corners: bool) -> Line:
    steps = np.arange(count, dtype=np.float64)
    if mode == "area":
        return Line.areas(count, length)
    if mode == "nearest":
        return Line.nearest(np.floor(steps * length / count), length)
    if mode == "nearest-exact":
        return Line.nearest(np.floor((steps + 0.5) * length / count), length)
    if corners:
        return Line.linear(steps * (length - 1) / max(count - 1, 1), length)
    return Line.linear((steps + 0.5) * length / count - 0.5, length)
