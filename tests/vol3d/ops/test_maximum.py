"""The maximum over rows against torch's own: values, gradients to the first of equals, NaN, types, threads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vol3d.errors import DataError
from vol3d.ops import max_over_rows

SHAPES = [(3, 5, 7), (1, 1, 1), (2, 3, 4, 5), (4, 6), (0, 3, 2), (2, 3, 0), (1, 300, 2)]
TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def twin(values: Tensor) -> Tensor:
    return values.max(dim=-2).values


def rounded(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Few different values, so that many are equal, zeros of both signs among them."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).mul(2).round().to(dtype).requires_grad_()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_torchs(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    values = rounded(shape, dtype)
    weights = torch.randn(twin(values).shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    fast, slow = max_over_rows(values), twin(values)
    assert fast.dtype == dtype and torch.equal(fast, slow)
    ours, theirs = (torch.autograd.grad(out, values, weights)[0] for out in (fast, slow))
    assert ours.dtype == dtype and torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", TYPES[:3])
def test_nan_and_infinity(dtype: torch.dtype) -> None:
    nan, inf = torch.nan, torch.inf
    groups = [[-inf, -inf], [1, nan], [-nan, inf], [nan, -nan], [-0.0, 0.0], [inf, -inf], [-1, -2]]
    values = torch.tensor(groups).to(dtype)[:, :, None].requires_grad_()
    fast, slow = max_over_rows(values), twin(values)
    torch.testing.assert_close(fast, slow, equal_nan=True, rtol=0, atol=0)
    ours, theirs = (torch.autograd.grad(out.sum(), values)[0] for out in (fast, slow))
    assert torch.equal(ours, theirs)


def test_what_is_not_contiguous_is_read_right() -> None:
    values = rounded((4, 5, 6), torch.float32).transpose(0, 2)
    assert torch.equal(max_over_rows(values), twin(values))
    out = max_over_rows(values)
    gradient = torch.ones(1, 1).expand_as(out)
    assert torch.equal(
        torch.autograd.grad(out, values, gradient)[0], torch.autograd.grad(twin(values), values, gradient)[0]
    )


def test_second_derivatives() -> None:
    values = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: max_over_rows(x).square(), values)


def test_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    values = rounded((1000, 4, 3), torch.float32)
    results = []
    for threads in ("1", "3"):
        monkeypatch.setenv("VOL3D_NUM_THREADS", threads)
        results.append(torch.autograd.grad(max_over_rows(values).square().sum(), values)[0])
    assert torch.equal(*results)


@pytest.mark.bad_input
@pytest.mark.parametrize("values", [torch.zeros(2, 0, 3), torch.zeros(3), torch.zeros(2, 3, dtype=torch.int64), [1.0]])
def test_bad_input_is_refused(values: Tensor) -> None:
    with pytest.raises(DataError, match="no groups of rows"):
        max_over_rows(values)
