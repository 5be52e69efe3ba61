"""Which operations go through a Triton kernel: one rule for all that have one beside their plain torch twin."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from torch import Tensor


def takes_triton(tensor: Tensor) -> bool:
    """Whether an operation on this tensor is a kernel's: on CUDA, where Triton is installed.

    torch for CUDA brings Triton on Linux. Without it, as on Windows, the twin in plain torch computes the same.
    """
    return tensor.is_cuda and has_triton()


@cache
def has_triton() -> bool:
    """Whether Triton is installed; it is not imported."""
    return find_spec("triton") is not None
