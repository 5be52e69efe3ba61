"""Sparse convolution through spconv's CUDA library, if its wheel is installed.

Kernel maps are this package's own, handed over as pair lists (spconv's "native" algorithm). The CPU wheel is not used:
it computes wrong results with more than one thread and has no backward pass.
"""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor

from vol3d.sparse.kernel_map import KernelMap

if importlib.util.find_spec("spconv") is None:
    raise ImportError("spconv is not installed")

NAME = "spconv"
USES = "CUDA"


def unavailable() -> str | None:
    """None if there is a CUDA device and the wheel has code for it."""
    if not torch.cuda.is_available():
        return "no CUDA device"
    from cumm import tensorview

    return "the spconv that is installed is its CPU wheel" if tensorview.is_cpu_only() else None


def unfit(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why features of this device and type cannot be computed, None if they can."""
    if device.type != "cuda":
        return f"for CUDA, not {device.type}"
    if dtype not in (torch.float32, torch.float16):
        return f"for float32 and float16, not {dtype}"
    return None


def convolve(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """See `torch_backend.convolve`."""
    from spconv.pytorch.ops import indice_conv

    pairs, counts = kernel_map.derived("spconv pairs", pair_table)
    return indice_conv(features.contiguous(), _filters(weight), pairs, counts, kernel_map.outputs)


def weight_gradient(features: Tensor, grad: Tensor, kernel_map: KernelMap) -> Tensor:
    """See `torch_backend.weight_gradient`."""
    from spconv.pytorch.ops import indice_conv_backward

    pairs, counts = kernel_map.derived("spconv pairs", pair_table)
    filters = features.new_zeros(grad.shape[1], kernel_map.taps, 1, 1, features.shape[1])  # only its shape matters here
    by_filter = indice_conv_backward(features.contiguous(), filters, grad.contiguous(), pairs, counts)[1]
    return by_filter.reshape(grad.shape[1], kernel_map.taps, features.shape[1]).permute(1, 2, 0).contiguous()


def pair_table(kernel_map: KernelMap) -> tuple[Tensor, Tensor]:
    """spconv's form of a map: int32 [2, taps, rows], input and output rows of pairs, then -1; int32 [taps] pairs."""
    table = kernel_map.neighbours
    order = torch.argsort((table < 0).to(torch.int8), dim=1, stable=True)  # those that are there come first
    inputs = table.gather(1, order)
    outputs = torch.where(inputs < 0, -1, order.to(torch.int32))
    return torch.stack([inputs, outputs]), (table >= 0).sum(1).to(torch.int32)


def _filters(weight: Tensor) -> Tensor:
    """[c_out, taps, 1, 1, c_in] of [taps, c_in, c_out]: spconv 2 with all taps along one axis."""
    return weight.permute(2, 0, 1)[:, :, None, None, :].contiguous()
