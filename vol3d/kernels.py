"""Which operations go through a Triton kernel, and on which GPU: one rule for all that have one beside a torch twin."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, wraps
from importlib.util import find_spec
from typing import Any, TypeVar

import torch
from torch import Tensor

Run = TypeVar("Run", bound=Callable[..., Any])


def on_its_device(run: Run) -> Run:
    """Launches the kernels of `run` on the GPU of its first argument, a tensor or a tuple that begins with one.

    Triton launches on the current GPU, whatever the arguments lie on: tensors on `cuda:1` would be out of reach.
    """

    @wraps(run)
    def guarded(first: Any, *others: Any, **named: Any) -> Any:
        tensor: Tensor = first if isinstance(first, Tensor) else first[0]
        with torch.cuda.device(tensor.device) if tensor.is_cuda and torch.cuda.is_available() else nullcontext():
            return run(first, *others, **named)

    return guarded  # type: ignore[return-value]


def takes_triton(tensor: Tensor) -> bool:
    """Whether an operation on this tensor is a kernel's: on CUDA, where Triton is installed.

    torch for CUDA brings Triton on Linux. Without it, as on Windows, the twin in plain torch computes the same.
    """
    return tensor.is_cuda and has_triton()


@cache
def has_triton() -> bool:
    """Whether Triton is installed; it is not imported."""
    return find_spec("triton") is not None
