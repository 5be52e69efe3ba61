"""What an encoder of tokens must have so that one can see where it looks."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor, nn

from pointcloud.models.layers.attention import EncoderLayer
from pointcloud.models.layers.set_abstraction import TokenSet
from vol3d.errors import UsageError
from vol3d.scans.results.attention import AttentionMap


class LastLayer(NamedTuple):
    """The last layer of an encoder, an `EncoderLayer`, with what it is given."""

    tokens: TokenSet
    layer: nn.Module
    allowed: Bool[Tensor, "b n n"] | None = None


@torch.no_grad()
def attention_from(last: LastLayer, place: Tensor) -> AttentionMap:
    """From the token nearest to the place, for one cloud; a token that is there twice counts once, with the sum."""
    xyz = last.tokens.xyz[0]
    start = int((xyz - place.to(xyz)).square().sum(dim=1).argmin())
    layer = cast(EncoderLayer, last.layer)
    weights = layer.looks(last.tokens.features, start, last.allowed)[0].float()

    _, first, inverse = np.unique(last.tokens.picks[0].cpu().numpy(), return_index=True, return_inverse=True)
    summed = np.bincount(inverse, weights.cpu().double().numpy(), minlength=len(first)).astype(np.float32)
    return AttentionMap(xyz.double().cpu().numpy()[first], summed, int(inverse[start]), layer.attention.heads)


def no_attention(model: nn.Module, why: str) -> UsageError:
    """The error for a model that cannot be looked at."""
    do = "Take a 3DETR, or a VoteNet with encoder=transformer."
    return UsageError(f"no attention can be shown: {why}", where="--model", got=type(model).__name__, do=do)
