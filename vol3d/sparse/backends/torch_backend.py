"""Sparse convolution in plain torch: any device, any floating type, and the reference for the others.

Gather, multiply, add, one tap after another. On the CPU every sum runs in a fixed order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vol3d.sparse.backends.torch_reach import reach
from vol3d.sparse.geometry import Geometry, MapSpec, Packing, SortedPositions, Triple
from vol3d.sparse.kernel_map import KernelMap

NAME = "torch"
USES = "any device and type"


def unavailable() -> str | None:
    """Always there."""
    return None


def unfit(device: torch.device, dtype: torch.dtype) -> str | None:
    """Fits every device and type."""
    return None


def convolve(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """[outputs, c_out]: sum over taps of `features[neighbour] @ weight[tap]`.

    Args:
        features: [inputs, c_in].
        weight: [taps, c_in, c_out], same type and device.
        kernel_map: from input to output rows.
    """
    out = torch.zeros(kernel_map.outputs, weight.shape[2], dtype=_wide(features), device=features.device)
    for tap, (inputs, outputs) in enumerate(kernel_map.derived("pairs", pairs)):
        if len(inputs):
            # An output row occurs once per tap: nothing is added twice at the same time, so the order is fixed.
            out.index_add_(0, outputs, torch.mm(features.index_select(0, inputs), weight[tap]).to(out.dtype))
    return out.to(features.dtype)


def weight_gradient(features: Tensor, grad: Tensor, kernel_map: KernelMap) -> Tensor:
    """[taps, c_in, c_out]: for each tap the sum over pairs of `features[input] x grad[output]`.

    Args:
        features: [inputs, c_in].
        grad: [outputs, c_out], same type and device.
        kernel_map: from input to output rows.
    """
    out = features.new_zeros(kernel_map.taps, features.shape[1], grad.shape[1])
    for tap, (inputs, outputs) in enumerate(kernel_map.derived("pairs", pairs)):
        if len(inputs):
            out[tap] = features.index_select(0, inputs).t() @ grad.index_select(0, outputs)
    return out


def pairs(kernel_map: KernelMap) -> list[tuple[Tensor, Tensor]]:
    """For each tap the input and output rows that it joins, int64, in ascending output order."""
    joined = []
    for row in kernel_map.neighbours:
        outputs = (row >= 0).nonzero().squeeze(1)
        joined.append((row[outputs].to(torch.int64), outputs))
    return joined


def _wide(features: Tensor) -> torch.dtype:
    return torch.float32 if features.dtype in (torch.float16, torch.bfloat16) else features.dtype


def sort_positions(coordinates: Tensor, shape: Triple, batch_size: int, check: bool) -> SortedPositions:
    """Positions int [n, 4] in ascending order; equal ones keep their order. On CUDA only the check waits.

    Args:
        coordinates: batch z y x.
        shape: positions along z, y, x.
        batch_size: number of samples.
        check: whether `sound` is asked for.
    """
    keys = Packing(shape).keys(coordinates)
    order = torch.sort(keys, stable=True).indices
    keys = keys.index_select(0, order)
    sound = True
    if check:
        size = torch.tensor((batch_size, *shape), device=coordinates.device)
        sound = bool((keys[1:] > keys[:-1]).all() & ((coordinates >= 0) & (coordinates < size)).all())
    return SortedPositions(order, coordinates.index_select(0, order).to(torch.int32), sound)


def neighbours(spec: MapSpec) -> Tensor:
    """int32 [taps, coarse rows]: the fine row that each tap of the window at a coarse position reads, or -1."""
    coarse, fine, window, coarse_shape, fine_shape = spec
    table = torch.full((window.taps, len(coarse)), -1, dtype=torch.int32, device=fine.device)
    if len(coarse) == 0 or len(fine) == 0:
        return table
    packing = Packing.around(fine_shape, coarse_shape, window)
    first, keys = packing.first_taps(coarse, window.stride), packing.keys(fine)
    dz, dy, dx = packing.tap_steps(window)
    for tap in range(window.taps):
        z, y, x = window.tap(tap)
        wanted = first + (z * dz + y * dy + x * dx)
        found = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
        table[tap] = torch.where(keys[found] == wanted, found, -1)
    return table


def reversed_neighbours(neighbours: Tensor, inputs: int) -> Tensor:
    """int32 [taps, inputs]: the output row that reads an input row through a tap, -1 if none. At most one does."""
    taps, outputs = neighbours.shape
    table = neighbours.new_full((taps, inputs + 1), -1)
    rows = torch.arange(outputs, dtype=torch.int32, device=neighbours.device).expand(taps, outputs)
    # Missing neighbours are written to a separate column: no boolean mask, so no wait for the device.
    table.scatter_(1, torch.where(neighbours < 0, inputs, neighbours).to(torch.int64), rows)
    return table[:, :inputs].contiguous()


def coarser(
    fine: Tensor, shape: Triple, windows: Sequence[Geometry], shapes: Sequence[Triple], batch_size: int
) -> list[Tensor]:
    """For each of several windows in turn int32 [n, 4] sorted, unique: the positions whose window reads one before.

    Waits for the device once, however many windows there are.

    Args:
        fine: int32 [m, 4], batch z y x.
        shape: of their grid.
        windows: the first is applied to the given positions, each further one to what the one before reached.
        shapes: of the grid behind each window.
        batch_size: number of samples.
    """
    return reach(fine, shape, windows, shapes, batch_size, down=True)


def finer(coarse: Tensor, coarse_shape: Triple, window: Geometry, shape: Triple, batch_size: int) -> Tensor:
    """int32 [n, 4] sorted, unique: the fine positions, in a grid of this shape, that windows at int32 [m, 4] read."""
    return reach(coarse, coarse_shape, [window], [shape], batch_size, down=False)[0]
