"""Batched assignment: SciPy's totals and ties, forbidden pairs, bad input."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import matching as reference
from vol3d.errors import DataError, UsageError
from vol3d.matching import assign, assign_padded

DTYPES = [torch.float32, torch.float64, torch.int64, torch.bfloat16]


def random_cost(rows: int, columns: int, seed: int, *, ties: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if ties:
        return torch.randint(0, 4, (rows, columns), generator=generator).float()
    return torch.randn(rows, columns, generator=generator)


def assert_as_scipy(cost: Tensor, pairs: tuple[Tensor, Tensor]) -> None:
    rows, columns = reference.assign(cost)
    assert pairs[0].tolist() == rows.tolist()
    assert pairs[1].tolist() == columns.tolist()


@pytest.mark.parametrize("ties", [False, True])
def test_lists_of_any_shape_as_scipy(ties):
    shapes = [(1, 1), (5, 5), (3, 40), (40, 3), (0, 4), (4, 0), (0, 0), (17, 16), (50, 300), (300, 50), (64, 64)]
    costs = [random_cost(*shape, seed, ties=ties) for seed, shape in enumerate(shapes)]
    for cost, pairs in zip(costs, assign(costs), strict=True):
        assert_as_scipy(cost, pairs)
    assert assign([]) == []


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10_000), st.booleans())
def test_small_matrices_full_of_ties_as_scipy(rows, columns, seed, ties):
    cost = random_cost(rows, columns, seed, ties=ties)
    assert_as_scipy(cost, assign([cost])[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype):
    cost = (10 * random_cost(6, 9, 1)).to(dtype)
    assert_as_scipy(cost, assign([cost])[0])
    assert assign_padded(cost[None]).tolist() == [assign([cost])[0][1].tolist()]


@pytest.mark.parametrize("transposed", [False, True])
def test_padded_batches_as_scipy_whatever_the_padding_holds(transposed):
    rows, columns = torch.tensor([[0, 1, 5], [7, 7, 3]]), torch.tensor([[11, 11, 2], [0, 5, 11]])
    cost = torch.stack([random_cost(7, 11, seed) for seed in range(6)]).reshape(2, 3, 7, 11)
    cost = cost.transpose(-1, -2) if transposed else cost
    rows, columns = (columns, rows) if transposed else (rows, columns)
    for layer in range(2):
        for sample in range(3):
            cost[layer, sample, rows[layer, sample] :] = math.nan
            cost[layer, sample, :, columns[layer, sample] :] = -math.inf
    found = assign_padded(cost, rows, columns)
    assert found.shape == cost.shape[:-1]
    for layer in range(2):
        for sample in range(3):
            n, m = int(rows[layer, sample]), int(columns[layer, sample])
            served = found[layer, sample]
            pairs = (served >= 0).nonzero()[:, 0]
            assert_as_scipy(cost[layer, sample, :n, :m], (pairs, served[pairs]))


def test_the_number_of_threads_changes_nothing():
    code = (
        "import torch; from vol3d.matching import assign_padded;"
        "c = torch.randn(24, 40, 90, generator=torch.Generator().manual_seed(0));"
        "print(assign_padded(c).flatten().tolist())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "VOL3D_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "3")
    }
    assert len(outputs) == 1


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 10_000), st.floats(0.1, 0.8))
def test_forbidden_pairs(rows, columns, seed, share):
    cost = random_cost(rows, columns, seed)
    cost[torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) < share] = math.inf
    try:
        expected = reference.assign(cost)
    except ValueError:
        with pytest.raises(DataError, match=rf"costs\[0\], {rows} x {columns}: no complete assignment"):
            assign([cost])
    else:
        assert_as_scipy(cost, assign([cost])[0])
        assert len(expected[0]) == min(rows, columns)
    served, used = assign([cost], infeasible="partial")[0]
    assert cost[served, used].isfinite().all()
    assert len(set(used.tolist())) == len(used) == largest_matching(cost.isfinite())


def largest_matching(allowed: Tensor) -> int:
    """How many rows can be served at all."""
    rows, columns = reference.assign(torch.where(allowed, 0.0, 1.0))
    return int(allowed[rows, columns].sum())


def test_partial_serves_what_can_be_served_at_least_cost():
    inf = math.inf
    cost = torch.tensor([[1.0, 2, inf], [1, 5, inf], [3, 3, inf]])
    rows, columns = assign([cost], infeasible="partial")[0]
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_what_is_no_cost_is_refused_with_the_sample(bad):
    cost = random_cost(2, 3, 0)
    cost[1, 2] = bad
    with pytest.raises(DataError, match=r"costs\[1\], 2 x 3: not a cost; got NaN or -inf in 1 of 2 samples"):
        assign([random_cost(2, 2, 0), cost])
    batch = torch.zeros(2, 4, 2, 3)
    batch[1, 2] = cost
    with pytest.raises(DataError, match=r"costs\[1, 2\], 2 x 3: not a cost; got NaN or -inf in 1 of 8 samples"):
        assign_padded(batch)


@pytest.mark.bad_input
def test_bad_arguments_are_refused():
    cost = torch.zeros(2, 3, 4)
    with pytest.raises(DataError, match=r"costs\[0\]: not a matrix; got \(2, 3, 4\), wanted \(n, m\)"):
        assign([cost])
    with pytest.raises(DataError, match=r"rows: a size that the batch does not hold; got \[5\], wanted 0 to 3"):
        assign_padded(cost, rows=torch.tensor([1, 5]))
    with pytest.raises(DataError, match=r"columns: a size that the batch does not hold; got \[-1\], wanted 0 to 4"):
        assign_padded(cost, columns=torch.tensor([-1, 2]))
    with pytest.raises(DataError, match=r"rows: not one size per sample; got \(3,\) torch\.int64, wanted \(2,\)"):
        assign_padded(cost, rows=torch.tensor([1, 1, 1]))
    with pytest.raises(DataError, match=r"cost: not a batch of matrices; got \(3,\)"):
        assign_padded(torch.zeros(3))
    with pytest.raises(DataError, match=r"cost: not a cost; got torch\.complex64"):
        assign_padded(cost.to(torch.complex64))
    with pytest.raises(UsageError, match="infeasible: unknown treatment; got ignore, wanted raise or partial"):
        assign([cost[0]], infeasible="ignore")


def test_empty_batches():
    assert assign_padded(torch.zeros(0, 3, 4)).shape == (0, 3)
    assert assign_padded(torch.zeros(2, 0, 4)).shape == (2, 0)
    assert assign_padded(torch.zeros(2, 3, 0)).tolist() == [[-1] * 3] * 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_as_on_the_cpu():
    cost = torch.stack([random_cost(20, 50, seed) for seed in range(6)])
    found = assign_padded(cost.cuda(), rows=torch.tensor([20, 0, 3, 20, 11, 1]))
    assert found.is_cuda
    assert torch.equal(found.cpu(), assign_padded(cost, rows=torch.tensor([20, 0, 3, 20, 11, 1])))
