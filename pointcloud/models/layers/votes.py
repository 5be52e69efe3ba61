"""Votes (Qi et al., "Deep Hough Voting for 3D Object Detection in Point Clouds", ICCV 2019): VoteNet's and H3DNet's."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointcloud.models.layers.set_abstraction import SharedLayer


class Voting(nn.Module):
    """Every seed votes for a place that it belongs to: an offset of its place and of its features (section 4.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.offsets = nn.Sequential(SharedLayer(width, width), SharedLayer(width, width), nn.Linear(width, 3 + width))

    def forward(
        self, xyz: Float[Tensor, "b s 3"], features: Float[Tensor, "b s w"]
    ) -> tuple[Float[Tensor, "b s 3"], Float[Tensor, "b s w"]]:
        """Places and features of the votes; the features have length 1."""
        moved, changed = self.offsets(features).split([3, features.shape[2]], dim=-1)
        return xyz + moved.float(), F.normalize(features + changed, dim=-1)
