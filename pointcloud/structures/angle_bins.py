"""Angles as a bin of the turn and a residual: 3DETR section 3.3, VoteNet appendix A.1."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def decode_angle(logits: Float[Tensor, "*q bins"], residual: Float[Tensor, "*q bins"]) -> Float[Tensor, "*q"]:
    """Radians from the likeliest bin and its residual (in half bins); 0 where there is one bin only.

    >>> decode_angle(torch.tensor([[0.0, 1.0, 0.0, 0.0]]), torch.zeros(1, 4))  # the second of four bins: a quarter turn
    tensor([1.5708])
    """
    bins = logits.shape[-1]
    if bins == 1:
        return torch.zeros_like(logits[..., 0])
    best = logits.argmax(dim=-1, keepdim=True)
    rest = residual.gather(-1, best) * (math.pi / bins)
    return (best * (2 * math.pi / bins) + rest)[..., 0]


def encode_angle(angle: Float[Tensor, "*k"], bins: int) -> tuple[Int64[Tensor, "*k"], Float[Tensor, "*k"]]:
    """The bin whose middle is nearest, bin 0 lying around 0, and the residual in half bins: the inverse of decoding.

    >>> encode_angle(torch.tensor([math.pi / 2]), bins=4)
    (tensor([1]), tensor([0.]))
    """
    width = 2 * math.pi / bins
    turned = (angle + width / 2) % (2 * math.pi)
    index = (turned / width).long().clamp(max=bins - 1)
    return index, (turned - (index.to(angle.dtype) + 0.5) * width) / (width / 2)
