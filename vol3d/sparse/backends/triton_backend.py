"""Sparse convolution on CUDA through Triton; the same code runs on the CPU in Triton's interpreter, for tests.

fp16 and bf16 are multiplied as they are and summed in fp32. fp32 follows `torch.set_float32_matmul_precision`:
"highest" (torch's default) is tf32x3, three tf32 products that come close to fp32; "high" and "medium" are tf32.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

from vol3d.kernels import has_triton, on_its_device
from vol3d.sparse.backends import torch_backend
from vol3d.sparse.backends.launch import Shape, launch
from vol3d.sparse.backends.taps import tap_blocks, tap_pairs
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


def _precision(dtype: torch.dtype) -> str:
    if dtype != torch.float32 or interpreted():
        return "ieee"
    return "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"
