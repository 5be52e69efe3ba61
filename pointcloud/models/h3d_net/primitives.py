"""H3DNet's geometric primitives: every seed predicts the centre of a face, or of an edge, of the box that it lies on.

Zhang et al. (H3DNet), ECCV 2020, section 3.2. A seed says whether it lies on such a face or edge, votes for the centre
as VoteNet's seeds vote for the centre of the object, and the votes around its own vote correct it. There are as many
primitives as seeds and in their order. (In mmdetection3d's training they are in the order of the farthest votes, while
what they are compared with stays in that of the seeds; the authors' code has one order, and so has this.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointcloud.models.layers.set_abstraction import SetAbstraction, SetAbstractionSettings, SharedLayer
from pointcloud.models.layers.votes import Voting

FAR_M = 100.0
"""Primitives of seeds that say that they lie on none are moved so far away on every axis: no box finds them there."""


class Primitives(NamedTuple):
    """What the seeds predict of one kind of primitive.

    Args:
        exists: logits of none, and of one.
        votes: metres.
        centers: of the primitives, metres.
        sizes: lengths of the face's edges, metres: two of a horizontal face, the height of an upright one.
        class_logits: of the object.
        features: of the votes around each vote.
    """

    exists: Float[Tensor, "b s 2"]
    votes: Float[Tensor, "b s 3"]
    centers: Float[Tensor, "b s 3"]
    sizes: Float[Tensor, "b s d"]
    class_logits: Float[Tensor, "b s classes"]
    features: Float[Tensor, "b s w"]

    def reachable(self) -> Float[Tensor, "b s 3"]:
        """The centers; far away where there is likely none."""
        absent = self.exists[..., 1] <= self.exists[..., 0]
        return self.centers + FAR_M * absent[..., None].to(self.centers.dtype)


class PrimitiveHead(nn.Module):
    """One kind of primitive.

    Args:
        width: of the seeds' features.
        sizes: how many lengths a primitive has.
        classes: without a background.
        clusters: of the votes; every vote is the middle of one.
    """

    def __init__(self, width: int, sizes: int, classes: int, clusters: SetAbstractionSettings) -> None:
        super().__init__()
        out = clusters.widths[-1]
        self.parts = (3, sizes, classes)
        self.exists = nn.Sequential(SharedLayer(width, width // 2), nn.Linear(width // 2, 2))
        self.voting = Voting(width)
        self.clusters = SetAbstraction(width, clusters)
        self.hidden = nn.Sequential(SharedLayer(out, out), SharedLayer(out, out))
        self.says = nn.Linear(out, sum(self.parts))

    def forward(self, xyz: Float[Tensor, "b s 3"], features: Float[Tensor, "b s c"]) -> Primitives:
        """The primitives of seeds at `xyz`, metres."""
        exists = self.exists(features).float()  # (B, S, 2)
        votes, voted = self.voting(xyz, features)  # (B, S, 3), (B, S, C)
        every = torch.arange(xyz.shape[1], device=xyz.device).expand(xyz.shape[:2])
        near = self.clusters(votes, voted, picks=every).features  # (B, S, W)
        offset, sizes, class_logits = self.says(self.hidden(near)).float().split(self.parts, dim=-1)
        return Primitives(exists, votes, votes + offset, sizes, class_logits, near)
