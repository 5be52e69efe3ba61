"""VoteNet, and BoxNet, which is VoteNet without votes: proposals where votes, or seeds, gather.

Qi et al., "Deep Hough Voting for 3D Object Detection in Point Clouds", ICCV 2019; names follow its figure 2. They are
the baselines of 3DETR (Misra et al., ICCV 2021), and its encoder and decoder fit in:

    table  row  encoder      decoder      loss    model    settings
    1           pointnet2    aggregation  box     boxnet
    1           pointnet2    aggregation  vote    votenet
    2           pointnet2    transformer  set     3detr    encoder=pointnet2
    3      1    transformer  transformer  set     3detr
    3      2    transformer  aggregation  box     boxnet   encoder=transformer
    3      3    transformer  aggregation  vote    votenet  encoder=transformer
    3      4    transformer  transformer  box     boxnet   encoder=transformer decoder=transformer
    3      5    transformer  transformer  vote    votenet  encoder=transformer decoder=transformer

3DETR sees no heights (`features=[]`). Recipes: `configs/3detr_*_scannet.yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.layers.clouds import batch_clouds
from pointcloud.models.layers.looks import attention_from, no_attention
from pointcloud.models.layers.pointnet2 import PointNet2, PointNet2Settings
from pointcloud.models.layers.proposal_head import ProposalHead, ProposalOutputs, decode_proposals, mean_sizes
from pointcloud.models.layers.proposal_loss import (
    VoteLossSettings,
    assign_by_distance,
    assign_by_membership,
    proposal_losses,
    vote_loss,
)
from pointcloud.models.layers.set_abstraction import SetAbstraction, SetAbstractionSettings, sample_points
from pointcloud.models.layers.votes import Voting
from pointcloud.models.vote_net.transformer_parts import (
    TransformerDecoder,
    TransformerEncoder,
    TransformerPartsSettings,
)
from pointcloud.structures.bounds import Bounds
from pointcloud.structures.class_sizes import Size
from pointcloud.structures.detector import AttendingDetector, RoomDetector, RoomDetectorSettings
from pointcloud.structures.features import Feature, width
from pointcloud.structures.proposals import Proposals, of_each_scan
from pointcloud.structures.targets import BoxTargets, check_targets
from vol3d.scans.results.attention import AttentionMap


class SeedDetectorSettings(RoomDetectorSettings):
    """What VoteNet and BoxNet share; the defaults are VoteNet's for ScanNet (SUN RGB-D: 12 bins)."""

    features: tuple[Feature, ...] = Field(("height",), description="what the network sees of a point besides its place")
    encoder: Literal["pointnet2", "transformer"] = "pointnet2"
    decoder: Literal["aggregation", "transformer"] = "aggregation"
    pointnet2: PointNet2Settings = PointNet2Settings()
    aggregation: SetAbstractionSettings = Field(
        SetAbstractionSettings(points=256, radius_m=0.3, neighbours=16, widths=(128, 128, 128)),
        description="of votes to proposals; its points are how many boxes can be found in one scan",
    )
    transformer: TransformerPartsSettings = Field(
        TransformerPartsSettings(), description="3DETR's parts, where encoder or decoder is one"
    )
    sizes_m: dict[str, Size] = Field({}, description="mean l w h of classes; others: as published, or none")
    loss: VoteLossSettings = VoteLossSettings()

    @property
    def seeds(self) -> int:
        """Points that the encoder gives."""
        return self.pointnet2.points if self.encoder == "pointnet2" else self.transformer.aggregation.points

    @property
    def width(self) -> int:
        """Channels of the encoder's features."""
        return self.pointnet2.width if self.encoder == "pointnet2" else self.transformer.width

    @model_validator(mode="after")
    def _check(self) -> SeedDetectorSettings:
        if self.aggregation.points > self.seeds:
            raise ValueError(f"proposals are picked from {self.seeds} seeds, got {self.aggregation.points}")
        if any(edge <= 0 for size in self.sizes_m.values() for edge in size):
            raise ValueError(f"sizes_m must be positive, got {self.sizes_m}")
        return self


class VoteNetSettings(SeedDetectorSettings):
    """VoteNet."""

    name: Literal["votenet"] = "votenet"
    proposals_at: Literal["votes", "seeds"] = Field(
        "votes", description="farthest votes as in the paper, or votes of the farthest seeds as mmdetection3d tests"
    )

    def build(self, class_names: tuple[str, ...]) -> VoteNet:
        """The network with fresh weights."""
        return VoteNet(self, class_names, Voting(self.width))


class BoxNetSettings(SeedDetectorSettings):
    """BoxNet: boxes straight from the seeds (VoteNet's paper, section 5.2)."""

    name: Literal["boxnet"] = "boxnet"
    proposals_at: ClassVar[Literal["seeds"]] = "seeds"

    def build(self, class_names: tuple[str, ...]) -> VoteNet:
        """The network with fresh weights."""
        return VoteNet(self, class_names, None)


class Aggregation(nn.Module):
    """Proposals at some of the votes, from the votes around each (section 4.2)."""

    def __init__(self, channels: int, settings: SetAbstractionSettings) -> None:
        super().__init__()
        self.abstraction = SetAbstraction(channels, settings)

    def forward(
        self, xyz: Tensor, features: Tensor, picks: Int64[Tensor, "b q"], bounds: Bounds
    ) -> tuple[Tensor, Tensor]:
        """As `TransformerDecoder`, with one layer."""
        gathered = self.abstraction(xyz, features, picks=picks)
        return gathered.xyz, gathered.features[None]


@dataclass(frozen=True, eq=False)
class VoteNetPrediction:
    """Outputs of the proposals, (layers, B, Q, ...); the last is the result. Only a transformer has more than one.

    outputs: of the head, raw.
    boxes: `x y z l w h yaw`, metres and radians.
    places: (B, Q, 3) votes, or seeds, that the proposals gather around.
    seeds: (B, S, 3) that the encoder gave.
    votes: (B, S, 3) of the seeds, or None.
    points: (N, 3) of each scan.
    """

    outputs: ProposalOutputs
    boxes: Float[Tensor, "layers b q 7"]
    places: Float[Tensor, "b q 3"]
    seeds: Float[Tensor, "b s 3"]
    votes: Float[Tensor, "b s 3"] | None
    points: list[Tensor]

    @property
    def class_probability(self) -> Float[Tensor, "layers b q classes"]:
        """Of every class, if there is an object."""
        return self.outputs.class_logits.softmax(dim=-1)

    @property
    def objectness(self) -> Float[Tensor, "layers b q"]:
        """Probability of an object."""
        return self.outputs.objectness.softmax(dim=-1)[..., 1]


class VoteNet(RoomDetector[VoteNetPrediction], AttendingDetector[VoteNetPrediction]):
    """The network of figure 2; without `voting` it is BoxNet.

    Args:
        settings: sizes.
        class_names: without a background.
        voting: seeds to votes; None: seeds are taken as they are.
    """

    settings: VoteNetSettings | BoxNetSettings
    class_layers: ClassVar[tuple[str, ...]] = ("head.says",)

    def __init__(
        self, settings: VoteNetSettings | BoxNetSettings, class_names: tuple[str, ...], voting: Voting | None
    ) -> None:
        super().__init__(settings, class_names)
        channels, proposals = width(settings.features), settings.aggregation
        sizes = mean_sizes(self.class_names, settings.sizes_m, turned=settings.angle_bins > 1)
        self.register_buffer("mean_sizes", sizes)
        self.encoder: nn.Module = PointNet2(channels, settings.pointnet2)
        self.decoder: nn.Module = Aggregation(settings.width, proposals)
        out = proposals.widths[-1]
        if settings.encoder == "transformer":
            self.encoder = TransformerEncoder(channels, settings.transformer)
        if settings.decoder == "transformer":
            self.decoder = TransformerDecoder(settings.width, settings.transformer)
            out = settings.transformer.width
        self.voting = voting
        self.head = ProposalHead(out, len(self.class_names), settings.angle_bins)

    def forward(self, clouds: list[Tensor]) -> VoteNetPrediction:
        """What is in the clouds (N_i, 3 + C): coordinates in metres with z up, then the settings' features.

        Raises:
            DataError: a cloud is empty, has other columns than the features, or values that are not finite.
        """
        xyz, features, counts, bounds = batch_clouds(clouds, self.settings.features)  # (B, N, 3), (B, N, C)
        seeds = self.encoder(xyz, features, counts)  # (B, S, 3), (B, S, W)
        votes, gathered = None, seeds.features
        if self.voting is not None:
            votes, gathered = self.voting(seeds.xyz, seeds.features)  # (B, S, 3), (B, S, W)
        around = seeds.xyz if votes is None else votes
        spread = around if self.settings.proposals_at == "votes" else seeds.xyz
        picks = sample_points(spread.detach(), self.settings.aggregation.points)  # (B, Q)
        places, states = self.decoder(around, gathered, picks, bounds)  # (B, Q, 3), (L, B, Q, V)
        outputs = self.head(states)  # (L, B, Q, ...) each
        boxes = decode_proposals(outputs, places, self.get_buffer("mean_sizes"))  # (L, B, Q, 7)
        return VoteNetPrediction(outputs, boxes, places, seeds.xyz, votes, [cloud[:, :3] for cloud in clouds])

    def loss(self, prediction: VoteNetPrediction, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Weighted terms: `name` of the last decoder layer, `name/layer0` and so on of those before it.

        Raises:
            DataError: no boxes, a class that the model does not have, boxes that turn though the model's do not.
        """
        settings, places = self.settings.loss, prediction.places
        check_targets(targets, len(places), len(self.class_names), self.settings.angle_bins > 1)
        with torch.autocast(places.device.type, enabled=False):
            if prediction.votes is None:
                terms: dict[str, Tensor] = {}
                assignment = assign_by_membership(places, targets)
            else:
                terms = {"vote": settings.vote * vote_loss(prediction.seeds, prediction.votes, targets)}
                assignment = assign_by_distance(places, targets, settings.near_m, settings.far_m)

            last = len(prediction.boxes) - 1
            for layer, boxes in enumerate(prediction.boxes):
                outputs = ProposalOutputs(*(values[layer] for values in prediction.outputs))
                sizes = self.get_buffer("mean_sizes")
                found = proposal_losses(outputs, boxes[..., :3], assignment, targets, sizes, settings)
                terms |= {name if layer == last else f"{name}/layer{layer}": term for name, term in found.items()}
        return terms

    def attention(self, cloud: Tensor, place: Tensor) -> AttentionMap:
        """Of the encoder, if it is a transformer."""
        if not isinstance(self.encoder, TransformerEncoder):
            raise no_attention(self, "its encoder is PointNet++")
        xyz, features, counts, _ = batch_clouds([cloud], self.settings.features)
        last = self.encoder.last(xyz, features, counts)
        if last is None:
            raise no_attention(self, "its encoder has no layers")
        return attention_from(last, place)

    def proposals(self, prediction: VoteNetPrediction) -> list[Proposals]:
        """What is proposed for each scan by the last layer; `pointcloud.inference.postprocess` decides."""
        found = (prediction.boxes, prediction.class_probability, prediction.objectness)
        return of_each_scan(*found, prediction.points)
