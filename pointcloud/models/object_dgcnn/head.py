"""Object DGCNN's transformer and head: queries that look at a bird's-eye-view map and talk along a dynamic graph.

Wang and Solomon, "Object DGCNN: 3D Object Detection using Dynamic Graphs", NeurIPS 2021, section 3. In: feature maps
(B, C, y, x) of several sizes that cover the same ground. Out: a set of boxes, without suppression of duplicates.

The released weights were trained with each query joined to the 16 farthest others: `neighbours="farthest"`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from pointcloud.models.layers.attention import FeedForward
from pointcloud.models.layers.bev_backbones import FpnSettings
from pointcloud.models.layers.deformable import DeformableAttention, Size, cell_centers, embed_places
from pointcloud.models.layers.graph import DynamicGraph, Neighbours
from pointcloud.models.object_dgcnn.loss import ObjectDgcnnLossSettings, object_dgcnn_loss
from pointcloud.structures.box_code import BOX, decode_boxes
from pointcloud.structures.detections import to_detections
from pointcloud.structures.predicted_set import PredictedSet
from pointcloud.structures.targets import BoxTargets, check_targets
from vol3d.engine.settings import Settings
from vol3d.errors import DataError
from vol3d.geometry import nms_rotated
from vol3d.scans.results.detections import Detections

Area = tuple[float, float, float, float]
PRIOR = 0.01
"""Probability of every class before the first step (Lin et al., ICCV 2017, section 3.3)."""


class ObjectDgcnnHeadSettings(Settings):
    """The defaults are the paper's for nuScenes; the maps decide how many levels there are and how long a query is."""

    heads: int = Field(8, ge=1, description="of every attention")
    points: int = Field(4, ge=1, description="places where each head looks at each map")
    encoder_layers: int = Field(2, ge=0)
    decoder_layers: int = Field(6, ge=1)
    ffn: int = Field(512, ge=1, description="width inside the feed-forward steps")
    dropout: float = Field(0.1, ge=0, lt=1)
    queries: int = Field(300, ge=2, description="boxes that can be found in one cloud")
    neighbour_count: int = Field(16, ge=1, description="edges of each query in the graph")
    neighbours: Neighbours = Field("nearest", description="farthest: as the released weights were trained")
    velocity: bool = Field(True, description="whether boxes carry a velocity")
    max_detections: int = Field(300, ge=1, description="best pairs of query and class, which become detections")
    center_z_m: tuple[float, float] = Field((-10.0, 10.0), description="detections beyond these heights are left out")
    nms_iou: float | None = Field(
        None, ge=0, le=1, description="null: none, as in the paper; else boxes of a class overlap by this much at most"
    )
    loss: ObjectDgcnnLossSettings = ObjectDgcnnLossSettings()


class EncoderLayer(nn.Module):
    """Cells of the maps attend to places around themselves in all maps; each step is added, then normalised."""

    def __init__(self, w: int, levels: int, settings: ObjectDgcnnHeadSettings) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(w), nn.LayerNorm(w)
        self.attention = DeformableAttention(w, settings.heads, levels, settings.points)
        self.feed_forward = FeedForward(w, settings.ffn, settings.dropout)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(
        self,
        cells: Float[Tensor, "b cells w"],
        position: Float[Tensor, "cells w"],
        sizes: Sequence[Size],
        centers: Float[Tensor, "1 cells 2"],
    ) -> Float[Tensor, "b cells w"]:
        cells = self.norm1(cells + self.dropout(self.attention(cells + position, cells, sizes, centers)))
        return self.norm2(cells + self.dropout(self.feed_forward(cells)))


class DecoderLayer(nn.Module):
    """Queries exchange messages along the graph, then attend to the maps around their reference points."""

    def __init__(self, w: int, levels: int, settings: ObjectDgcnnHeadSettings) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(w), nn.LayerNorm(w), nn.LayerNorm(w)
        self.graph = DynamicGraph(w, settings.neighbour_count, settings.neighbours)
        self.attention = DeformableAttention(w, settings.heads, levels, settings.points)
        self.feed_forward = FeedForward(w, settings.ffn, settings.dropout)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(
        self,
        x: Float[Tensor, "b q w"],
        position: Float[Tensor, "q w"],
        cells: Float[Tensor, "b cells w"],
        sizes: Sequence[Size],
        reference: Float[Tensor, "b q 2"],
    ) -> Float[Tensor, "b q w"]:
        x = self.norm1(x + self.dropout(self.graph(x + position)))
        x = self.norm2(x + self.dropout(self.attention(x + position, cells, sizes, reference)))
        return self.norm3(x + self.dropout(self.feed_forward(x)))


@dataclass(frozen=True, eq=False)
class QueryOutputs:
    """Outputs of the queries after each decoder layer; the last layer is the result.

    class_logits: of each class, before the sigmoid.
    code: of the boxes, see `pointcloud.structures.box_code`; 10 columns with velocities.
    """

    class_logits: Float[Tensor, "layers b q classes"]
    code: Float[Tensor, "layers b q d"]

    @property
    def boxes(self) -> Float[Tensor, "layers b q c"]:
        """`x y z l w h yaw [vx vy]`, metres, radians, metres a second."""
        return decode_boxes(self.code)

    def as_set(self) -> PredictedSet:
        """For distillation, of all layers."""
        velocity = self.code[..., BOX:] if self.code.shape[-1] > BOX else None
        return PredictedSet(self.class_logits, self.code[..., :BOX], velocity)


class ObjectDgcnnHead(nn.Module):
    """Feature maps to a set of boxes.

    Args:
        settings: sizes.
        class_names: without a background.
        maps: how many there are, and their channels.
        area_m: ground that they cover: lowest x and y, highest x and y.
    """

    def __init__(
        self, settings: ObjectDgcnnHeadSettings, class_names: tuple[str, ...], maps: FpnSettings, area_m: Area
    ) -> None:
        super().__init__()
        w, columns = maps.width, BOX + 2 * settings.velocity
        self.settings, self.class_names, self.maps, self.area_m = settings, tuple(class_names), maps, area_m
        # Only the encoder uses it, and distributed training needs a gradient of every trained parameter.
        self.level_embedding = nn.Parameter(torch.randn(maps.levels, w), requires_grad=settings.encoder_layers > 0)
        self.encoder = nn.ModuleList(EncoderLayer(w, maps.levels, settings) for _ in range(settings.encoder_layers))
        self.queries = nn.Parameter(torch.randn(settings.queries, 2 * w))
        self.reference = nn.Linear(w, 2)
        self.decoder = nn.ModuleList(DecoderLayer(w, maps.levels, settings) for _ in range(settings.decoder_layers))
        self.class_heads = nn.ModuleList(_class_head(w, len(self.class_names)) for _ in self.decoder)
        self.box_heads = nn.ModuleList(_box_head(w, columns) for _ in self.decoder)
        nn.init.xavier_uniform_(self.reference.weight)
        nn.init.zeros_(self.reference.bias)

    def forward(self, maps: Sequence[Float[Tensor, "b w _y _x"]]) -> QueryOutputs:
        """What stands on the ground that the maps show; rows of a map go along y, columns along x.

        Raises:
            DataError: another number of maps, or of channels, than the settings say.
        """
        self._check(maps)
        sizes = [(x.shape[2], x.shape[3]) for x in maps]
        cells = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1)  # (B, cells, W)
        position, centers = self._places(sizes, cells.device)  # (cells, W), (1, cells, 2)
        for layer in self.encoder:
            cells = layer(cells, position, sizes, centers)
        position, content = self.queries.chunk(2, dim=1)  # (Q, W) each
        x = content.expand(cells.shape[0], -1, -1)
        reference = _exact(self.reference, position).sigmoid().expand(cells.shape[0], -1, -1)  # (B, Q, 2)
        logits, codes = [], []
        for layer, class_head, box_head in zip(self.decoder, self.class_heads, self.box_heads, strict=True):
            x = layer(x, position, cells, sizes, reference)  # (B, Q, W)
            logits.append(class_head(x).float())
            raw = _exact(box_head, x)
            center = (raw[..., :2] + reference.logit(eps=1e-5)).sigmoid()  # refined from layer to layer
            codes.append(torch.cat([self._metres(center), raw[..., 2:]], dim=-1))
            reference = center.detach()
        return QueryOutputs(torch.stack(logits), torch.stack(codes))

    def loss(self, outputs: QueryOutputs, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Named terms whose sum is minimised, of every layer.

        Raises:
            DataError: targets of another batch, and what `object_dgcnn_loss` refuses.
        """
        check_targets(targets, outputs.code.shape[1], len(self.class_names))
        return object_dgcnn_loss(outputs.class_logits, outputs.code, targets, self.settings.loss)

    @torch.no_grad()
    def decode(self, outputs: QueryOutputs) -> list[Detections]:
        """The pairs of query and class with the highest scores in each sample, best first."""
        boxes = outputs.boxes[-1]
        return [
            self._detections(logits.sigmoid(), of_sample)
            for logits, of_sample in zip(outputs.class_logits[-1], boxes, strict=True)
        ]

    def _detections(self, probability: Float[Tensor, "q classes"], boxes: Float[Tensor, "q c"]) -> Detections:
        best = probability.flatten().topk(min(self.settings.max_detections, probability.numel()))
        query, labels = best.indices // probability.shape[1], best.indices % probability.shape[1]
        boxes, scores = boxes[query], best.values
        low, high = self.settings.center_z_m
        keep = ((boxes[:, 2] >= low) & (boxes[:, 2] <= high)).nonzero()[:, 0]
        if self.settings.nms_iou is not None:
            keep = keep[nms_rotated(boxes[keep], scores[keep], self.settings.nms_iou, labels=labels[keep])]
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
        return to_detections(boxes, scores, labels, self.class_names)

    def _places(self, sizes: Sequence[Size], device: torch.device) -> tuple[Tensor, Tensor]:
        """Embedded positions of all cells with their map's own embedding, and the positions."""
        centers = [cell_centers(size, device) for size in sizes]
        embedded = [
            embed_places(places, self.maps.width) + own
            for places, own in zip(centers, self.level_embedding, strict=True)
        ]
        return torch.cat(embedded), torch.cat(centers)[None]

    def _metres(self, center: Float[Tensor, "b q 2"]) -> Float[Tensor, "b q 2"]:
        low, high = center.new_tensor(self.area_m).chunk(2)
        return low + center * (high - low)

    def _check(self, maps: Sequence[Tensor]) -> None:
        wanted = f"{self.maps.levels} of {self.maps.width} channels"
        if len(maps) != self.maps.levels:
            raise DataError("another number of feature maps", where="maps", got=len(maps), wanted=wanted)
        for index, x in enumerate(maps):
            if x.ndim != 4 or x.shape[1] != self.maps.width:
                raise DataError("not such a feature map", where=f"maps[{index}]", got=tuple(x.shape), wanted=wanted)


def _exact(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer in float32: bfloat16 resolves a place 50 m away to 0.2 m only."""
    with torch.autocast(x.device.type, enabled=False):
        result: Tensor = layer(x.float())
        return result


def _class_head(width: int, classes: int) -> nn.Sequential:
    hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU())]
    last = nn.Linear(width, classes)
    nn.init.constant_(last.bias, -math.log((1 - PRIOR) / PRIOR))
    return nn.Sequential(*hidden, last)


def _box_head(width: int, columns: int) -> nn.Sequential:
    hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(width, columns))
