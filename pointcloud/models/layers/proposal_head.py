"""What VoteNet predicts for a proposal, and how that is decoded to a box: an offset, a bin of a turn, a mean size.

Qi et al. (VoteNet), ICCV 2019, section 4.2. Each class has a mean size; the head chooses one and predicts by
which share of it every edge differs. Angles inside the network turn clockwise seen from above, as in 3DETR's heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointcloud.models.layers.set_abstraction import SharedLayer
from pointcloud.structures.angle_bins import decode_angle
from pointcloud.structures.class_sizes import Size, known_size
from vol3d.geometry import wrap_yaw

SMALLEST_EDGE_M = 0.01
"""Boxes are never smaller: nothing else keeps a predicted edge positive."""


class ProposalOutputs(NamedTuple):
    """Raw outputs for proposals (..., Q).

    Args:
        objectness: logits of no object and of an object.
        center: offset from the proposal's place, metres.
        angle_logits, angle_residual: bins of a turn, residual in half bins.
        size_logits, size_residual: mean sizes, residual as shares of each.
        class_logits: without a background.
    """

    objectness: Float[Tensor, "*q 2"]
    center: Float[Tensor, "*q 3"]
    angle_logits: Float[Tensor, "*q bins"]
    angle_residual: Float[Tensor, "*q bins"]
    size_logits: Float[Tensor, "*q sizes"]
    size_residual: Float[Tensor, "*q sizes 3"]
    class_logits: Float[Tensor, "*q classes"]


class ProposalHead(nn.Module):
    """Two shared layers and one linear map for all outputs, in float32 from there on.

    Args:
        width: of the proposals' features.
        classes: without a background; each has a mean size.
        angle_bins: of a full turn; 1 for boxes that do not turn.
    """

    def __init__(self, width: int, classes: int, angle_bins: int) -> None:
        super().__init__()
        self.parts = (2, 3, angle_bins, angle_bins, classes, 3 * classes, classes)
        self.hidden = nn.Sequential(SharedLayer(width, width), SharedLayer(width, width))
        self.says = nn.Linear(width, sum(self.parts))

    def forward(self, x: Float[Tensor, "*q w"]) -> ProposalOutputs:
        parts = self.says(self.hidden(x)).float().split(self.parts, dim=-1)
        objectness, center, angle_logits, angle_residual, size_logits, sizes, class_logits = parts
        residual = sizes.unflatten(-1, (-1, 3))
        return ProposalOutputs(objectness, center, angle_logits, angle_residual, size_logits, residual, class_logits)


def decode_proposals(
    outputs: ProposalOutputs, places: Float[Tensor, "b q 3"], mean_sizes: Float[Tensor, "classes 3"]
) -> Float[Tensor, "*q 7"]:
    """Boxes `x y z l w h yaw` of the proposals at these places, metres and radians."""
    best = outputs.size_logits.argmax(dim=-1)
    share = outputs.size_residual.take_along_dim(best[..., None, None], dim=-2)[..., 0, :]
    size = (mean_sizes[best] * (1 + share)).clamp(min=SMALLEST_EDGE_M)
    yaw = -decode_angle(outputs.angle_logits, outputs.angle_residual)
    return torch.cat([places + outputs.center, size, wrap_yaw(yaw)[..., None]], dim=-1)


def mean_sizes(class_names: Sequence[str], given: Mapping[str, Size], turned: bool) -> Float[Tensor, "classes 3"]:
    """Mean l w h of every class in metres: the given one, else a published one, else a cube of 1 m.

    With the cube the residual is the size itself, less 1: sizes are predicted directly.

    Args:
        turned: boxes turn; the published sizes of axis-aligned boxes are others.
    """
    sizes = [given.get(name) or known_size(name, turned) or (1.0, 1.0, 1.0) for name in class_names]
    return torch.tensor(sizes, dtype=torch.float32)
