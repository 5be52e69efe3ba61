"""Messages between queries along a graph that each layer computes afresh.

Wang et al., "Dynamic Graph CNN for Learning on Point Clouds", TOG 2019, section 3; Wang and Solomon, "Object DGCNN",
NeurIPS 2021, where the queries of a detector are the points. Queries are (B, N, width).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from vol3d.ops import gather

Neighbours = Literal["nearest", "farthest"]


@torch.no_grad()
def neighbours_of(x: Float[Tensor, "b n w"], count: int, which: Neighbours) -> Int64[Tensor, "b n k"]:
    """The `count` features that lie nearest to each, or farthest from it; all of them where there are fewer.

    A feature is its own nearest neighbour, as in DGCNN.
    """
    x = x.float()
    # Distances from a matrix product would be off by more than near neighbours are apart.
    distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.topk(min(count, x.shape[1]), largest=which == "farthest").indices


class EdgeConvolution(nn.Module):
    """One layer on every pair of a query and its neighbour, then the maximum over the neighbours (DGCNN, equation 8).

    Args:
        width: of the queries.
        neighbours: edges of each query.
        which: nearest, as in the paper, or farthest, as the released weights were trained.
    """

    def __init__(self, width: int, neighbours: int, which: Neighbours) -> None:
        super().__init__()
        self.neighbours, self.which = neighbours, which
        self.linear = nn.Linear(2 * width, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        to = neighbours_of(x, self.neighbours, self.which)  # (B, N, K)
        # The layer is linear in the neighbour and in the query: mapped first and joined then, K times less work.
        neighbour, own = self.linear.weight.chunk(2, dim=1)
        edges = gather(F.linear(x, neighbour), to) + F.linear(x, own)[:, :, None]  # (B, N, K, W)
        edges = self.norm(edges.flatten(0, 2)).unflatten(0, to.shape)
        return edges.relu().amax(dim=2)


class DynamicGraph(nn.Module):
    """Two edge convolutions, each on the graph of its own input; their sum. Args: as `EdgeConvolution`."""

    def __init__(self, width: int, neighbours: int, which: Neighbours) -> None:
        super().__init__()
        self.first = EdgeConvolution(width, neighbours, which)
        self.second = EdgeConvolution(width, neighbours, which)

    def forward(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        x = self.first(x)
        return x + self.second(x)
