"""Ways between grids whose axes are parallel: per axis, each target voxel is a weighted sum of a few source voxels.

Turning, flipping, cropping, padding and resampling are all of this form, and so is any row of them; therefore the whole
way from a network's grid back to the scan's is one `Way`, whatever a bundle does on the way there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Triple = tuple[int, int, int]
Outside = Literal["border", "zeros"]
_SNAP = 1e-6  # voxels: a position this close to a voxel's centre is that voxel


@dataclass(frozen=True, eq=False)
class Line:
    """One target axis of `count` voxels in terms of one source axis.

    Args:
        index: (count, taps) source voxels.
        weight: (count, taps) float32; a row of zeros lies outside of the source.
    """

    index: np.ndarray
    weight: np.ndarray

    @staticmethod
    def linear(places: np.ndarray, length: int, outside: Outside = "border") -> Line:
        """Linear interpolation at source positions (count,), with the outermost voxel or zero beyond `length`."""
        places = np.where(np.abs(places - np.rint(places)) < _SNAP, np.rint(places), places)
        places = np.clip(places, 0, length - 1) if outside == "border" else places
        lower = np.floor(places)
        index = np.stack([lower, lower + 1], axis=1)
        weight = np.stack([1 - (places - lower), places - lower], axis=1)
        return Line._within(index, weight, length)

    @staticmethod
    def nearest(places: np.ndarray, length: int, outside: Outside = "border") -> Line:
        """The nearest source voxel; halves go to the even one, as in `torch.nn.functional.grid_sample`."""
        places = np.clip(places, 0, length - 1) if outside == "border" else places
        index = np.rint(np.where(np.abs(places * 2 - np.rint(places * 2)) < _SNAP, np.rint(places * 2) / 2, places))
        return Line._within(index[:, None], np.ones((len(index), 1)), length)

    @staticmethod
    def areas(count: int, length: int) -> Line:
        """The mean of the source voxels that a target voxel covers (adaptive average pooling)."""
        steps = np.arange(count)
        first, last = steps * length // count, -((steps + 1) * length // -count)
        index = first[:, None] + np.arange(int((last - first).max()))
        weight = (index < last[:, None]) / (last - first)[:, None]
        return Line._within(index, weight, length)

    @staticmethod
    def _within(index: np.ndarray, weight: np.ndarray, length: int) -> Line:
        inside = (index >= 0) & (index < length)
        return Line(
            np.clip(index, 0, length - 1).astype(np.int64), np.where(inside, weight, 0).astype(np.float32)
        ).trimmed()

    @property
    def span(self) -> slice:
        """The targets from the first to the last that has any source voxel."""
        used = np.flatnonzero(self.weight.any(axis=1))
        return slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)

    def part(self, span: slice) -> Line:
        """These targets alone."""
        return Line(self.index[span], self.weight[span])

    def through(self, other: Line) -> Line:
        """This axis in terms of the source of `other`, whose targets are this one's sources."""
        index = other.index[self.index].reshape(len(self.index), -1)
        weight = (self.weight[..., None] * other.weight[self.index]).reshape(len(self.index), -1)
        return Line(index, weight).trimmed()

    def trimmed(self) -> Line:
        """Without taps that no target uses; one is kept."""
        used = np.flatnonzero(self.weight.any(axis=0))
        used = used if len(used) else np.zeros(1, dtype=np.int64)
        return Line(self.index[:, used], self.weight[:, used])

    def sample(self, values: Tensor, dim: int) -> Tensor:
        """`values` at the targets along `dim`, float32; or of its own type if each target is one voxel."""
        count = values.shape[dim]
        if self._is_choice():
            same = len(self.index) == count and np.array_equal(self.index[:, 0], np.arange(count))
            return values if same else values.index_select(dim, self._indices(0, values))
        total: Tensor | None = None
        for tap in range(self.index.shape[1]):
            weight = torch.from_numpy(self.weight[:, tap]).to(values.device)
            weight = weight.reshape([-1 if axis == dim % values.ndim else 1 for axis in range(values.ndim)])
            term = values.index_select(dim, self._indices(tap, values)).float().mul_(weight)
            total = term if total is None else total.add_(term)
        assert total is not None
        return total

    def _is_choice(self) -> bool:
        return self.weight.shape[1] == 1 and bool((self.weight == 1).all())

    def _indices(self, tap: int, values: Tensor) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self.index[:, tap])).to(values.device)


@dataclass(frozen=True, eq=False)
class Way:
    """A target grid in terms of a source grid: for each target axis its source axis and line.

    Args:
        sources: which source axis each target axis comes from.
        lines: one a target axis.
    """

    sources: Triple
    lines: tuple[Line, Line, Line]

    @staticmethod
    def same(shape: Sequence[int]) -> Way:
        """A grid in terms of itself."""
        i, j, k = (Line.linear(np.arange(n), n) for n in shape)
        return Way((0, 1, 2), (i, j, k))

    @property
    def shape(self) -> Triple:
        """Voxels of the target."""
        i, j, k = (len(line.index) for line in self.lines)
        return i, j, k

    def through(self, other: Way) -> Way:
        """This target in terms of the source of `other`, whose target is this one's source."""
        i, j, k = (one.through(other.lines[source]) for one, source in zip(self.lines, self.sources, strict=True))
        first, second, third = (other.sources[source] for source in self.sources)
        return Way((first, second, third), (i, j, k))

    def sample(self, values: Tensor) -> Tensor:
        """(channels, source) -> (channels, target), zero where a target lies outside; what shrinks comes first."""
        values = values.permute(0, *(1 + source for source in self.sources))
        for axis in sorted(range(3), key=lambda a: len(self.lines[a].index) / values.shape[a + 1]):
            values = self.lines[axis].sample(values, axis + 1).to(values.dtype)  # labels keep their type
        return values.contiguous()
