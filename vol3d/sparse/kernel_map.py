"""Which input row each tap of each output row reads; built once, shared by layers, read in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from vol3d.sparse import backend as backend_choice

Derived = TypeVar("Derived")


class _Tables:
    """What both directions of a map share: neighbour tables of each, and what backends derived from them."""

    def __init__(self, neighbours: Tensor, rows: tuple[int, int], symmetric: bool) -> None:
        self.neighbours: list[Tensor | None] = [neighbours, None]
        self.rows = rows
        self.symmetric = symmetric
        self.derived: dict[tuple[int, str], object] = {}


class KernelMap:
    """A kernel map: `neighbours[k, o]` is the input row that tap k of output row o reads, -1 where there is none.

    Args:
        neighbours: int32 [taps, outputs].
        inputs: number of input rows.
        symmetric: a submanifold map with odd window: the transposed map is this one with the taps reversed.
    """

    def __init__(self, neighbours: Tensor, inputs: int, symmetric: bool = False) -> None:
        self._tables = _Tables(neighbours, (neighbours.shape[1], inputs), symmetric)
        self._side = 0

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
        return self.neighbours.shape[0]

    @property
    def symmetric(self) -> bool:
        return self._tables.symmetric

    @property
    def device(self) -> torch.device:
        return self.neighbours.device

    @property
    def neighbours(self) -> Tensor:
        """int32 [taps, outputs]."""
        table = self._tables.neighbours[self._side]
        if table is None:
            other = self._tables.neighbours[1 - self._side]
            assert other is not None, "a map is made with one table"
            table = (
                other.flip(0)
                if self.symmetric
                else backend_choice.for_maps(other.device).reversed_neighbours(other, self.outputs)
            )
            self._tables.neighbours[self._side] = table
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
