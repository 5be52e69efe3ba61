"""The transformer layers of set detectors: normalised before each step, added after it.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017, in the pre-norm form; Misra et al., "An End-to-End
Transformer Model for 3D Object Detection" (3DETR), ICCV 2021, section 3.2. Tokens are (B, N, width).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

_FEW_TOKENS = 512  # with so many, bfloat16's arithmetic makes up for its kernel's overhead (measured with AMX)


class Attention(nn.Module):
    """Multi-head attention; its parameters are those of `torch.nn.MultiheadAttention`.

    Args:
        width: of the tokens, a multiple of `heads`.
        heads: attention maps that work side by side.
        dropout: of the attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Float[Tensor, "b q w"],
        key: Float[Tensor, "b n w"],
        value: Float[Tensor, "b n w"],
        allowed: Bool[Tensor, "b q n"] | None = None,
    ) -> Float[Tensor, "b q w"]:
        """What each query gathers; `allowed` says which tokens it may look at, one at least."""
        q, k, v = self._of_heads(query, key, value)
        mask = None if allowed is None else allowed[:, None]
        dropout = self.dropout if self.training else 0.0
        return self.out_proj(_attend(q, k, v, mask, dropout).transpose(1, 2).flatten(2))

    def weights(
        self, query: Float[Tensor, "b q w"], key: Float[Tensor, "b n w"], allowed: Bool[Tensor, "b q n"] | None = None
    ) -> Float[Tensor, "b heads q n"]:
        """How much each query takes of each token; rows sum to 1."""
        q, k = self._of_heads(query, key)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        scores = scores if allowed is None else scores.masked_fill(~allowed[:, None], -torch.inf)
        return scores.softmax(dim=-1)

    def _of_heads(self, *inputs: Float[Tensor, "b _n w"]) -> list[Float[Tensor, "b heads _n part"]]:
        """Query, key and value, or the first of these, as each head sees them."""
        maps = zip(inputs, self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3), strict=False)
        return [F.linear(x, weight, bias).unflatten(2, (self.heads, -1)).transpose(1, 2) for x, weight, bias in maps]


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Softmax of q k' / sqrt(width of a head), times v; (B, heads, N, width of a head) each.

    On a CPU torch's bfloat16 kernel needs three times as long as float32's, which is more exact too, to train on rows
    of a hundred tokens, and less on long rows and without the backward pass.
    """
    few = k.shape[2] < _FEW_TOKENS and torch.is_grad_enabled() and not dropout
    if few and q.device.type == "cpu" and q.dtype == torch.bfloat16:
        with torch.autocast("cpu", enabled=False):
            return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), mask, dropout).to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, mask, dropout)


class FeedForward(nn.Sequential):
    """Two linear maps with a ReLU between them."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width))
        for linear in (self[0], self[3]):
            nn.init.xavier_uniform_(linear.get_parameter("weight"))


class EncoderLayer(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)).

    Args:
        width, heads: of the attention.
        hidden: width inside the feed-forward step.
        dropout: of attention weights, of hidden values and of what is added.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "b n w"], allowed: Bool[Tensor, "b n n"] | None = None
    ) -> Float[Tensor, "b n w"]:
        y = self.norm1(x)
        x = x + self.dropout(self.attention(y, y, y, allowed))
        return x + self.dropout(self.feed_forward(self.norm2(x)))

    def looks(
        self, x: Float[Tensor, "b n w"], start: int, allowed: Bool[Tensor, "b n n"] | None = None
    ) -> Float[Tensor, "b n"]:
        """How much token `start` takes of each token, the mean over the heads."""
        y, rows = self.norm1(x), slice(start, start + 1)
        own = None if allowed is None else allowed[:, rows]
        return self.attention.weights(y[:, rows], y, own).mean(dim=1)[:, 0]


class DecoderLayer(nn.Module):
    """Queries look at each other, then at the memory; positions are added to queries and keys, never to values.

    Args: as `EncoderLayer`.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attention = Attention(width, heads, dropout)
        self.cross_attention = Attention(width, heads, dropout)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "b q w"],
        position: Float[Tensor, "b q w"],
        key: Float[Tensor, "b n w"],
        memory: Float[Tensor, "b n w"],
    ) -> Float[Tensor, "b q w"]:
        y = self.norm1(x)
        placed = y + position
        x = x + self.dropout(self.self_attention(placed, placed, y))
        x = x + self.dropout(self.cross_attention(self.norm2(x) + position, key, memory))
        return x + self.dropout(self.feed_forward(self.norm3(x)))


class Decoder(nn.Module):
    """A stack of decoder layers and one norm that every layer's result passes.

    Args:
        layers: how many.
        width, heads, hidden, dropout: as `EncoderLayer`.
    """

    def __init__(self, layers: int, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        position: Float[Tensor, "b q w"],
        memory: Float[Tensor, "b n w"],
        memory_position: Float[Tensor, "b n w"],
        start: Float[Tensor, "b q w"] | None = None,
    ) -> Float[Tensor, "layers b q w"]:
        """The queries after each layer; without a `start` they are nothing but their positions at first."""
        x = torch.zeros_like(position) if start is None else start
        key = memory + memory_position
        states = []
        for layer in self.layers:
            x = layer(x, position, key, memory)
            states.append(self.norm(x))
        return torch.stack(states)
