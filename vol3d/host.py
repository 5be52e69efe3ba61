"""Numbers that never change, on the device that computes with them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def constant(values: tuple[Any, ...], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """These numbers (nested tuples: rows) on the device of `like`, in its type or another; not to be written to.

    To send numbers to a GPU waits until it has done all it was asked; so they are sent once and kept there.

    >>> constant((1, 2), torch.zeros(3))
    tensor([1., 2.])
    """
    dtype = like.dtype if dtype is None else dtype
    if like.device.type == "cpu":
        return torch.tensor(values, dtype=dtype)
    return _sent(values, dtype, like.device)


@lru_cache(maxsize=512)
def _sent(values: tuple[Any, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # what is made in inference mode could not be used for training later
        return torch.tensor(values, dtype=dtype, device=device)
