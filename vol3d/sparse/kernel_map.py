"""Which input row each tap of each output row reads; built once, shared by layers, read in both directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from vol3d.sparse.geometry import Geometry, MapSpec, SortedPositions, Triple

Derived = TypeVar("Derived")


class MapBuilder(Protocol):
    """What a backend module offers for positions, if it builds kernel maps; `torch_backend` documents each function."""

    def sort_positions(self, coordinates: Tensor, shape: Triple, batch_size: int, check: bool) -> SortedPositions: ...

    def neighbours(self, spec: MapSpec) -> Tensor: ...

    def reversed_neighbours(self, neighbours: Tensor, inputs: int) -> Tensor: ...

    def coarser(
        self, fine: Tensor, shape: Triple, windows: Sequence[Geometry], shapes: Sequence[Triple], batch_size: int
    ) -> list[Tensor]: ...

    def finer(
        self, coarse: Tensor, coarse_shape: Triple, window: Geometry, shape: Triple, batch_size: int
    ) -> Tensor: ...


ChooseBuilder = Callable[[torch.device], MapBuilder]


class _Tables:
    """What both directions of a map share: neighbour tables of each, and what backends derived from them."""

    def __init__(self, spec: MapSpec, builder: ChooseBuilder, symmetric: bool) -> None:
        self.spec = spec
        self.builder = builder
        self.rows = len(spec.coarse), len(spec.fine)
        self.symmetric = symmetric
        self.neighbours: list[Tensor | None] = [None, None]
        self.derived: dict[tuple[int, str], object] = {}


class KernelMap:
    """A kernel map: `neighbours[k, o]` is the input row that tap k of output row o reads, -1 where there is none.

    Nothing is built before it is asked for: backends need different tables.

    Args:
        spec: the positions (inputs are the fine ones) and the window.
        builder: gives what builds maps on a device, asked when a table is needed (`backend.for_maps`).
        symmetric: a submanifold map with odd window: the transposed map is this one with the taps reversed.
    """

    def __init__(self, spec: MapSpec, builder: ChooseBuilder, symmetric: bool = False) -> None:
        self._tables = _Tables(spec, builder, symmetric)
        self._side = 0

    @property
    def spec(self) -> MapSpec | None:
        """What to build this direction from; None for a transposed map, which is built from the other direction."""
        return None if self._side else self._tables.spec

    @property
    def outputs(self) -> int:
        """Number of output rows."""
        return self._tables.rows[self._side]

    @property
    def inputs(self) -> int:
        """Number of input rows."""
        return self._tables.rows[1 - self._side]

    @property
    def taps(self) -> int:
        return self._tables.spec.window.taps

    @property
    def symmetric(self) -> bool:
        return self._tables.symmetric

    @property
    def device(self) -> torch.device:
        return self._tables.spec.fine.device

    @property
    def neighbours(self) -> Tensor:
        """int32 [taps, outputs]."""
        tables = self._tables.neighbours
        if (table := tables[self._side]) is None:
            build = self._tables.builder(self.device)
            if self._side == 0:
                table = build.neighbours(self._tables.spec)
            elif self.symmetric:
                table = self.transposed().neighbours.flip(0)
            else:
                table = build.reversed_neighbours(self.transposed().neighbours, self.outputs)
            tables[self._side] = table
        return table

    def transposed(self) -> KernelMap:
        """The map from outputs to inputs; it shares all tables with this one."""
        other = KernelMap.__new__(KernelMap)
        other._tables, other._side = self._tables, 1 - self._side
        return other

    def derived(self, name: str, build: Callable[[KernelMap], Derived]) -> Derived:
        """What `build(self)` returned at the first call with this name, kept as long as the map."""
        key = (self._side, name)
        if key not in self._tables.derived:
            self._tables.derived[key] = build(self)
        return self._tables.derived[key]  # type: ignore[return-value]
