"""How networks compute when they predict: in which precision, and on a CPU with which convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vol3d.engine.device import has_bfloat16

Amp = Literal["off", "auto", "bf16", "fp16"]
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def low_precision(amp: Amp, device: torch.device) -> torch.dtype | None:
    """What convolutions and linear maps are computed in; None is float32.

    `auto` is bfloat16 where the device has instructions for it: a CPU with AVX-512 BF16, a GPU since Ampere. On other
    CPUs it is emulated, and slower than float32.
    """
    if amp != "auto":
        return _DTYPES.get(amp)
    return torch.bfloat16 if has_bfloat16(device) else None


@contextmanager
def computing(amp: Amp, device: torch.device) -> Iterator[None]:
    """Forward passes without gradients, in the precision that `amp` means on the device."""
    dtype = low_precision(amp, device)
    if dtype is not None:
        with torch.autocast(device.type, dtype=dtype):
            yield
    elif device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled:
        with _OneDnnConvolutions():
            yield
    else:
        yield


class _OneDnnConvolutions(TorchFunctionMode):
    """Calls oneDNN's 3D convolution by name, whatever network calls `conv3d`.

    torch takes it for float32 only where batch x channels x the first two edges exceed 20480; for one window most
    levels of a network have fewer, and go through `slow_conv3d`, which writes out all columns. Both sum in float32.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is F.conv3d and not kwargs and _fits(*args):
            image, weight, bias, stride, padding, dilation, groups = args
            return torch.mkldnn_convolution(image, weight, bias, padding, stride, dilation, groups)
        return func(*args, **(kwargs or {}))


def _fits(image: Tensor, weight: Tensor, *others: Any) -> bool:
    """Whether the call is as `nn.Conv3d` makes it, on a float32 batch; a padding may be a word."""
    floats = image.dtype == weight.dtype == torch.float32 and image.ndim == 5 and image.numel() > 0
    return floats and len(others) == 5 and all(isinstance(sizes, tuple) for sizes in others[1:4])
