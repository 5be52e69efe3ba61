"""What the host knows, on the device that computes with it: sent without waiting until the device has done the rest."""

from __future__ import annotations

from collections.abc import Sequence
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


def send(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """CPU tensors on a device: those of a type go together in one copy from pinned memory, which nobody waits for."""
    if device.type == "cpu":
        return list(tensors)
    sent: dict[int, Tensor] = {}
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        numbers = [number for number, tensor in enumerate(tensors) if tensor.dtype == dtype]
        joined = torch.cat([tensors[number].flatten() for number in numbers])
        joined = joined.pin_memory() if device.type == "cuda" else joined
        parts = joined.to(device, non_blocking=True).split([tensors[number].numel() for number in numbers])
        sent |= {number: part.view(tensors[number].shape) for number, part in zip(numbers, parts, strict=True)}
    return [sent[number] for number in range(len(tensors))]
