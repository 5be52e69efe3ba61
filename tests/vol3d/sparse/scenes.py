"""Small random scenes for the tests of sparse convolution."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from vol3d.sparse import Geometry, SparseTensor
from vol3d.sparse.geometry import Triple


def random_coordinates(n: int, shape: Triple, batch: int, seed: int = 0) -> Tensor:
    """int32 [<= n, 4], unique, in random order."""
    draw = torch.Generator().manual_seed(seed)
    cells = batch * shape[0] * shape[1] * shape[2]
    flat = torch.randperm(cells, generator=draw)[:n]
    axes = torch.unravel_index(flat, (batch, *shape))
    return torch.stack(axes, 1).to(torch.int32)


def random_tensor(
    n: int,
    channels: int,
    shape: Triple = (9, 10, 11),
    batch: int = 2,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> SparseTensor:
    coordinates = random_coordinates(n, shape, batch, seed)
    draw = torch.Generator().manual_seed(seed + 1)
    features = torch.randn(len(coordinates), channels, generator=draw, dtype=torch.float64).to(dtype)
    return SparseTensor(coordinates, features, shape, batch)


def triples(least: int, most: int) -> st.SearchStrategy[Triple]:
    number = st.integers(least, most)
    return st.tuples(number, number, number)


def windows() -> st.SearchStrategy[Geometry]:
    return st.builds(Geometry, triples(1, 3), triples(1, 3), triples(0, 2), triples(1, 2))
