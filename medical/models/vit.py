"""What networks share that hold a vision transformer: learned positions, self-attention, and the block around it.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, section 3.1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class LearnedPositions(nn.Module):
    """A learned vector for each cell of a grid of two or three axes, 0 at first, resampled for other grids.

    Args:
        width: length of a vector.
        window: pixels or voxels of the window that the network is trained on, a multiple of `cell` along each axis.
        cell: pixels or voxels of a cell along each axis; a window may have further axes.
    """

    def __init__(self, width: int, window: tuple[int, ...], cell: tuple[int, ...]) -> None:
        super().__init__()
        self.cell = cell
        self.grid = self.grid_of(window)
        self.position = nn.Parameter(torch.zeros(1, width, *self.grid))

    def grid_of(self, window: tuple[int, ...]) -> tuple[int, ...]:
        """Cells of a window along each axis."""
        return tuple(edge // step for edge, step in zip(window, self.cell, strict=False))

    def resize(self, grid: tuple[int, ...]) -> None:
        """Learns from now on the positions of this many cells along each axis, beginning with the resampled ones."""
        self.position = nn.Parameter(self.at(grid).detach().clone())
        self.grid = grid

    def at(self, grid: tuple[int, ...]) -> Tensor:
        """The vectors (1, width, *grid) of a grid."""
        if grid == self.grid:
            return self.position
        return F.interpolate(
            self.position, grid, mode="bilinear" if len(grid) == 2 else "trilinear", align_corners=False
        )


class SelfAttention(nn.Module):
    """Multi-head self-attention; the rows of `qkv` are q, k, v, each heads x head width.

    Args:
        width: of a token, a multiple of `heads`.
        heads: attentions side by side.
        dropout: of the attention's weights.
        out_dropout: of the output; None: the same.
        bias: of the three linear maps to q, k and v.
    """

    def __init__(
        self, width: int, heads: int, dropout: float, out_dropout: float | None = None, bias: bool = False
    ) -> None:
        super().__init__()
        self.width, self.heads, self.dropout = width, heads, dropout
        self.out_dropout = dropout if out_dropout is None else out_dropout
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        """Tokens (B, N, width) -> mixed tokens."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, N, w/heads)
        dropout = self.dropout if self.training else 0.0
        if q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad:  # its gradient is slow in it
            q, k, v = q.float(), k.float(), v.float()
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        return F.dropout(self.out(mixed.transpose(1, 2).flatten(2)), self.out_dropout, self.training)


class TransformerBlock(nn.Module):
    """Equations 2 and 3: x + MSA(LN(x)), then x + MLP(LN(x)).

    Args:
        attention: MSA, which has the tokens' width.
        mlp: hidden width of the MLP.
        dropout: after both of its layers.
        eps: of the layer norms.
    """

    def __init__(self, attention: SelfAttention, mlp: int, dropout: float, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(attention.width, eps)
        self.attention = attention
        self.norm2 = nn.LayerNorm(attention.width, eps)
        self.mlp = nn.Sequential(
            nn.Linear(attention.width, mlp),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp, attention.width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        """Tokens (B, N, width) after the block."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))
