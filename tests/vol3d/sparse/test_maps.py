"""Kernel maps against dictionaries: positions, neighbours, transposition, sharing."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reference.sparse import slow_coarser, slow_finer, slow_neighbours
from tests.vol3d.sparse.scenes import random_tensor, triples, windows
from vol3d.errors import DataError, UsageError
from vol3d.sparse import Geometry, SparseTensor
from vol3d.sparse.backends.numba_backend import TILE_ROWS, list_pairs

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def inside(positions: list[list[int]], shape: tuple[int, ...]) -> list[list[int]]:
    return [p for p in positions if all(0 <= at < size for at, size in zip(p[1:], shape, strict=True))]


@relaxed
@given(kernel=triples(1, 4), dilation=triples(1, 3), n=st.integers(0, 60), seed=st.integers(0, 99))
def test_submanifold_map(backend: str, kernel: tuple, dilation: tuple, n: int, seed: int) -> None:
    x = random_tensor(n, 1, (4, 5, 6), 2, seed)
    window = Geometry.submanifold(kernel, dilation)
    found = x.sites.submanifold_map(window)
    wanted = slow_neighbours(x.coordinates, x.coordinates, window)
    assert torch.equal(found.neighbours, wanted)
    assert torch.equal(found.transposed().neighbours, transposed(wanted, len(x)))


@relaxed
@given(window=windows(), n=st.integers(0, 60), seed=st.integers(0, 99))
def test_strided_map(backend: str, window: Geometry, n: int, seed: int) -> None:
    x = random_tensor(n, 1, (6, 5, 7), 2, seed)
    shape = tuple(
        (s + 2 * p - d * (k - 1) - 1) // t + 1
        for s, p, d, k, t in zip(
            x.spatial_shape, window.padding, window.dilation, window.kernel, window.stride, strict=True
        )
    )
    made = x.sites.coarser(window)
    assert made.spatial_shape == shape
    assert made.coordinates.tolist() == inside(slow_coarser(x.coordinates, window), shape)
    wanted = slow_neighbours(made.coordinates, x.coordinates, window)
    assert made.origin is not None and made.origin.sites is x.sites
    assert torch.equal(made.origin.map.neighbours, wanted)
    assert torch.equal(made.origin.map.transposed().neighbours, transposed(wanted, len(x)))


@relaxed
@given(window=windows(), n=st.integers(0, 40), seed=st.integers(0, 99))
def test_transposed_map(backend: str, window: Geometry, n: int, seed: int) -> None:
    x = random_tensor(n, 1, (3, 4, 5), 2, seed)
    try:
        shape = window.fine_shape(x.spatial_shape)
    except UsageError:  # more padding than there is grid
        return
    made = x.sites.finer(window, shape)
    assert made.coordinates.tolist() == inside(slow_finer(x.coordinates, window), shape)
    wanted = slow_neighbours(x.coordinates, made.coordinates, window)
    assert made.origin is not None
    assert torch.equal(made.origin.map.transposed().neighbours, wanted)
    assert torch.equal(made.origin.map.neighbours, transposed(wanted, len(made)))


@pytest.mark.parametrize(
    "kernel", [(3, 3, 3), (1, 3, 3), (3, 1, 3), (1, 1, 3), (5, 3, 3), (3, 3, 1), (3, 3, 5), (2, 2, 3)]
)
@pytest.mark.parametrize("n", [0, 1, 300, 1500])
@pytest.mark.parametrize("dilation", [1, 2])
def test_lists_hold_the_pairs_of_the_table(kernel: tuple[int, int, int], n: int, dilation: int) -> None:
    x = random_tensor(n, 1, (8, 9, 30), 2)
    found = x.sites.submanifold_map(Geometry.submanifold(kernel, (1, 1, dilation)))
    for direction in (found, found.transposed()):
        pairs, table = list_pairs(direction), direction.neighbours
        for tile, (begins, ends) in enumerate(zip(pairs.begins, pairs.ends, strict=True)):
            rows = slice(tile * TILE_ROWS, (tile + 1) * TILE_ROWS)
            for tap, (begin, end) in enumerate(zip(begins, ends, strict=True)):
                outputs = (table[tap, rows] >= 0).nonzero().squeeze(1) + tile * TILE_ROWS
                assert pairs.outputs[begin:end].tolist() == outputs.tolist()
                assert pairs.inputs[begin:end].tolist() == table[tap, outputs].tolist()


def transposed(neighbours: torch.Tensor, inputs: int) -> torch.Tensor:
    table = torch.full((len(neighbours), inputs), -1, dtype=torch.int32)
    for tap, output in (neighbours >= 0).nonzero().tolist():
        table[tap, neighbours[tap, output]] = output
    return table


def test_large_grid_uses_no_memory_of_its_size(backend: str) -> None:
    side = 2**19  # 2**57 positions
    ends = [0, side - 2, side - 1]
    coordinates = torch.tensor([[0, z, y, x] for z in ends for y in ends for x in ends])
    x = SparseTensor(coordinates, torch.ones(27, 1), (side,) * 3, 1)
    made = x.sites.coarser(Geometry.of(3, 2, 1))
    assert made.coordinates.tolist() == inside(slow_coarser(x.coordinates, Geometry.of(3, 2, 1)), made.spatial_shape)
    wanted = slow_neighbours(made.coordinates, x.coordinates, Geometry.of(3, 2, 1))
    assert made.origin is not None and torch.equal(made.origin.map.neighbours, wanted)


@relaxed
@given(chain=st.lists(windows(), min_size=1, max_size=3), n=st.integers(0, 60), seed=st.integers(0, 99))
def test_levels_at_once_are_those_one_after_the_other(backend: str, chain: list[Geometry], n: int, seed: int) -> None:
    x = random_tensor(n, 1, (9, 12, 11), 2, seed)
    try:
        levels = x.sites.coarser_levels(chain)
    except UsageError:  # a window is larger than the grid that is left
        return
    coordinates = x.coordinates
    for window, level in zip(chain, levels, strict=True):
        coordinates = torch.tensor(inside(slow_coarser(coordinates, window), level.spatial_shape)).reshape(-1, 4)
        assert level.coordinates.dtype == torch.int32
        assert level.coordinates.tolist() == coordinates.tolist()
    found = x.sites
    for window, level in zip(chain, levels, strict=True):
        found = found.coarser(window)
        assert found is level


def test_levels_with_too_many_positions_together() -> None:
    side = 2**19 + 2**18  # a grid that may be, and two more that may not
    x = SparseTensor(torch.zeros(1, 4, dtype=torch.int32), torch.ones(1, 1), (side,) * 3, 1)
    with pytest.raises(DataError, match=r"spatial_shape: the grids have too many positions; .*wanted < 2\*\*60"):
        x.sites.coarser_levels([Geometry.of(1)] * 3)


def test_maps_are_built_once_and_shared() -> None:
    x = random_tensor(50, 1)
    window = Geometry.submanifold(3)
    assert x.sites.submanifold_map(window) is x.sites.submanifold_map(Geometry.submanifold(3))
    strided = Geometry.of(3, 2, 1)
    made = x.sites.coarser(strided)
    assert x.sites.coarser(strided) is made
    assert x.with_features(x.features * 2).sites.coarser(strided) is made


def test_maps_go_with_their_positions() -> None:
    x = random_tensor(50, 1)
    fine = weakref.ref(x.sites)
    made = x.sites.coarser(Geometry.of(3, 2, 1))
    coarse = weakref.ref(made)
    gc.disable()  # reference counts alone must free them, or GPU memory stays until a collection
    try:
        del made
        assert coarse() is None
        del x
        assert fine() is None
    finally:
        gc.enable()


def test_output_may_not_be_empty() -> None:
    x = random_tensor(5, 1, (2, 8, 8))
    with pytest.raises(UsageError, match=r"spatial_shape: the window is larger .* got \(2, 8, 8\)"):
        x.sites.coarser(Geometry.of(3))


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("kernel_size", 0, 1), ("stride", (1, 2), 1), ("padding", -1, 0), ("dilation", (1, 1, 0.5), 1)],
)
def test_bad_geometry(name: str, value: object, least: int) -> None:
    settings = {"kernel_size": 3, "stride": 1, "padding": 0, "dilation": 1, name: value}
    with pytest.raises(UsageError, match=rf"{name}: .*wanted one or three integers >= {least}"):
        Geometry.of(**settings)  # type: ignore[arg-type]


def test_too_many_taps() -> None:
    with pytest.raises(UsageError, match="kernel_size: too many taps; got 200"):
        Geometry.of(200)
