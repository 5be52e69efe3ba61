"""The maximum over a group of rows, differentiable: how PointNet and its successors pool a neighbourhood.

On the CPU torch's own takes the values one by one, then clears the gradient and scatters into it: five times slower.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vol3d.errors import DataError
from vol3d.threads import parallel_for

_DTYPES = (torch.float32, torch.float64, torch.bfloat16)
_GRAIN = 64  # groups that are worth a call to another thread
_MAX_ROWS = 32767  # what an int16 can number


def max_over_rows(values: Float[Tensor, "*groups k c"]) -> Float[Tensor, "*groups c"]:
    """values (..., k, C) -> (..., C), as `values.max(dim=-2).values`: the gradient goes to the first of equal rows.

    NaN counts as largest, so that it shows in the result. The second derivative is as torch has it.

    Raises:
        DataError: groups without rows, which have no maximum; not a floating-point tensor.

    >>> max_over_rows(torch.tensor([[1.0, 5.0], [3.0, 2.0]]))
    tensor([3., 5.])
    """
    if not isinstance(values, Tensor) or not values.is_floating_point() or values.ndim < 2 or not values.shape[-2]:
        got = (*values.shape, values.dtype) if isinstance(values, Tensor) else type(values).__name__
        raise DataError("no groups of rows", where="values", got=got, wanted="floats (..., k, C), k > 0")
    if values.device.type != "cpu" or values.dtype not in _DTYPES or values.shape[-2] > _MAX_ROWS:
        return values.max(dim=-2).values
    return _MaxOverRows.apply(values.flatten(0, -3) if values.ndim > 2 else values[None]).view(
        *values.shape[:-2], values.shape[-1]
    )


class _MaxOverRows(torch.autograd.Function):
    """(G, k, C) -> (G, C)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        from vol3d.ops.maximum_cpu import largest, largest_bfloat16

        groups, ctx.k, columns = values.shape
        out = torch.empty(groups, columns, dtype=values.dtype)
        rows = torch.empty(groups, columns, dtype=torch.int16)
        kernel = largest_bfloat16 if values.dtype == torch.bfloat16 else largest
        parallel_for(kernel, groups, _array(values), _array(out), rows.numpy(), grain=_GRAIN)
        ctx.save_for_backward(rows)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor]:
        return (_Spread.apply(gradients[0], *ctx.saved_tensors, ctx.k),)


class _Spread(torch.autograd.Function):
    """The gradients (G, C) at the rows that they belong to, zeros elsewhere (G, k, C)."""

    @staticmethod
    def forward(ctx: Any, gradients: Tensor, rows: Tensor, k: int) -> Tensor:
        from vol3d.ops.maximum_cpu import spread

        ctx.save_for_backward(rows)
        out = torch.empty(len(rows), k, rows.shape[1], dtype=gradients.dtype)
        parallel_for(spread, len(rows), _array(gradients), rows.numpy(), _array(out), grain=_GRAIN)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (rows,) = ctx.saved_tensors
        return gradients[0].gather(1, rows[:, None].long())[:, 0], None, None


def _array(values: Tensor) -> Any:
    """Memory that numba reads; it does not know bfloat16, which is moved as what it is: two bytes."""
    plain = values.detach().contiguous()
    return (plain.view(torch.int16) if plain.dtype == torch.bfloat16 else plain).numpy()
