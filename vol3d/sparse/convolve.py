"""Convolution over a kernel map, and its derivatives of any order.

    out[o] = sum_k features[map(k, o)] @ weight[k]

Its input gradient is the same convolution over the transposed map with transposed weights; its weight gradient is a
sum of outer products over the pairs. Derivatives of either are again convolutions and outer products, so two functions
are closed under differentiation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vol3d.errors import DataError
from vol3d.sparse import backend as backend_choice
from vol3d.sparse.kernel_map import KernelMap


def sparse_convolve(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """[outputs, c_out] = sum over taps of `features[neighbour] @ weight[tap]`; differentiable in both.

    Under autocast both are cast to its type first; sums are kept in fp32.

    Args:
        features: [inputs, c_in], floating.
        weight: [taps, c_in, c_out].
        kernel_map: from input to output rows.

    Raises:
        DataError: shapes, types or devices do not fit together.
        UsageError: a forced backend cannot compute this.
    """
    _check(features, weight, kernel_map)
    kind = features.device.type
    if torch.is_autocast_enabled(kind) and features.dtype != torch.float64:
        features, weight = (t.to(torch.get_autocast_dtype(kind)) for t in (features, weight))
    if features.dtype != weight.dtype:
        raise DataError("types differ", where="features", got=features.dtype, wanted=f"the weight's {weight.dtype}")
    backend = backend_choice.for_features(features.device, features.dtype)
    return _Convolve.apply(features, weight, kernel_map, backend)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: KernelMap, backend: Any) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.map, ctx.backend = kernel_map, backend
        if min(*features.shape, *weight.shape, kernel_map.outputs) == 0:
            return features.new_zeros(kernel_map.outputs, weight.shape[2])
        return backend.convolve(features, weight, kernel_map)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        features, weight = ctx.saved_tensors
        for_features = for_weight = None
        if ctx.needs_input_grad[0]:
            for_features = _convolve_back(grad, weight, ctx.map, ctx.backend)
        if ctx.needs_input_grad[1]:
            for_weight = _WeightGradient.apply(features, grad, ctx.map, ctx.backend)
        return for_features, for_weight, None, None


class _WeightGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, grad: Tensor, kernel_map: KernelMap, backend: Any) -> Tensor:
        ctx.save_for_backward(features, grad)
        ctx.map, ctx.backend = kernel_map, backend
        if min(*features.shape, *grad.shape) == 0:
            return features.new_zeros(kernel_map.taps, features.shape[1], grad.shape[1])
        return backend.weight_gradient(features, grad, kernel_map)

    @staticmethod
    def backward(ctx: Any, grad_weight: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        features, grad = ctx.saved_tensors
        for_features = for_grad = None
        if ctx.needs_input_grad[0]:
            for_features = _convolve_back(grad, grad_weight, ctx.map, ctx.backend)
        if ctx.needs_input_grad[1]:
            for_grad = _Convolve.apply(features, grad_weight, ctx.map, ctx.backend)
        return for_features, for_grad, None, None


def _convolve_back(grad: Tensor, weight: Tensor, kernel_map: KernelMap, backend: Any) -> Tensor:
    """Gradient of the features: over the same map with reversed taps if it is symmetric, else over the transposed."""
    if kernel_map.symmetric:
        return _Convolve.apply(grad, weight.flip(0).transpose(1, 2), kernel_map, backend)
    return _Convolve.apply(grad, weight.transpose(1, 2), kernel_map.transposed(), backend)


def _check(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> None:
    devices = {features.device, weight.device, kernel_map.device}
    if len(devices) > 1:
        got = f"features {features.device}, weight {weight.device}, map {kernel_map.device}"
        raise DataError("tensors are on different devices", where="features", got=got, wanted="one device")
    if features.ndim != 2 or weight.ndim != 3 or features.shape[1] != weight.shape[1]:
        got = f"features {list(features.shape)}, weight {list(weight.shape)}"
        raise DataError("channels do not fit", where="features", got=got, wanted="[n, c_in] and [taps, c_in, c_out]")
    if weight.shape[0] != kernel_map.taps or features.shape[0] != kernel_map.inputs:
        got = f"features {list(features.shape)}, weight {list(weight.shape)}"
        wanted = f"{kernel_map.inputs} rows and {kernel_map.taps} taps"
        raise DataError(
            "the kernel map is of other positions or another window", where="features", got=got, wanted=wanted
        )
    if not features.is_floating_point():
        raise DataError(
            "not a floating type", where="features", got=features.dtype, wanted="float16, 32, 64 or bfloat16"
        )
