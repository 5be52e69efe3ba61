"""H3DNet: proposals as VoteNet's, refined by the faces and edges that points vote for beside the centres.

Zhang, Sun, Yang, Huang, "H3DNet: 3D Object Detection Using Hybrid Geometric Primitives", ECCV 2020; in the order of
its figure 2. Four PointNet++ towers see the same cloud; their features joined vote for the centres of boxes (as in
VoteNet), of their horizontal and upright faces, and of their edges. Clusters of the first kind propose boxes; the
primitives of the others that lie around a box's faces and edges decide whether it is an object and correct it.

The class, the mean size and the bin of the angle of a box are those of its proposal; the refinement has its place, its
residuals and whether it is an object, in the authors' code and in mmdetection3d alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.h3d_net.loss import H3DNetLossSettings, h3d_net_losses
from pointcloud.models.h3d_net.primitives import PrimitiveHead, Primitives
from pointcloud.models.h3d_net.refinement import MatchingSettings, Refined, Refinement
from pointcloud.models.layers.clouds import batch_clouds
from pointcloud.models.layers.pointnet2 import PointNet2, PointNet2Settings, farthest_of_levels
from pointcloud.models.layers.proposal_head import ProposalHead, ProposalOutputs, decode_proposals, mean_sizes
from pointcloud.models.layers.set_abstraction import (
    SetAbstraction,
    SetAbstractionSettings,
    SharedLayer,
    TokenSet,
    sample_points,
)
from pointcloud.models.layers.votes import Voting
from pointcloud.structures.class_sizes import Size
from pointcloud.structures.detector import RoomDetector, RoomDetectorSettings
from pointcloud.structures.features import Feature, width
from pointcloud.structures.proposals import Proposals, of_each_scan
from pointcloud.structures.targets import BoxTargets, check_targets


class H3DNetSettings(RoomDetectorSettings):
    """H3DNet; the defaults are those for ScanNet (SUN RGB-D: 12 bins)."""

    name: Literal["h3dnet"] = "h3dnet"
    features: tuple[Feature, ...] = Field(("height",), description="what the network sees of a point besides its place")
    towers: int = Field(4, ge=1, description="backbones whose features are joined; with 1 the authors report less")
    pointnet2: PointNet2Settings = PointNet2Settings()
    aggregation: SetAbstractionSettings = Field(
        SetAbstractionSettings(points=256, radius_m=0.3, neighbours=16, widths=(128, 128, 128)),
        description="of votes to proposals; its points are how many boxes can be found in one scan. "
        "Votes for primitives are aggregated alike, around every one of them",
    )
    proposals_at: Literal["votes", "seeds"] = Field(
        "votes", description="farthest votes as in training, or votes of the farthest seeds as both codes test"
    )
    matching: MatchingSettings = MatchingSettings()
    sizes_m: dict[str, Size] = Field({}, description="mean l w h of classes; others: as published, or none")
    loss: H3DNetLossSettings = H3DNetLossSettings()

    @model_validator(mode="after")
    def _check(self) -> H3DNetSettings:
        if self.aggregation.points > self.pointnet2.points:
            raise ValueError(f"proposals are picked from {self.pointnet2.points} seeds, got {self.aggregation.points}")
        if any(edge <= 0 for size in self.sizes_m.values() for edge in size):
            raise ValueError(f"sizes_m must be positive, got {self.sizes_m}")
        return self

    def build(self, class_names: tuple[str, ...]) -> H3DNet:
        """The network with fresh weights."""
        return H3DNet(self, class_names)


class Towers(nn.Module):
    """Backbones that see the same cloud, with their features joined.

    Args:
        channels: features of a point besides its place.
        settings: of each backbone.
        count: how many.
    """

    def __init__(self, channels: int, settings: PointNet2Settings, count: int) -> None:
        super().__init__()
        self.settings, w = settings, settings.width
        self.towers = nn.ModuleList(PointNet2(channels, settings) for _ in range(count))
        self.join = nn.Sequential(SharedLayer(count * w, count * w // 2), SharedLayer(count * w // 2, w))

    def forward(
        self, xyz: Float[Tensor, "b n 3"], features: Float[Tensor, "b n c"] | None, counts: Sequence[int]
    ) -> TokenSet:
        """As `PointNet2`."""
        kept = farthest_of_levels(xyz, self.settings, counts)
        found = [tower(xyz, features, counts, kept) for tower in self.towers]
        return found[0]._replace(features=self.join(torch.cat([seeds.features for seeds in found], dim=-1)))


@dataclass(frozen=True, eq=False)
class H3DNetPrediction:
    """Boxes before and after the refinement, (2, B, Q, ...), and what they come from.

    outputs: of the proposals, raw.
    refined: of the refinement, raw.
    horizontal, upright, edges: the primitives of the seeds.
    boxes: `x y z l w h yaw`, metres and radians.
    places: (B, Q, 3) that the proposals gather around.
    seeds: (B, S, 3) that the encoder gave; `picks` are their rows in the clouds.
    votes: (B, S, 3) of the seeds, for centres.
    points: (N, 3) of each scan.
    """

    outputs: ProposalOutputs
    refined: Refined
    horizontal: Primitives
    upright: Primitives
    edges: Primitives
    boxes: Float[Tensor, "2 b q 7"]
    places: Float[Tensor, "b q 3"]
    seeds: Float[Tensor, "b s 3"]
    picks: Int64[Tensor, "b s"]
    votes: Float[Tensor, "b s 3"]
    points: list[Tensor]

    @property
    def class_probability(self) -> Float[Tensor, "2 b q classes"]:
        """Of every class, if there is an object: the proposals', before and after."""
        return self.outputs.class_logits.softmax(dim=-1).expand(2, -1, -1, -1)

    @property
    def objectness(self) -> Float[Tensor, "2 b q"]:
        """Probability of an object."""
        return torch.stack([self.outputs.objectness, self.refined.outputs.objectness]).softmax(dim=-1)[..., 1]


class H3DNet(RoomDetector[H3DNetPrediction]):
    """The network of figure 2.

    Args:
        settings: sizes.
        class_names: without a background.
    """

    settings: H3DNetSettings
    class_layers: ClassVar[tuple[str, ...]] = (
        "head.says",
        "refinement.head.says",
        "horizontal.says",
        "upright.says",
        "edges.says",
    )

    def __init__(self, settings: H3DNetSettings, class_names: tuple[str, ...]) -> None:
        super().__init__(settings, class_names)
        sizes = mean_sizes(self.class_names, settings.sizes_m, turned=settings.angle_bins > 1)
        self.register_buffer("mean_sizes", sizes)
        w, classes, group = settings.pointnet2.width, len(self.class_names), settings.aggregation
        out = group.widths[-1]
        self.encoder = Towers(width(settings.features), settings.pointnet2, settings.towers)
        self.voting = Voting(w)
        self.aggregate = SetAbstraction(w, group)
        self.head = ProposalHead(out, classes, settings.angle_bins)
        self.horizontal = PrimitiveHead(w, 2, classes, group)
        self.upright = PrimitiveHead(w, 1, classes, group)
        self.edges = PrimitiveHead(w, 0, classes, group)
        self.refinement = Refinement(out, out, classes, settings.angle_bins, settings.matching)

    def forward(self, clouds: list[Tensor]) -> H3DNetPrediction:
        """What is in the clouds (N_i, 3 + C): coordinates in metres with z up, then the settings' features.

        Raises:
            DataError: a cloud is empty, has other columns than the features, or values that are not finite.
        """
        xyz, features, counts, _ = batch_clouds(clouds, self.settings.features)  # (B, N, 3), (B, N, C)
        seeds = self.encoder(xyz, features, counts)  # (B, S, 3), (B, S, W)

        votes, voted = self.voting(seeds.xyz, seeds.features)  # (B, S, 3), (B, S, W)
        spread = votes if self.settings.proposals_at == "votes" else seeds.xyz
        picks = sample_points(spread.detach(), self.settings.aggregation.points)  # (B, Q)
        near = self.aggregate(votes, voted, picks=picks)  # (B, Q, 3), (B, Q, V)
        outputs = self.head(near.features)  # (B, Q, ...) each
        sizes = self.get_buffer("mean_sizes")
        proposed = decode_proposals(outputs, near.xyz, sizes)  # (B, Q, 7)

        horizontal, upright, edges = (
            head(seeds.xyz, seeds.features) for head in (self.horizontal, self.upright, self.edges)
        )  # of S primitives each

        refined = self.refinement(near.features, proposed, (horizontal, upright), (edges,))
        kept = refined.outputs._replace(angle_logits=outputs.angle_logits, size_logits=outputs.size_logits)
        boxes = torch.stack([proposed, decode_proposals(kept, near.xyz, sizes)])  # (2, B, Q, 7)
        points = [cloud[:, :3] for cloud in clouds]
        primitives = (horizontal, upright, edges)
        return H3DNetPrediction(outputs, refined, *primitives, boxes, near.xyz, seeds.xyz, seeds.picks, votes, points)

    def loss(self, prediction: H3DNetPrediction, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Weighted terms: `name` of the proposals, `name/refined` of the refinement, `name/horizontal` and so on.

        Raises:
            DataError: no boxes, a class that the model does not have, boxes that turn though the model's do not.
        """
        check_targets(targets, len(prediction.places), len(self.class_names), self.settings.angle_bins > 1)
        with torch.autocast(prediction.places.device.type, enabled=False):
            return h3d_net_losses(prediction, targets, self.get_buffer("mean_sizes"), self.settings.loss)

    def proposals(self, prediction: H3DNetPrediction) -> list[Proposals]:
        """What is proposed for each scan after the refinement; `pointcloud.inference.postprocess` decides."""
        found = (prediction.boxes, prediction.class_probability, prediction.objectness)
        return of_each_scan(*found, prediction.points)
