"""Linear sum assignment of many cost matrices at once: which column serves which row, at the least total cost.

On the CPU the samples are shared out to the threads of `vol3d.threads`. A batch on a GPU is fetched in one transfer,
however many samples and decoder layers it holds, and the answer goes back in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64, Real
from torch import Tensor

from vol3d.errors import DataError, UsageError
from vol3d.host import fetch
from vol3d.threads import parallel_for

Infeasible = Literal["raise", "partial"]

# Cost entries that are worth a call of their own on another thread: about 50 microseconds of work.
_ENTRIES_PER_CALL = 16384


def assign(costs: Sequence[Tensor], *, infeasible: Infeasible = "raise") -> list[tuple[Tensor, Tensor]]:
    """Solve cost matrices of any shapes.

    Args:
        costs: matrices (n_i, m_i) on one device, of any real dtype; inf forbids a pair.
        infeasible: what happens where inf leaves no complete assignment: `raise`, or `partial`: rows (columns where
            there are more rows than columns) are served in order, and one that has no way left is passed over. That
            serves as many as can be served, at the least cost for those that are.

    Returns:
        For each matrix, row and column indices of the pairs, rows ascending, min(n_i, m_i) of them or fewer; totals
        and ties as `scipy.optimize.linear_sum_assignment`.

    Raises:
        DataError: not matrices, NaN or -inf (the message names the sample), no complete assignment.
        UsageError: unknown value of `infeasible`.

    >>> assign([torch.tensor([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0]])])
    [(tensor([0, 1]), tensor([1, 0]))]
    """
    for sample, cost in enumerate(costs):
        if cost.ndim != 2:
            raise DataError("not a matrix", where=f"costs[{sample}]", got=tuple(cost.shape), wanted="(n, m)")
    if not costs:
        return []
    shapes = np.array([cost.shape for cost in costs], dtype=np.int64)
    flat = torch.cat([_real(cost.detach(), f"costs[{i}]").flatten() for i, cost in enumerate(costs)])
    sizes = shapes[:, 0] * shapes[:, 1]
    begins = np.cumsum(shapes[:, 0]) - shapes[:, 0]
    out = np.full(int(shapes[:, 0].sum()), -1, dtype=np.int64)
    places = (np.cumsum(sizes) - sizes, shapes[:, 1].copy(), begins)
    _run(fetch(flat)[0].numpy(), places, shapes[:, 0].copy(), shapes[:, 1].copy(), infeasible, out)
    found = torch.from_numpy(out).split(shapes[:, 0].tolist())
    pairs = []
    for cost, columns in zip(costs, found, strict=True):
        rows = (columns >= 0).nonzero()[:, 0]
        pairs.append((rows.to(cost.device), columns[rows].to(cost.device)))
    return pairs


def assign_padded(
    cost: Real[Tensor, "*batch n m"],
    rows: Int64[Tensor, "*batch"] | None = None,
    columns: Int64[Tensor, "*batch"] | None = None,
    *,
    infeasible: Infeasible = "raise",
) -> Int64[Tensor, "*batch n"]:
    """Solve a batch of matrices that share one padded tensor; fastest with no more rows than columns.

    Args:
        cost: what lies beyond `rows` and `columns` is ignored; inf forbids a pair.
        rows: number of true rows of each sample, all n by default. Best kept on the CPU: on a GPU it is fetched too.
        columns: number of true columns of each sample, all m by default.
        infeasible: as `assign`.

    Returns:
        Column of each row on the device of `cost`, -1 for a row without one (padding included).

    Raises:
        DataError: as `assign`, and sizes that the tensor does not hold.
        UsageError: unknown value of `infeasible`.
    """
    if cost.ndim < 2:
        raise DataError("not a batch of matrices", where="cost", got=tuple(cost.shape), wanted="(..., n, m)")
    batch, (n, m) = cost.shape[:-2], cost.shape[-2:]
    high, wide = _sizes(rows, n, batch, "rows"), _sizes(columns, m, batch, "columns")
    values = _real(cost.detach(), "cost").contiguous()
    samples = np.arange(len(high), dtype=np.int64)
    places = (samples * (n * m), np.full_like(samples, m), samples * n)
    out = np.full(len(high) * n, -1, dtype=np.int64)
    _run(fetch(values)[0].numpy().reshape(-1), places, high, wide, infeasible, out, batch)
    return torch.from_numpy(out).reshape(*batch, n).to(cost.device, non_blocking=True)


def _run(
    flat: np.ndarray,
    places: tuple[np.ndarray, np.ndarray, np.ndarray],
    rows: np.ndarray,
    columns: np.ndarray,
    infeasible: Infeasible,
    out: np.ndarray,
    batch: tuple[int, ...] | None = None,
) -> None:
    """Write the column of every true row into `out`; `places` are offsets and strides in `flat`, offsets in `out`."""
    if infeasible not in ("raise", "partial"):
        raise UsageError("unknown treatment", where="infeasible", got=infeasible, wanted="raise or partial")
    from vol3d.matching.assignment_kernels import assign_samples  # numba is loaded when something is computed

    status = np.zeros(len(rows), dtype=np.int64)
    offsets, strides, out_offsets = places
    grain = 1 + _ENTRIES_PER_CALL * len(rows) // max(int((rows * columns).sum()), 1)
    partial = infeasible == "partial"
    args = (flat, offsets, strides, rows, columns, partial, out, out_offsets, status)
    parallel_for(assign_samples, len(rows), *args, grain=grain)
    if status.any():
        _refuse(status, rows, columns, partial, batch)


def _refuse(
    status: np.ndarray, rows: np.ndarray, columns: np.ndarray, partial: bool, batch: tuple[int, ...] | None
) -> None:
    from vol3d.matching.assignment_kernels import INFEASIBLE, NOT_A_COST

    for fault in (NOT_A_COST, INFEASIBLE):
        samples = np.flatnonzero(status == fault)
        if len(samples) == 0 or (fault == INFEASIBLE and partial):
            continue
        first = int(samples[0])
        index = (first,) if batch is None else tuple(int(i) for i in np.unravel_index(first, batch or (1,)))
        where = f"costs{list(index)}, {rows[first]} x {columns[first]}"
        if fault == NOT_A_COST:
            got = f"NaN or -inf in {len(samples)} of {len(status)} samples"
            raise DataError("not a cost", where=where, got=got, wanted="numbers, or inf for a forbidden pair")
        raise DataError(
            "no complete assignment: too many pairs are forbidden",
            where=where,
            got=f"{len(samples)} of {len(status)} samples without one",
            do="Forbid fewer pairs, or pass infeasible='partial'.",
        )


def _real(cost: Tensor, where: str) -> Tensor:
    if cost.is_complex():
        raise DataError("not a cost", where=where, got=cost.dtype, wanted="a real dtype")
    if cost.dtype in (torch.float32, torch.float64):
        return cost
    return cost.float() if cost.is_floating_point() else cost.double()


def _sizes(sizes: Tensor | None, limit: int, batch: torch.Size, argument: str) -> np.ndarray:
    if sizes is None:
        return np.full(batch.numel(), limit, dtype=np.int64)
    if sizes.shape != batch or sizes.is_floating_point():
        got = f"{tuple(sizes.shape)} {sizes.dtype}"
        raise DataError("not one size per sample", where=argument, got=got, wanted=f"{tuple(batch)} integers")
    values = sizes.detach().cpu().numpy().reshape(-1).astype(np.int64)
    if len(values) and (values.min() < 0 or values.max() > limit):
        got = values[(values < 0) | (values > limit)].tolist()
        raise DataError("a size that the batch does not hold", where=argument, got=got[:5], wanted=f"0 to {limit}")
    return values
