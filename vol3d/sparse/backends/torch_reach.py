"""Which positions windows reach, on any device: all levels of an encoder in one pass, one transfer of their counts.

A window is a product of three axes, so what a position reaches is a product, too: for each axis a small table says
which coarse positions one place along it reaches, after the first window, after the first two, and so on. The tables
are made on the host, once for a grid. On the device a row's keys are sums of three entries; sorting finds the equal
ones. No level waits for the one before: each is reached from the first positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vol3d.sparse.geometry import Geometry, Triple

LONGEST_TABLE = 2**16  # places along an axis; of a longer one only those that occur are looked at
NOWHERE = -(2**61)  # keys are below 2**60: with this in the sum of one, two or three axes it is negative

Axis = tuple[int, int, int, int, int]
"""taps, stride, padding, dilation along an axis, and the places on its other side."""


class Levels(NamedTuple):
    """The arguments of `reach`."""

    shape: Triple
    windows: tuple[Geometry, ...]
    shapes: tuple[Triple, ...]
    batch: int
    down: bool


class Tables(NamedTuple):
    """What rows of levels are looked up in; keys of a level follow those of the one before.

    axes: for z, y, x int64 [levels, places, m], the parts of the keys of reached positions, NOWHERE behind the last.
    cells: int64 [levels], what a sample adds to a key.
    begins: int64 [levels + 1], the first key of each level, and the end of the last.
    sizes: int64 [levels, 3], positions along z, y, x.
    """

    axes: tuple[Tensor, Tensor, Tensor]
    cells: Tensor
    begins: Tensor
    sizes: Tensor


def reach(
    coordinates: Tensor, shape: Triple, windows: Sequence[Geometry], shapes: Sequence[Triple], batch: int, down: bool
) -> list[Tensor]:
    """For each level int32 [n, 4] sorted, unique: the positions that are reached through the windows up to it.

    Args:
        coordinates: int32 [n, 4] batch z y x, inside a grid of this shape.
        shape: of their grid.
        windows: in the order in which they are applied.
        shapes: of the grid behind each window; positions outside are not reached.
        batch: number of samples.
        down: from fine to the coarse positions whose windows read them; else from coarse to the fine ones they read.
    """
    columns = list(coordinates.to(torch.int64).unbind(1))
    tables, places = _tables_for(columns, Levels(shape, tuple(windows), tuple(shapes), batch, down))
    z, y, x = (table[:, place] for table, place in zip(tables.axes, places, strict=True))  # [levels, n, m]
    first = z + (columns[0] * tables.cells[:, None])[..., None]
    keys = (first[:, :, :, None, None] + y[:, :, None, :, None]) + x[:, :, None, None, :]
    return _unpacked(*_unique(keys.flatten(), tables.begins), tables)


def _unique(keys: Tensor, begins: Tensor) -> tuple[Tensor, list[int]]:
    """The keys from 0 on, ascending and each once, and how many there are of each level. Waits for the device once."""
    ordered = keys.sort().values
    fresh = ordered >= 0
    fresh[1:] &= ordered[1:] != ordered[:-1]
    rank = torch.nn.functional.pad(fresh.cumsum(0), (1, 0))
    bounds = rank[torch.searchsorted(ordered, begins)].tolist()
    # Those that are left out are written to one place behind the last: no boolean mask, so no further wait.
    found = keys.new_empty(bounds[-1] + 1)
    found.scatter_(0, torch.where(fresh, rank[1:] - 1, bounds[-1]), ordered)
    return found[:-1], [stop - start for start, stop in pairwise(bounds)]


def _unpacked(keys: Tensor, counts: list[int], tables: Tables) -> list[Tensor]:
    level = torch.searchsorted(tables.begins, keys, right=True) - 1
    rest, sizes = keys - tables.begins[level], tables.sizes[level]
    columns = []
    for axis in (2, 1, 0):
        columns.append(rest % sizes[:, axis])
        rest = rest // sizes[:, axis]
    return list(torch.stack([rest, *columns[::-1]], 1).to(torch.int32).split(counts))


def _tables_for(columns: list[Tensor], levels: Levels) -> tuple[Tables, list[Tensor]]:
    """Tables of these levels, and the row of each position in that of each axis."""
    device = columns[0].device
    if max(levels.shape) <= LONGEST_TABLE:
        return _tables_of_grid(levels, device), columns[1:]
    pairs = [column.unique(return_inverse=True) for column in columns[1:]]
    occurring = [values.cpu().numpy() for values, _ in pairs]
    return _tables(occurring, levels, device), [place for _, place in pairs]


@lru_cache(maxsize=64)
def _tables_of_grid(levels: Levels, device: torch.device) -> Tables:
    return _tables([np.arange(size) for size in levels.shape], levels, device)


def _tables(places: list[np.ndarray], levels: Levels, device: torch.device) -> Tables:
    sizes = np.array(levels.shapes, dtype=np.int64)
    cells = sizes.prod(axis=1)
    begins = np.concatenate([[0], np.cumsum(cells * levels.batch)])
    factors = np.stack([sizes[:, 1] * sizes[:, 2], sizes[:, 2], np.ones_like(cells)])
    axes = []
    for axis in range(3):
        steps = [
            (w.kernel[axis], w.stride[axis], w.padding[axis], w.dilation[axis], size[axis])
            for w, size in zip(levels.windows, levels.shapes, strict=True)
        ]
        found = reached_along(places[axis], steps, levels.down)
        shift = begins[:-1] if axis == 0 else np.zeros_like(cells)
        parts = np.where(found < 0, NOWHERE, found * factors[axis][:, None, None] + shift[:, None, None])
        axes.append(torch.from_numpy(parts).to(device))
    others = (torch.from_numpy(values).to(device) for values in (cells, begins, sizes))
    return Tables((axes[0], axes[1], axes[2]), *others)


def reached_along(places: np.ndarray, steps: Sequence[Axis], down: bool) -> np.ndarray:
    """int64 [levels, places, m]: what places along one axis reach after each step, each once, then -1."""
    levels, reached = [], places.astype(np.int64)[:, None]
    for taps, stride, padding, dilation, size in steps:
        offset = np.arange(taps) * dilation - padding
        if down:
            at, rest = np.divmod(reached[..., None] - offset, stride)
        else:
            at = reached[..., None] * stride + offset
            rest = np.zeros_like(at)
        hit = (reached[..., None] >= 0) & (rest == 0) & (at >= 0) & (at < size)
        reached = _each_once(np.where(hit, at, -1).reshape(len(places), -1))
        levels.append(reached)
    width = max(level.shape[1] for level in levels)
    return np.stack([np.pad(level, ((0, 0), (0, width - level.shape[1])), constant_values=-1) for level in levels])


def _each_once(table: np.ndarray) -> np.ndarray:
    """Rows in descending order without repetition, then -1, as wide as the fullest."""
    table = -np.sort(-table, axis=1)
    table[:, 1:][table[:, 1:] == table[:, :-1]] = -1
    table = -np.sort(-table, axis=1)
    return table[:, : max(1, int((table >= 0).sum(axis=1).max(initial=0)))]
