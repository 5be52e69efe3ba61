"""What a query predicts about its box, and how that is decoded to a box.

Misra et al. (3DETR), section 3.3: the centre is an offset from the query's place of half a metre at most along each
axis, the size a share of the scan's extent, the angle a bin of a turn and a residual. Angles inside the network turn
clockwise seen from above, as in the released weights; boxes that leave it turn counter-clockwise.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointcloud.models.layers.set_abstraction import SharedLayer
from pointcloud.structures.angle_bins import decode_angle
from pointcloud.structures.bounds import Bounds
from vol3d.geometry import wrap_yaw


class HeadOutputs(NamedTuple):
    """Raw outputs for queries (..., Q); logits of the classes end with the background."""

    class_logits: Float[Tensor, "*q c"]
    center: Float[Tensor, "*q 3"]
    size: Float[Tensor, "*q 3"]
    angle_logits: Float[Tensor, "*q bins"]
    angle_residual: Float[Tensor, "*q bins"]


class BoxHeads(nn.Module):
    """Five small MLPs over the queries' features, in float32 from the last layer on.

    Args:
        width: of the features.
        classes: without the background.
        angle_bins: of a full turn; 1 for boxes that do not turn.
        dropout: after each hidden layer.
    """

    def __init__(self, width: int, classes: int, angle_bins: int, dropout: float) -> None:
        super().__init__()
        self.class_logits = head(width, classes + 1, dropout)
        self.center = head(width, 3, dropout)
        self.size = head(width, 3, dropout)
        self.angle_logits = head(width, angle_bins, dropout)
        self.angle_residual = head(width, angle_bins, dropout)

    def forward(self, x: Float[Tensor, "*q w"]) -> HeadOutputs:
        return HeadOutputs(
            self.class_logits(x).float(),
            self.center(x).float(),
            self.size(x).float(),
            self.angle_logits(x).float(),
            self.angle_residual(x).float(),
        )


def head(width: int, outputs: int, dropout: float) -> nn.Sequential:
    """Two shared layers with dropout and a linear map."""
    hidden = [SharedLayer(width, width), nn.Dropout(dropout), SharedLayer(width, width), nn.Dropout(dropout)]
    return nn.Sequential(*hidden, nn.Linear(width, outputs))


def decode_queries(outputs: HeadOutputs, query_xyz: Float[Tensor, "b q 3"], bounds: Bounds) -> Float[Tensor, "*q 7"]:
    """Boxes `x y z l w h yaw` of the queries, metres and radians."""
    center = query_xyz + (outputs.center.sigmoid() - 0.5)
    size = outputs.size.sigmoid() * bounds.extent[:, None]
    yaw = 0.0 - decode_angle(outputs.angle_logits, outputs.angle_residual)  # -0.0 would show in files
    return torch.cat([center, size, wrap_yaw(yaw)[..., None]], dim=-1)


def expected_direction(logits: Float[Tensor, "*q bins"], residual: Float[Tensor, "*q bins"]) -> Float[Tensor, "*q 2"]:
    """Sine and cosine of the yaw, the mean over all bins by their probability: every bin gets a gradient."""
    bins = logits.shape[-1]
    if bins == 1:
        return logits.new_tensor([0.0, 1.0]).expand(*logits.shape[:-1], 2)  # does not turn
    middle = torch.arange(bins, device=logits.device) * (2 * math.pi / bins)
    yaw = -(middle + residual * (math.pi / bins))
    return (logits.softmax(dim=-1)[..., None] * torch.stack([yaw.sin(), yaw.cos()], dim=-1)).sum(dim=-2)
