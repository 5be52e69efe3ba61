"""3DETR and 3DETR-m: a transformer that turns a point cloud into a set of boxes.

Misra et al., "An End-to-End Transformer Model for 3D Object Detection", ICCV 2021; names follow its figure 2.

Where the released code differs from the paper, options say so, off by default and on for released weights:
`skip_near_origin`, radii of the masks that are squares (`RELEASED_RADII_M`), and two in `SetLossSettings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.layers.attention import Decoder, EncoderLayer
from pointcloud.models.layers.clouds import batch_clouds
from pointcloud.models.layers.looks import LastLayer, attention_from, no_attention
from pointcloud.models.layers.pointnet2 import PointNet2, PointNet2Settings
from pointcloud.models.layers.position import FourierEmbedding, SineEmbedding
from pointcloud.models.layers.set_abstraction import SetAbstraction, SetAbstractionSettings, SharedLayer, TokenSet
from pointcloud.models.three_detr.heads import BoxHeads, HeadOutputs, decode_queries, expected_direction
from pointcloud.models.three_detr.loss import SetLossSettings, set_loss
from pointcloud.structures.bounds import Bounds
from pointcloud.structures.box_code import box_columns, encode_boxes
from pointcloud.structures.detector import (
    AttendingDetector,
    RoomDetector,
    RoomDetectorSettings,
    SetDetector,
    SplitDetector,
)
from pointcloud.structures.features import width
from pointcloud.structures.predicted_set import PredictedSet, softmax_log_odds
from pointcloud.structures.proposals import Proposals, of_each_scan
from pointcloud.structures.targets import BoxTargets
from vol3d.scans.results.attention import AttentionMap

RELEASED_RADII_M = (0.16, 0.64, 1.44)
"""What 3DETR-m's released weights were trained with: the squares of the radii, compared with distances as they are."""


class ThreeDetrSizes(RoomDetectorSettings):
    """What 3DETR and 3DETR-m share; the defaults are the paper's for ScanNet (SUN RGB-D: 128 queries, 12 bins)."""

    aggregation: SetAbstractionSettings = SetAbstractionSettings()
    width: int = Field(256, ge=2, description="length of a token")
    heads: int = Field(4, ge=1, description="of every attention")
    encoder_ffn: int = Field(128, ge=1)
    encoder_dropout: float = Field(0.1, ge=0, lt=1, description="3DETR-m on ScanNet: 0.3")
    queries: int = Field(256, ge=1, description="boxes that can be found in one scan")
    query_start: Literal["zeros", "tokens"] = Field(
        "zeros", description="zeros: as in the paper; tokens: the query's token, which helps short trainings"
    )
    position: Literal["fourier", "sine"] = "fourier"
    bounds_percent: float = Field(
        0,
        ge=0,
        lt=50,
        description="sizes and places are shares of the scan, which begins and ends where so many per cent of its "
        "points are beyond; 0: at the outermost points, as in the paper, so that one stray point changes every box",
    )
    decoder_layers: int = Field(8, ge=1)
    decoder_ffn: int = Field(256, ge=1)
    decoder_dropout: float = Field(0.1, ge=0, lt=1)
    head_dropout: float = Field(0.3, ge=0, lt=1)
    skip_near_origin: bool = Field(False, description="as the released code: no token within 3 cm of the origin")
    loss: SetLossSettings = SetLossSettings()

    @property
    def tokens(self) -> int:
        """Tokens that the decoder sees."""
        return self.aggregation.points

    @model_validator(mode="after")
    def _check(self) -> ThreeDetrSizes:
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width must be even and a multiple of heads, got {self.width} and {self.heads}")
        if self.aggregation.widths[-1] != self.width:
            raise ValueError(f"aggregation.widths must end with width {self.width}, got {self.aggregation.widths}")
        if self.queries > self.tokens:
            raise ValueError(f"queries are picked from {self.tokens} tokens, got {self.queries}")
        return self


class ThreeDetrSettings(ThreeDetrSizes):
    """3DETR. `encoder: pointnet2` is the other row of table 2: VoteNet's backbone for aggregation and encoder."""

    name: Literal["3detr"] = "3detr"
    encoder: Literal["transformer", "pointnet2"] = "transformer"
    encoder_layers: int = Field(3, ge=0)
    pointnet2: PointNet2Settings = PointNet2Settings()

    @property
    def tokens(self) -> int:
        return self.pointnet2.points if self.encoder == "pointnet2" else self.aggregation.points

    @model_validator(mode="after")
    def _check_backbone(self) -> ThreeDetrSettings:
        if self.encoder == "pointnet2" and self.pointnet2.width != self.width:
            raise ValueError(f"pointnet2.up_widths must end with width {self.width}, got {self.pointnet2.up_widths}")
        return self

    def build(self, class_names: tuple[str, ...]) -> ThreeDetr:
        """The network with fresh weights."""
        channels = width(self.features)
        if self.encoder == "pointnet2":
            backbone = PointNet2(channels, self.pointnet2, skip_near_origin=self.skip_near_origin)
            return ThreeDetr(self, class_names, backbone, nn.Identity(), projections=3)
        aggregate = SetAbstraction(channels, self.aggregation, skip_near_origin=self.skip_near_origin)
        return ThreeDetr(self, class_names, aggregate, Encoder(self), projections=3)


class ThreeDetrMaskedSettings(ThreeDetrSizes):
    """3DETR-m (section 3.3 of the paper): tokens attend to near tokens only, and half of them go after one layer."""

    name: Literal["3detr-m"] = "3detr-m"
    mask_radii_m: tuple[float, ...] = Field((0.4, 0.8, 1.2), min_length=1, description="how far each layer looks")
    interim: SetAbstractionSettings = SetAbstractionSettings(
        points=1024, radius_m=0.4, neighbours=32, widths=(256, 256, 256)
    )

    @property
    def tokens(self) -> int:
        return self.interim.points

    @model_validator(mode="after")
    def _check_masks(self) -> ThreeDetrMaskedSettings:
        if min(self.mask_radii_m) <= 0:
            raise ValueError(f"mask_radii_m must be positive, got {self.mask_radii_m}")
        if self.interim.points > self.aggregation.points or self.interim.widths[-1] != self.width:
            got = f"{self.interim.points} points and widths {self.interim.widths}"
            raise ValueError(f"interim must keep some of the tokens and end with width {self.width}, got {got}")
        return self

    def build(self, class_names: tuple[str, ...]) -> ThreeDetr:
        """The network with fresh weights."""
        aggregate = SetAbstraction(width(self.features), self.aggregation, skip_near_origin=self.skip_near_origin)
        return ThreeDetr(self, class_names, aggregate, MaskedEncoder(self), projections=2)


class Encoder(nn.Module):
    """Self-attention of all tokens; without positions, which are in the tokens' features already."""

    def __init__(self, settings: ThreeDetrSettings) -> None:
        super().__init__()
        sizes = (settings.width, settings.heads, settings.encoder_ffn, settings.encoder_dropout)
        self.layers = nn.ModuleList(EncoderLayer(*sizes) for _ in range(settings.encoder_layers))

    def forward(self, tokens: TokenSet) -> TokenSet:
        return tokens._replace(features=self.refine(tokens.features))

    def refine(self, features: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        """Features of the tokens after all layers."""
        return self._through(features, len(self.layers))

    def last(self, tokens: TokenSet) -> LastLayer | None:
        """The last layer and its input; None of an encoder without layers."""
        *_, layer = (None, *self.layers)
        if layer is None:
            return None
        return LastLayer(tokens._replace(features=self._through(tokens.features, len(self.layers) - 1)), layer)

    def _through(self, features: Tensor, layers: int) -> Tensor:
        for layer in self.layers[:layers]:
            features = layer(features)
        return features


class MaskedEncoder(nn.Module):
    """Self-attention of tokens that are near each other; after the first layer only some tokens go on."""

    def __init__(self, settings: ThreeDetrMaskedSettings) -> None:
        super().__init__()
        sizes = (settings.width, settings.heads, settings.encoder_ffn, settings.encoder_dropout)
        self.radii_m = settings.mask_radii_m
        self.layers = nn.ModuleList(EncoderLayer(*sizes) for _ in self.radii_m)
        self.interim = SetAbstraction(settings.width, settings.interim)

    def forward(self, tokens: TokenSet) -> TokenSet:
        tokens, layer, allowed = self.last(tokens)
        tokens = tokens._replace(features=layer(tokens.features, allowed))  # (B, 1024, W)
        return tokens if len(self.layers) > 1 else self._downsample(tokens)

    def last(self, tokens: TokenSet) -> LastLayer:
        """The last layer and its input."""
        *before, (last, radius_m) = zip(self.layers, self.radii_m, strict=True)
        for number, (layer, radius) in enumerate(before):
            tokens = tokens._replace(features=layer(tokens.features, within(tokens.xyz, radius)))  # (B, 2048, W)
            tokens = self._downsample(tokens) if number == 0 else tokens  # (B, 1024, W)
        return LastLayer(tokens, last, within(tokens.xyz, radius_m))

    def _downsample(self, tokens: TokenSet) -> TokenSet:
        # Tokens are in the order of farthest-point sampling: its first picks among them are the first ones.
        first = torch.arange(self.interim.settings.points, device=tokens.xyz.device).expand(len(tokens.xyz), -1)
        kept = self.interim(tokens.xyz, tokens.features, picks=first)
        return kept._replace(picks=tokens.picks.gather(1, first))


def within(xyz: Float[Tensor, "b n 3"], radius_m: float) -> Bool[Tensor, "b n n"]:
    """Which tokens are nearer to each other than the radius."""
    return torch.cdist(xyz, xyz, compute_mode="donot_use_mm_for_euclid_dist") < radius_m


@dataclass(frozen=True, eq=False)
class ThreeDetrPrediction:
    """Outputs of the queries after each decoder layer, (layers, B, Q, ...); the last layer is the result.

    outputs: of the heads, raw.
    boxes: `x y z l w h yaw`, metres and radians.
    bounds: of each scan.
    query_xyz: (B, Q, 3) where the queries sit.
    points: (N, 3) of each scan.
    """

    outputs: HeadOutputs
    boxes: Float[Tensor, "layers b q 7"]
    bounds: Bounds
    query_xyz: Float[Tensor, "b q 3"]
    points: list[Tensor]

    @property
    def class_probability(self) -> Float[Tensor, "layers b q classes"]:
        """Of every class without the background."""
        return self.outputs.class_logits.softmax(dim=-1)[..., :-1]

    @property
    def objectness(self) -> Float[Tensor, "layers b q"]:
        """1 less the probability of the background."""
        return 1 - self.outputs.class_logits.softmax(dim=-1)[..., -1]

    def for_loss(self) -> dict[str, Tensor]:
        """What `pointcloud.models.three_detr.loss.set_loss` looks at."""
        return {
            "class_logits": self.outputs.class_logits,
            "class_probability": self.class_probability,
            "objectness": self.objectness,
            "center": self.bounds.normalize(self.boxes[..., :3]),
            "size": self.outputs.size.sigmoid(),
            "angle_logits": self.outputs.angle_logits,
            "angle_residual": self.outputs.angle_residual,
            "boxes": self.boxes,
        }


class ThreeDetr(
    SplitDetector[ThreeDetrPrediction],
    RoomDetector[ThreeDetrPrediction],
    SetDetector[ThreeDetrPrediction],
    AttendingDetector[ThreeDetrPrediction],
):
    """The network of figure 2.

    Args:
        settings: sizes.
        class_names: without a background.
        aggregate: points to tokens.
        encoder: tokens to tokens.
        projections: layers between encoder and decoder; the released 3DETR has three, 3DETR-m two.
    """

    settings: ThreeDetrSettings | ThreeDetrMaskedSettings
    class_layers: ClassVar[tuple[str, ...]] = ("heads.class_logits.4",)

    def __init__(
        self,
        settings: ThreeDetrSettings | ThreeDetrMaskedSettings,
        class_names: tuple[str, ...],
        aggregate: nn.Module,
        encoder: nn.Module,
        projections: int,
    ) -> None:
        super().__init__(settings, class_names)
        w = settings.width
        self.aggregate, self.encoder = aggregate, encoder
        self.project = nn.Sequential(*(SharedLayer(w, w) for _ in range(projections)))
        self.embed = FourierEmbedding(w) if settings.position == "fourier" else SineEmbedding(w)
        self.place_queries = nn.Sequential(nn.Linear(w, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU())
        self.decoder = Decoder(
            settings.decoder_layers, w, settings.heads, settings.decoder_ffn, settings.decoder_dropout
        )
        self.heads = BoxHeads(w, len(self.class_names), settings.angle_bins, settings.head_dropout)

    def encode(self, clouds: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, Bounds, list[Tensor]]]:
        """Tokens, encoded where the encoder samples points itself, and the bounds of each scan; no cloud is empty."""
        xyz, features, counts, bounds = batch_clouds(clouds, self.settings.features)  # (B, N, 3), (B, N, C)
        if self.settings.bounds_percent:
            bounds = Bounds.without_strays(clouds, self.settings.bounds_percent)
        tokens = self.aggregate(xyz, features, counts=counts)  # set aggregation: (B, 2048, 3), (B, 2048, W)
        if not isinstance(self.encoder, Encoder):
            tokens = self.encoder(tokens)  # (B, T, 3), (B, T, W): T is 1024 in 3DETR-m
        # Tokens are in the order of farthest-point sampling: the first Q are the farthest samples among them.
        context = tokens.xyz[:, : self.settings.queries], bounds, [cloud[:, :3] for cloud in clouds]
        return (tokens.xyz, tokens.features, *bounds), context

    def dense(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Raw outputs of the heads, (B, layers, Q, ...) each."""
        xyz, features, low, high = inputs
        if isinstance(self.encoder, Encoder):
            features = self.encoder.refine(features)  # (B, T, W): T is 2048
        memory = self.project(features)  # (B, T, W)
        place = self.embed(Bounds(low, high).normalize(xyz))  # (B, T, W)
        queries = self.place_queries(place[:, : self.settings.queries])  # (B, Q, W)
        start = memory[:, : self.settings.queries] if self.settings.query_start == "tokens" else None
        states = self.decoder(queries, memory, place, start)  # (layers, B, Q, W)
        return tuple(output.transpose(0, 1) for output in self.heads(states))

    @property
    def dense_layers(self) -> tuple[str, ...]:
        """Without an encoder that samples points."""
        own = ("project", "embed", "place_queries", "decoder", "heads")
        return ("encoder", *own) if isinstance(self.encoder, Encoder) else own

    @property
    def input_names(self) -> tuple[str, ...]:
        """Places and features of the tokens, and where the scan begins and ends."""
        return "xyz", "features", "low", "high"

    @property
    def output_names(self) -> tuple[str, ...]:
        """Of the heads."""
        return HeadOutputs._fields

    def prediction(
        self, outputs: Sequence[Tensor], context: tuple[Tensor, Bounds, list[Tensor]]
    ) -> ThreeDetrPrediction:
        """Boxes of the queries of all layers."""
        query_xyz, bounds, points = context
        found = HeadOutputs(*(output.transpose(0, 1) for output in outputs))  # (layers, B, Q, ...) each
        return ThreeDetrPrediction(found, decode_queries(found, query_xyz, bounds), bounds, query_xyz, points)

    def loss(self, prediction: ThreeDetrPrediction, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Named terms whose sum is minimised, of every decoder layer; errors as of `set_loss`."""
        return set_loss(prediction.for_loss(), prediction.bounds, targets, self.settings.loss)

    def proposals(self, prediction: ThreeDetrPrediction) -> list[Proposals]:
        """What the queries of the last layer propose for each scan; `pointcloud.inference.postprocess` decides."""
        found = (prediction.boxes, prediction.class_probability, prediction.objectness)
        return of_each_scan(*found, prediction.points)

    def attention(self, cloud: Tensor, place: Tensor) -> AttentionMap:
        """Of the encoder, masked or not."""
        if not isinstance(self.encoder, (Encoder, MaskedEncoder)):
            raise no_attention(self, "its encoder is PointNet++")
        xyz, features, counts, _ = batch_clouds([cloud], self.settings.features)
        last = self.encoder.last(self.aggregate(xyz, features, counts=counts))
        if last is None:
            raise no_attention(self, "its encoder has no layers")
        return attention_from(last, place)

    @property
    def box_code(self) -> tuple[str, ...]:
        """Without a direction where boxes do not turn."""
        return box_columns(turns=self.settings.angle_bins > 1, velocity=False)

    def as_set(self, prediction: ThreeDetrPrediction) -> PredictedSet:
        """Of all layers; instead of the likeliest bin's angle the direction that all bins expect."""
        outputs = prediction.outputs
        direction = expected_direction(outputs.angle_logits, outputs.angle_residual)
        code = torch.cat([encode_boxes(prediction.boxes)[..., :-2], direction], dim=-1)
        nothing = outputs.class_logits.log_softmax(-1)[..., -1]
        return PredictedSet(softmax_log_odds(outputs.class_logits), code, log_no_object=nothing)
