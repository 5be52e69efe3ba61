"""Sparse convolution on the CPU: fused gather and matrix product in compiled range kernels on the package's threads.

fp16 and bf16 features are computed in fp32. Results are repeatable to the bit and independent of the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vol3d.sparse.backends import numba_kernels as kernels
from vol3d.sparse.backends import numba_maps as maps
from vol3d.sparse.backends import numba_pairs as listing
from vol3d.sparse.backends import numba_sort as sorting
from vol3d.sparse.backends import torch_backend
from vol3d.sparse.geometry import Geometry, MapSpec, Packing, SortedPositions, Triple
from vol3d.sparse.kernel_map import KernelMap
from vol3d.threads import num_threads, parallel_for

NAME = "numba"
USES = "CPU"
TILE_ROWS = int(listing.TILE_ROWS)
MARKED_CELLS = 2**30  # up to this many cells (128 MiB of bits) a grid is marked, above it keys are sorted
LONGEST_AXIS = 2**20


class KernelPairs(NamedTuple):
    """A kernel map as lists: pairs of tile t and tap k are at `begins[t, k]` up to `ends[t, k]`, outputs ascending.

    inputs, outputs: int32, row numbers, with unused room between lists; begins, ends: int64 [tiles, taps]; a tile is
    `TILE_ROWS` outputs.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    begins: np.ndarray
    ends: np.ndarray


@cache
def unavailable() -> str | None:
    """None if this numba compiles the hand-written micro-kernels; tried once in a process."""
    from vol3d.sparse.backends.numba_trial import try_micro_kernels

    try:
        try_micro_kernels()
    except Exception as error:
        return f"numba does not compile its kernels: {type(error).__name__}: {error}"
    return None


def unfit(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why features of this device and type cannot be computed, None if they can."""
    if device.type != "cpu":
        return f"for the CPU, not {device.type}"
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return f"for float32, float16 and bfloat16, not {dtype}"
    return None


def convolve(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """See `torch_backend.convolve`."""
    pairs = kernel_map.derived("tiles", list_pairs)
    channels = weight.shape[2]
    panels = _panels(_padded(weight.detach().float()))
    rows = features.detach().float().contiguous()
    out = torch.empty(kernel_map.outputs, _multiple(channels), dtype=torch.float32)
    parallel_for(
        kernels.convolve_tiles,
        len(pairs.begins),
        rows.numpy(),
        panels.numpy(),
        *pairs,
        out.numpy(),
        TILE_ROWS,
    )
    return out[:, :channels].to(features.dtype).contiguous()


def weight_gradient(features: Tensor, grad: Tensor, kernel_map: KernelMap) -> Tensor:
    """See `torch_backend.weight_gradient`."""
    pairs = kernel_map.derived("tiles", list_pairs)
    rows = features.detach().float().contiguous()
    gradients = _padded(grad.detach().float()).contiguous()
    c_in, c_out = rows.shape[1], gradients.shape[1]
    height = kernels.TILE.rows[min(c_out // kernels.LANES, 4) - 1][0]
    out = torch.zeros(kernel_map.taps, c_in, c_out, dtype=torch.float32)
    blocks = kernel_map.taps * -(-c_in // height)
    parallel_for(
        kernels.weight_gradient_blocks,
        blocks,
        rows.numpy(),
        gradients.numpy(),
        *pairs,
        out.numpy(),
        height,
        grain=-(-blocks // num_threads()),  # one range a thread: each walks all tiles, and reads their rows once
    )
    return out[:, :, : grad.shape[1]].to(features.dtype).contiguous()


def list_pairs(kernel_map: KernelMap) -> KernelPairs:
    """The map as lists of pairs, by tile and tap."""
    if (spec := kernel_map.spec) is None:
        pairs = kernel_map.transposed().derived("tiles", list_pairs)
        return _flipped(pairs) if kernel_map.symmetric else _reversed(pairs, kernel_map.outputs)
    taps, tiles, window = kernel_map.taps, -(-kernel_map.outputs // TILE_ROWS), spec.window
    half = kernel_map.symmetric and (window.kernel[2], window.dilation[2]) == (3, 1)
    # Room for every pair that there could be: memory that is not touched costs nothing. From torch, because NumPy asks
    # the system for huge pages, which are touched as a whole.
    inputs, outputs = torch.empty(2, tiles * taps * TILE_ROWS, dtype=torch.int32).numpy()
    pairs = KernelPairs(inputs, outputs, *np.empty((2, tiles, taps), np.int64))
    parallel_for(listing.list_half if half else listing.list_search, tiles, *_search(spec), *pairs)
    if half and tiles:
        parallel_for(listing.list_mirrored, taps // 2, tiles * (taps // 2 + 1) * TILE_ROWS, *pairs)
    return pairs


def _flipped(pairs: KernelPairs) -> KernelPairs:
    """The pairs of a symmetric map transposed: the taps the other way round."""
    begins, ends = (np.ascontiguousarray(bounds[:, ::-1]) for bounds in (pairs.begins, pairs.ends))
    return pairs._replace(begins=begins, ends=ends)


def _reversed(pairs: KernelPairs, rows: int) -> KernelPairs:
    """The pairs of the transposed map; its outputs are the `rows` input rows."""
    taps, tiles = pairs.begins.shape[1], -(-rows // TILE_ROWS)
    counts = np.zeros((tiles, taps), np.int64)
    parallel_for(listing.count_reversed, taps, pairs.inputs, pairs.begins, pairs.ends, counts)
    ends = np.cumsum(counts).reshape(tiles, taps)
    total = int(ends[-1, -1]) if tiles else 0
    inputs, outputs = np.empty(total, np.int32), np.empty(total, np.int32)
    parallel_for(listing.list_reversed, taps, *pairs, ends - counts, inputs, outputs)
    return KernelPairs(inputs, outputs, ends - counts, ends)


def _search(spec: MapSpec) -> tuple[np.ndarray, np.ndarray, Triple, Triple]:
    """first, keys, kernel, steps of `search_keys`."""
    coarse, fine, window, coarse_shape, fine_shape = spec
    packing = Packing.around(fine_shape, coarse_shape, window)
    first = maps.pack(coarse.numpy(), packing.size, window.stride, (0, 0, 0))  # as `Packing.first_taps`
    keys = maps.pack(fine.numpy(), packing.size, (1, 1, 1), packing.margin)
    return first, keys, window.kernel, packing.tap_steps(window)


def _multiple(channels: int) -> int:
    return -(-channels // kernels.LANES) * kernels.LANES


def _padded(tensor: Tensor) -> Tensor:
    """Zeros appended until the channels fill whole vectors."""
    extra = _multiple(tensor.shape[-1]) - tensor.shape[-1]
    return torch.nn.functional.pad(tensor, (0, extra)) if extra else tensor


def _panels(weight: Tensor) -> Tensor:
    """[taps, c_in * c_out]: the columns cut into blocks that the kernels read from first to last."""
    taps, c_in, c_out = weight.shape
    whole = c_out // kernels.COLUMNS * kernels.COLUMNS
    blocks = weight[:, :, :whole].reshape(taps, c_in, -1, kernels.COLUMNS).transpose(1, 2).reshape(taps, -1)
    return torch.cat([blocks, weight[:, :, whole:].reshape(taps, -1)], 1)


def sort_positions(coordinates: Tensor, shape: Triple, batch_size: int, check: bool) -> SortedPositions:
    """See `torch_backend.sort_positions`."""
    key_bits = (batch_size * shape[0] * shape[1] * shape[2]).bit_length()
    index_bits = len(coordinates).bit_length()
    if key_bits + index_bits > 63:
        return torch_backend.sort_positions(coordinates, shape, batch_size, check)
    given = (coordinates if coordinates.dtype == torch.int64 else coordinates.to(torch.int32)).contiguous()
    packed = np.empty(len(given), np.int64)
    inside, ascending = sorting.pack_and_check(given.numpy(), (batch_size, *shape), packed, index_bits)
    if ascending:
        return SortedPositions(None, given.to(torch.int32), inside)
    packed = sorting.radix_sort(packed, index_bits, key_bits)
    order, rows = torch.empty(len(given), dtype=torch.int64), torch.empty(len(given), 4, dtype=torch.int32)
    unique = sorting.take_sorted(packed, index_bits, given.numpy(), order.numpy(), rows.numpy())
    return SortedPositions(order, rows, inside and unique)


def neighbours(spec: MapSpec) -> Tensor:
    """See `torch_backend.neighbours`."""
    rows = len(spec.coarse)
    table = torch.empty(spec.window.taps, rows, dtype=torch.int32)
    parallel_for(maps.fill_neighbours, -(-rows // TILE_ROWS), *_search(spec), TILE_ROWS, table.numpy())
    return table


def reversed_neighbours(neighbours: Tensor, inputs: int) -> Tensor:
    """See `torch_backend.reversed_neighbours`."""
    table = neighbours.new_empty(neighbours.shape[0], inputs)
    parallel_for(maps.reverse_neighbours, len(table), neighbours.numpy(), table.numpy())
    return table


def coarser(
    fine: Tensor, shape: Triple, windows: Sequence[Geometry], shapes: Sequence[Triple], batch_size: int
) -> list[Tensor]:
    """See `torch_backend.coarser`."""
    levels = []
    for window, size in zip(windows, shapes, strict=True):
        marked = _reached(fine, window, size, True)
        fine = torch_backend.coarser(fine, shape, [window], [size], batch_size)[0] if marked is None else marked
        levels.append(fine)
        shape = size
    return levels


def finer(coarse: Tensor, coarse_shape: Triple, window: Geometry, shape: Triple, batch_size: int) -> Tensor:
    """See `torch_backend.finer`."""
    marked = _reached(coarse, window, shape, False)
    return torch_backend.finer(coarse, coarse_shape, window, shape, batch_size) if marked is None else marked


def _reached(coordinates: Tensor, window: Geometry, shape: Triple, down: bool) -> Tensor | None:
    """Reached positions from a grid of bits; None if the grid is too large for one."""
    if len(coordinates) == 0:
        return coordinates
    last = coordinates.amax(0).tolist()
    cells = (last[0] + 1) * shape[0] * shape[1] * shape[2]
    if cells > MARKED_CELLS or max(last[1:]) > LONGEST_AXIS:
        return None
    axes = zip(last[1:], window.kernel, window.stride, window.padding, window.dilation, shape, strict=True)
    z, y, x = (maps.reached_along(*axis, down) for axis in axes)  # type: ignore[call-arg]
    marks = np.zeros(-(-cells // 64), np.uint64)
    maps.mark_reached(coordinates.numpy(), z, y, x, shape, marks)
    return torch.from_numpy(maps.marked_positions(marks, shape))
