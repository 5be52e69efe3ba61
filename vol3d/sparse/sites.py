"""Active positions of a sparse tensor, and the kernel maps between them.

Positions are kept sorted by (batch, z, y, x). Results then cannot depend on the order in which the points came, rows
that are close in space are mostly close in memory, and a kernel map is a walk along sorted keys.

A set of positions owns what was built from it: its submanifold maps, and where it came from (`origin`), which an
inverse convolution follows back. It finds the sets that were made from it only as long as they are in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from vol3d.errors import DataError
from vol3d.sparse import backend as backend_choice
from vol3d.sparse.geometry import Geometry, MapSpec, Packing, Triple
from vol3d.sparse.kernel_map import KernelMap

MOST_KEYS = 2**60


@dataclass(frozen=True)
class Origin:
    """The positions that others were made from, through which window, and the map from the former to the latter."""

    sites: ActiveSites
    window: Geometry
    map: KernelMap


class ActiveSites:
    """Sorted, unique active positions.

    Args:
        coordinates: int32 [n, 4], batch z y x, sorted and unique, inside the shape; not checked.
        spatial_shape: number of positions along z, y, x.
        batch_size: number of samples, some of them possibly empty.
        origin: what they were made from, if from others.
    """

    def __init__(self, coordinates: Tensor, spatial_shape: Triple, batch_size: int, origin: Origin | None = None):
        self.coordinates = coordinates
        self.spatial_shape = spatial_shape
        self.batch_size = batch_size
        self.origin = origin
        self._submanifold: dict[Geometry, KernelMap] = {}
        self._made: WeakValueDictionary[tuple[Geometry, Triple, bool], ActiveSites] = WeakValueDictionary()

    def __len__(self) -> int:
        return self.coordinates.shape[0]

    def to(self, device: torch.device) -> ActiveSites:
        """The same positions on another device, without maps; itself if they are there already."""
        moved = self.coordinates.to(device)
        return self if moved is self.coordinates else ActiveSites(moved, self.spatial_shape, self.batch_size)

    def submanifold_map(self, window: Geometry) -> KernelMap:
        """Map from these positions to themselves."""
        if window not in self._submanifold:
            symmetric = all(k % 2 for k in window.kernel)
            self._submanifold[window] = KernelMap(self._read_by(self, window), backend_choice.for_maps, symmetric)
        return self._submanifold[window]

    def coarser(self, window: Geometry) -> ActiveSites:
        """Every position whose window holds one of these; its `origin.map` leads from here to there."""
        made = self._made.get((window, window.coarse_shape(self.spatial_shape), False))
        return self.coarser_levels([window])[0] if made is None else made

    def coarser_levels(self, windows: Sequence[Geometry]) -> list[ActiveSites]:
        """`coarser` for one window after the other, on what the one before made; a GPU is waited for once.

        Layers find these positions as long as the list is kept.

        Raises:
            DataError: the grids have too many positions.
            UsageError: a window is larger than its padded grid.
        """
        shapes, shape = [], self.spatial_shape
        for window in windows:
            shape = window.coarse_shape(shape)
            shapes.append(shape)
        if self.batch_size * sum(Packing(shape).cells for shape in shapes) >= MOST_KEYS:
            raise DataError("the grids have too many positions", where="spatial_shape", got=shapes, wanted="< 2**60")
        builder = backend_choice.for_maps(self.coordinates.device)
        reached = builder.coarser(self.coordinates, self.spatial_shape, windows, shapes, self.batch_size)
        levels, fine = [], self
        for window, shape, coordinates in zip(windows, shapes, reached, strict=True):
            fine = fine._made_by(window, shape, coordinates)
            levels.append(fine)
        return levels

    def _made_by(self, window: Geometry, shape: Triple, coordinates: Tensor) -> ActiveSites:
        """The coarse positions with these coordinates, or those that were made before."""
        if (made := self._made.get((window, shape, False))) is None:
            made = ActiveSites(coordinates, shape, self.batch_size)
            made.origin = Origin(self, window, KernelMap(self._read_by(made, window), backend_choice.for_maps))
            self._made[window, shape, False] = made
        return made

    def finer(self, window: Geometry, shape: Triple) -> ActiveSites:
        """Every position that lies in the window of one of these (transposed convolution)."""
        if (made := self._made.get((window, shape, True))) is None:
            self._check(Packing(shape))
            builder = backend_choice.for_maps(self.coordinates.device)
            reached = builder.finer(self.coordinates, self.spatial_shape, window, shape, self.batch_size)
            made = ActiveSites(reached, shape, self.batch_size)
            back = KernelMap(made._read_by(self, window), backend_choice.for_maps)
            made.origin = Origin(self, window, back.transposed())
            self._made[window, shape, True] = made
        return made

    def _read_by(self, coarse: ActiveSites, window: Geometry) -> MapSpec:
        self._check(Packing.around(self.spatial_shape, coarse.spatial_shape, window))
        return MapSpec(coarse.coordinates, self.coordinates, window, coarse.spatial_shape, self.spatial_shape)

    def _check(self, packing: Packing) -> None:
        if self.batch_size * packing.cells >= MOST_KEYS:
            got = f"{self.batch_size} x {packing.size}"
            raise DataError("the grid has too many positions", where="spatial_shape", got=got, wanted="< 2**60")
