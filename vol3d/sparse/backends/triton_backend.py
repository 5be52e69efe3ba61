"""Sparse convolution on CUDA through Triton; the same code runs on the CPU in Triton's interpreter, for tests.

fp16 and bf16 are multiplied as they are and summed in fp32. fp32 follows `torch.set_float32_matmul_precision`:
"highest" (torch's default) is tf32x3, three tf32 products that come close to fp32; "high" and "medium" are tf32.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import torch
from torch import Tensor

from vol3d.kernels import has_triton, on_its_device
from vol3d.sparse.backends import torch_backend
from vol3d.sparse.backends.launch import Shape, launch
from vol3d.sparse.geometry import MapSpec, Packing
from vol3d.sparse.kernel_map import KernelMap

if not has_triton():
    raise ImportError("triton is not installed")

NAME = "triton"
USES = "CUDA"
sort_positions = torch_backend.sort_positions
reversed_neighbours = torch_backend.reversed_neighbours
coarser = torch_backend.coarser
finer = torch_backend.finer


def interpreted() -> bool:
    """Whether kernels run in Triton's interpreter; it must be set before they are imported."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def unavailable() -> str | None:
    """None if there is a CUDA device (or the interpreter is on)."""
    return None if interpreted() or torch.cuda.is_available() else "no CUDA device"


def unfit(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why features of this device and type cannot be computed, None if they can."""
    if device.type != ("cpu" if interpreted() else "cuda"):
        return f"for CUDA, not {device.type}"
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return f"for float32, float16 and bfloat16, not {dtype}"
    return None


class TapBlocks(NamedTuple):
    """Output rows in blocks, and what each block reads.

    order: int32 [rows], rows sorted by which taps they have.
    taps: int32 [blocks, taps], first those that some row of the block has; counts: int32 [blocks], how many these are.
    inputs: int32 [blocks, taps, rows of a block], the input row that each reads through each of them, or -1.
    """

    order: Tensor
    taps: Tensor
    counts: Tensor
    inputs: Tensor


class TapPairs(NamedTuple):
    """inputs, outputs: int32 [pairs], by tap; bounds: int32 [taps + 1]."""

    inputs: Tensor
    outputs: Tensor
    bounds: Tensor


@on_its_device
def convolve(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """See `torch_backend.convolve`."""
    from vol3d.sparse.backends.triton_kernels import convolve_kernel

    rows, c_in, c_out = kernel_map.outputs, features.shape[1], weight.shape[2]
    size = launch(Shape("convolve", features.dtype, c_in, c_out, rows))
    blocks = kernel_map.derived(f"taps of {size.block_rows} rows", lambda m: tap_blocks(m, size.block_rows))
    chunks = -(-c_in // size.block_in)
    parts = min(size.parts, kernel_map.taps * chunks)
    out = features.new_empty(parts, rows, c_out, dtype=torch.float32 if parts > 1 else features.dtype)
    convolve_kernel[-(-rows // size.block_rows), -(-c_out // size.block_out), parts](
        features.contiguous(),
        weight.contiguous(),
        *blocks,
        out,
        rows,
        c_in,
        c_out,
        kernel_map.taps,
        chunks=chunks,
        block_rows=size.block_rows,
        block_in=size.block_in,
        block_out=size.block_out,
        precision=_precision(features.dtype),
        widen=interpreted(),
        num_warps=size.warps,
        num_stages=size.stages,
    )
    return out[0] if parts == 1 else out.sum(0).to(features.dtype)


@on_its_device
def weight_gradient(features: Tensor, grad: Tensor, kernel_map: KernelMap) -> Tensor:
    """See `torch_backend.weight_gradient`."""
    from vol3d.sparse.backends.triton_kernels import weight_gradient_kernel

    taps, c_in, c_out = kernel_map.taps, features.shape[1], grad.shape[1]
    size = launch(Shape("weight_gradient", features.dtype, c_in, c_out, kernel_map.outputs))
    pairs = kernel_map.derived("tap pairs", tap_pairs)
    columns, lines = -(-c_in // size.block_in), -(-c_out // size.block_out)
    parts = max(1, min(size.parts // (columns * lines), kernel_map.outputs // (4 * size.block_rows)))
    partial = features.new_empty(parts, taps, c_in, c_out, dtype=torch.float32)
    weight_gradient_kernel[taps * parts, columns, lines](
        features.contiguous(),
        grad.contiguous(),
        *pairs,
        partial,
        c_in,
        c_out,
        taps,
        parts,
        block_pairs=size.block_rows,
        block_in=size.block_in,
        block_out=size.block_out,
        precision=_precision(features.dtype),
        widen=interpreted(),
        num_warps=size.warps,
        num_stages=size.stages,
    )
    return partial.sum(0).to(features.dtype)


@on_its_device
def neighbours(spec: MapSpec) -> Tensor:
    """See `torch_backend.neighbours`. Does not wait for the device."""
    from vol3d.sparse.backends.triton_kernels import search_kernel

    coarse, fine, window, coarse_shape, fine_shape = spec
    table = torch.empty(window.taps, len(coarse), dtype=torch.int32, device=fine.device)
    if len(coarse) == 0 or len(fine) == 0:
        return table.fill_(-1)
    packing = Packing.around(fine_shape, coarse_shape, window)
    block, steps = 256, len(fine).bit_length()
    search_kernel[-(-len(coarse) // block), window.taps](
        packing.first_taps(coarse, window.stride),
        packing.keys(fine),
        table,
        len(coarse),
        len(fine),
        window.kernel[1],
        window.kernel[2],
        *packing.tap_steps(window),
        steps,
        block_rows=block,
    )
    return table


def tap_blocks(kernel_map: KernelMap, block_rows: int) -> TapBlocks:
    """Rows ordered by which taps they have, and what each block of them reads. Does not wait for the device."""
    table = kernel_map.neighbours
    taps, rows = table.shape
    # The first 62 taps decide the order; more would not fit a key, and the order is only a matter of speed.
    has = table[:62] >= 0
    key = (has.to(torch.int64) << torch.arange(len(has), device=table.device)[:, None]).sum(0)
    order = torch.argsort(key, stable=True)
    blocks = -(-rows // block_rows)
    inputs = torch.nn.functional.pad(table[:, order], (0, blocks * block_rows - rows), value=-1)
    inputs = inputs.view(taps, blocks, block_rows).transpose(0, 1)
    any_row = (inputs >= 0).any(2)
    slots = torch.argsort(any_row.to(torch.uint8), dim=1, descending=True, stable=True)
    inputs = inputs.gather(1, slots[..., None].expand_as(inputs))
    return TapBlocks(order.to(torch.int32), slots.to(torch.int32), any_row.sum(1, dtype=torch.int32), inputs)


def tap_pairs(kernel_map: KernelMap) -> TapPairs:
    """Pairs of rows by tap, in ascending output order. Does not wait for the device: missing pairs are sorted last."""
    table = kernel_map.neighbours
    has = table >= 0
    counts = has.sum(1)
    bounds = torch.nn.functional.pad(counts.cumsum(0), (1, 0)).to(torch.int32)
    # The place of a pair is the number of pairs before it; those that are missing go to one place behind the last.
    place = torch.where(has, has.flatten().cumsum(0).view_as(has) - 1, table.numel())
    rows = torch.arange(table.shape[1], dtype=torch.int32, device=table.device).expand_as(table)
    inputs, outputs = (table.new_zeros(table.numel() + 1) for _ in range(2))
    inputs.scatter_(0, place.flatten(), table.flatten())
    outputs.scatter_(0, place.flatten(), rows.flatten())
    return TapPairs(inputs, outputs, bounds)


def _precision(dtype: torch.dtype) -> str:
    if dtype != torch.float32 or interpreted():
        return "ieee"
    return "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"
