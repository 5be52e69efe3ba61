"""Between the host and the device that computes: numbers are sent without waiting, and fetched in one wait."""

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
    """Tensors on a device: those of the host go in one copy from pinned memory, which nobody waits for."""
    here = [tensor for tensor in tensors if tensor.device.type == "cpu"]
    if device.type == "cpu" or not here:
        return [tensor.to(device) for tensor in tensors]
    together = joined(here)
    together = together.pin_memory() if device.type == "cuda" else together
    arrived = iter(parted(together.to(device, non_blocking=True), here))
    return [next(arrived) if tensor.device.type == "cpu" else tensor.to(device) for tensor in tensors]


def fetch(*tensors: Tensor) -> list[Tensor]:
    """Detached copies on the host, all of one device: from a GPU in one transfer, and so in one wait.

    >>> fetch(torch.ones(2), torch.tensor([True]))
    [tensor([1., 1.]), tensor([True])]
    """
    held = [tensor.detach() for tensor in tensors]
    if not held or held[0].device.type == "cpu":
        return held
    there = joined(held)
    if there.device.type != "cuda":
        return parted(there.cpu(), held)
    here = torch.empty(there.shape, dtype=there.dtype, pin_memory=True).copy_(there, non_blocking=True)
    torch.cuda.current_stream(there.device).synchronize()
    return parted(here, held)


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """The bytes of tensors of any types, those of the longest numbers first, so that each begins where it may."""
    return torch.cat([tensors[place].contiguous().flatten().view(torch.uint8) for place in _longest_first(tensors)])


def parted(together: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """What was `joined`, as tensors of these types and shapes again."""
    order = _longest_first(like)
    pieces = together.split([like[place].numel() * like[place].element_size() for place in order])
    of_place = dict(zip(order, pieces, strict=True))
    return [of_place[place].view(tensor.dtype).view(tensor.shape) for place, tensor in enumerate(like)]


def _longest_first(tensors: Sequence[Tensor]) -> list[int]:
    return sorted(range(len(tensors)), key=lambda place: -tensors[place].element_size())
