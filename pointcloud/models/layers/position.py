"""What a place means to a transformer: waves of coordinates that lie in [0, 1] between the bounds of the scan.

Both embeddings are computed in float32 whatever the rest of the network does: at the frequencies here bfloat16 would
move a point by centimetres.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FourierEmbedding(nn.Module):
    """sin and cos of random projections (Tancik et al., NeurIPS 2020; 3DETR, section 3.2, "query embeddings").

    The projections are drawn once, N(0, 1), and saved with the weights; they are not trained.

    Args:
        width: of the embedding, even.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("projection", torch.randn(3, width // 2))

    def forward(self, xyz: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n w"]:
        """Embedding of normalised coordinates."""
        with torch.autocast(xyz.device.type, enabled=False):
            angle = (2 * math.pi * xyz.float()) @ self.get_buffer("projection")  # (B, N, width / 2)
            return torch.cat([angle.sin(), angle.cos()], dim=-1)


class SineEmbedding(nn.Module):
    """sin and cos of each coordinate at wavelengths from 1 to 10000 (Vaswani et al., section 3.5), axis after axis.

    Args:
        width: of the embedding, even; the axes share it in pairs of channels, the first ones take what is left over.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        pairs = [width // 2 // 3 + (axis < width // 2 % 3) for axis in range(3)]
        rates = [10000.0 ** -(torch.arange(count) / count) for count in pairs]
        table = torch.block_diag(*(2 * math.pi * rate[None] for rate in rates))
        self.register_buffer("rates", table, persistent=False)  # (3, width / 2)

    def forward(self, xyz: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n w"]:
        """Embedding of normalised coordinates; sin and cos take turns."""
        with torch.autocast(xyz.device.type, enabled=False):
            angle = xyz.float() @ self.get_buffer("rates")
            return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(2)
