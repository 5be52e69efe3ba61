"""H3DNet's second half: a proposed box gathers the primitives around its faces and edges, and they correct it.

Zhang et al. (H3DNet), ECCV 2020, sections 3.3 and 3.4. A box has 6 faces and 12 edges; the predicted primitives
around the centre of each are pooled, and all 18 together refine the proposal. In the paper a proposal also minimises
its distance to the primitives; neither the authors' code nor mmdetection3d does that step, which the network learns.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from pointcloud.models.h3d_net.primitives import Primitives
from pointcloud.models.layers.proposal_head import ProposalHead, ProposalOutputs
from pointcloud.models.layers.set_abstraction import SharedLayer, pool_around, shared_mlp
from vol3d.engine.settings import Settings

FACES = ((0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0))
EDGES = (
    *((1, 0, 1), (-1, 0, 1), (0, 1, 1), (0, -1, 1)),  # above
    *((1, 0, -1), (-1, 0, -1), (0, 1, -1), (0, -1, -1)),  # below
    *((1, 1, 0), (1, -1, 0), (-1, 1, 0), (-1, -1, 0)),  # upright
)
"""Directions from the centre of a box to the centres of its faces and edges, along l, w and h."""


def faces_and_edges(boxes: Float[Tensor, "*q 7"]) -> Float[Tensor, "*q 18 3"]:
    """Centres of the 6 faces and then the 12 edges of each box, metres.

    >>> faces_and_edges(torch.tensor([1.0, 2, 3, 4, 2, 1, 0]))[[0, 4, 17]]
    tensor([[ 1.0000,  2.0000,  3.5000],
            [ 3.0000,  2.0000,  3.0000],
            [-1.0000,  1.0000,  3.0000]])
    """
    along = boxes[..., None, 3:6] / 2 * boxes.new_tensor((*FACES, *EDGES))  # (..., 18, 3)
    cos, sin = boxes[..., 6, None].cos(), boxes[..., 6, None].sin()
    length, width, height = along.unbind(dim=-1)
    turned = torch.stack([length * cos - width * sin, length * sin + width * cos, height], dim=-1)
    return boxes[..., None, :3] + turned


class MatchingSettings(Settings):
    """How the primitives around a face or an edge of a proposed box are gathered."""

    radius_m: float = Field(0.5, gt=0, description="how far from the centre of a face or edge primitives are seen")
    neighbours: int = Field(32, ge=1, description="primitives that are seen at most")
    widths: tuple[int, ...] = Field((128, 64, 32), min_length=1, description="of the layers that each of them passes")


class Refined(NamedTuple):
    """What the primitives say about the proposals.

    Args:
        outputs: of the refined proposals, raw.
        matches: logits of whether a primitive is predicted where a face or an edge of the box is.
        same_class: logits of whether that primitive is also of the object's class.
    """

    outputs: ProposalOutputs
    matches: Float[Tensor, "b q 18 2"]
    same_class: Float[Tensor, "b q 18 2"]


class Refinement(nn.Module):
    """Matching and refinement.

    Args:
        width: of the proposals' features.
        primitives: of the primitives' features.
        classes, angle_bins: of the head.
        settings: sizes.
    """

    def __init__(self, width: int, primitives: int, classes: int, angle_bins: int, settings: MatchingSettings) -> None:
        super().__init__()
        self.settings, w = settings, settings.widths[-1]
        self.around_faces, self.around_edges = (shared_mlp((3 + primitives, *settings.widths)) for _ in range(2))
        self.matches, self.same_class = (nn.Sequential(SharedLayer(w, w), nn.Linear(w, 2)) for _ in range(2))
        self.faces, self.edges = (nn.Sequential(SharedLayer(w, w), SharedLayer(w, w)) for _ in range(2))
        self.join = SharedLayer(w * (len(FACES) + len(EDGES)), width)
        self.head = ProposalHead(width, classes, angle_bins)

    def forward(
        self,
        features: Float[Tensor, "b q w"],
        boxes: Float[Tensor, "b q 7"],
        faces: tuple[Primitives, ...],
        edges: tuple[Primitives, ...],
    ) -> Refined:
        """Refined proposals.

        Args:
            features: of the proposals.
            boxes: of the proposals; their sizes and turns are taken as they are, so that only places learn from here,
                as in the authors' code (in mmdetection3d's sizes learn, too).
            faces, edges: all primitives that may lie on a face, and on an edge.
        """
        fixed = torch.cat([boxes[..., :3], boxes[..., 3:].detach()], dim=-1)
        places = faces_and_edges(fixed)  # (B, Q, 18, 3)
        on_faces = self._gather(self.around_faces, places[:, :, : len(FACES)], faces)  # (B, Q, 6, M)
        on_edges = self._gather(self.around_edges, places[:, :, len(FACES) :], edges)  # (B, Q, 12, M)
        both = torch.cat([on_faces, on_edges], dim=2)  # (B, Q, 18, M)
        matches, same_class = self.matches(both).float(), self.same_class(both).float()  # (B, Q, 18, 2)

        evidence = torch.cat([self.faces(on_faces), self.edges(on_edges)], dim=2).flatten(2)  # (B, Q, 18 M)
        outputs = self.head(features + self.join(evidence))
        return Refined(outputs, matches, same_class)

    def _gather(self, mlp: nn.Module, places: Tensor, primitives: tuple[Primitives, ...]) -> Tensor:
        """Features (B, Q, k, M) of the primitives around places (B, Q, k, 3)."""
        xyz = torch.cat([kind.reachable() for kind in primitives], dim=1)
        features = torch.cat([kind.features for kind in primitives], dim=1)
        size = self.settings
        pooled = pool_around(mlp, xyz, features, places.flatten(1, 2), size.radius_m, size.neighbours)
        return pooled.unflatten(1, places.shape[1:3])
