"""Pillar-OD's head: every pillar states, for each class, whether it lies in an object and where that object is.

Wang et al., ECCV 2020, section 3.2: a box is stated relative to its pillar, without anchors. The authors train a
network for each class; here every class has a score and a box of its own from the same features, which with one class
is their network. Their yaw does not tell front from back: `heading: full` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from pointcloud.models.pillar_od.layers import Conv, norm
from pointcloud.structures.detections import chosen_detections
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets, check_targets
from vol3d.class_names import of_each_class
from vol3d.engine.settings import Settings
from vol3d.geometry import box_of_points
from vol3d.geometry.boxes import SIZE, VELOCITY, YAW
from vol3d.geometry.nms_groups import keep_rotated
from vol3d.host import constant, send
from vol3d.matching.losses import sigmoid_focal_loss
from vol3d.scans.results.detections import Detections

LARGEST_LOG_SIZE = 10.0  # exp of it is 22,000 times the prior: sizes of an untrained network stay numbers


class PriorSettings(Settings):
    """What boxes of a class are stated relative to."""

    size_m: tuple[float, float, float] = Field(description="l w h")
    z_m: float = Field(0.0, description="height of the centre")


def waymo_vehicles() -> dict[str, PriorSettings]:
    """The authors' for vehicles; z is 0 at the ground."""
    return {"vehicle": PriorSettings(size_m=(4.5, 2.0, 1.6))}


class PillarHeadSettings(Settings):
    """The head; the defaults are the authors' for vehicles on Waymo."""

    priors: dict[str, PriorSettings] = Field(default_factory=waymo_vehicles, description="of every class, by its name")
    width: int = Field(256, ge=1, description="channels")
    layers: int = Field(4, ge=0, description="convolutions of scores, and of boxes, before the last")
    heading: Literal["half_turn", "full"] = Field(
        "half_turn", description="half_turn: the yaw, front or back (the paper); full: its sine and cosine"
    )
    velocity: bool = Field(False, description="boxes have a velocity")
    classes: float = Field(1.0, ge=0, description="weight of the focal loss")
    boxes: float = Field(1.0, ge=0, description="weight of the smooth L1 loss")
    velocities: float = Field(1.0, ge=0, description="weight of velocities within the box term")
    smooth: float = Field(1 / 9, gt=0, description="below it the L1 loss is quadratic")
    score: float = Field(0.1, ge=0, le=1, description="boxes of a lower score are left out")
    nms_iou: float = Field(0.7, ge=0, le=1, description="boxes that overlap more with a better one of their class go")
    nms_before: int = Field(1000, ge=1, description="best boxes of a class that enter")
    nms_after: int = Field(200, ge=1, description="boxes of a class that leave")

    @property
    def columns(self) -> int:
        """Numbers that state a box."""
        return 7 + (self.heading == "full") + 2 * self.velocity


@dataclass(frozen=True, eq=False)
class PillarOutputs:
    """Outputs for every pillar and class, float32."""

    classes: Float[Tensor, "b c y x"]  # logits
    boxes: Float[Tensor, "b c d y x"]  # codes, as `encode`


@dataclass(frozen=True, eq=False)
class PillarTargets:
    """The pillars that lie in an object of a class, one row for each such pillar and class.

    sample, label, cell: (K,) which, cell as y * X + x.
    boxes: (K, 7 or 9) the object.
    """

    sample: Int64[Tensor, " k"]
    label: Int64[Tensor, " k"]
    cell: Int64[Tensor, " k"]
    boxes: Float[Tensor, "k _"]


class PillarHead(nn.Module):
    """Two towers of 3 x 3 convolutions, for scores and for boxes, then a linear map of each pillar.

    Args:
        channels: of the map.
        class_names: of all classes, each with a prior.
        settings: sizes.

    Raises:
        UsageError: a class has no prior, or a prior no class.
    """

    def __init__(self, channels: int, class_names: tuple[str, ...], settings: PillarHeadSettings) -> None:
        super().__init__()
        priors = of_each_class(settings.priors, class_names, "priors", "model.head.priors")
        self.priors = tuple((*prior.size_m, prior.z_m) for prior in priors)
        self.settings, self.class_names = settings, class_names
        self.score_tower, self.box_tower = (_tower(channels, settings) for _ in range(2))
        self.classes = nn.Conv2d(settings.width, len(class_names), 1, bias=False)
        self.boxes = nn.Conv2d(settings.width, len(class_names) * settings.columns, 1, bias=False)

    def forward(self, bev: Float[Tensor, "b c y x"]) -> PillarOutputs:
        classes, boxes = self.classes(self.score_tower(bev)), self.boxes(self.box_tower(bev))
        return PillarOutputs(classes.float(), boxes.unflatten(1, (len(self.class_names), -1)).float())

    def loss(self, outputs: PillarOutputs, targets: list[BoxTargets], grid: MapGrid) -> dict[str, Tensor]:
        """Weighted terms `class` and `box`, sums over the pillars divided by the positive ones of the batch.

        The authors do not divide, which their optimiser, Adam without a limit of the gradient, does not notice.

        Raises:
            DataError: another number of samples, a class that the model does not have.
        """
        check_targets(targets, len(outputs.classes), len(self.class_names))
        settings, wanted = self.settings, pillar_targets(targets, len(self.class_names), grid, outputs.boxes.device)
        with torch.autocast(outputs.boxes.device.type, enabled=False):
            labels = torch.full_like(outputs.classes.flatten(2), -1, dtype=torch.int64)
            labels[wanted.sample, wanted.label, wanted.cell] = 0
            focal = sigmoid_focal_loss(outputs.classes.flatten(2)[..., None], labels)[0].sum()

            stated = outputs.boxes.flatten(3)[wanted.sample, wanted.label, :, wanted.cell]  # (K, D)
            pillars = grid.to_metres(_centres(wanted.cell, grid))
            code = encode(wanted.boxes, pillars, self._priors(wanted.label), settings)
            box = box_loss(stated, code, settings).sum()
            count = max(len(wanted.cell), 1)
            return {"class": settings.classes * focal / count, "box": settings.boxes * box / count}

    @torch.no_grad()
    def decode(self, outputs: PillarOutputs, grid: MapGrid) -> list[Detections]:
        """Boxes of each sample, class after class, best first within a class."""
        settings, (samples, classes, ny, nx) = self.settings, outputs.classes.shape
        scores, cell = outputs.classes.sigmoid().flatten(2).topk(min(settings.nms_before, ny * nx))  # (B, C, K)
        stated = outputs.boxes.flatten(3).gather(3, cell[:, :, None].expand(-1, -1, settings.columns, -1))
        label = torch.arange(classes, device=cell.device)[:, None].expand(samples, -1, cell.shape[2])
        pillars = grid.to_metres(_centres(cell, grid))
        boxes = decode(stated.transpose(2, 3), pillars, self._priors(label), settings)  # (B, C, K, 7 or 9)

        flat = boxes[..., :7].flatten(0, 1), scores.flatten(0, 1)
        kept = keep_rotated(*flat, flat[1] > settings.score, settings.nms_iou, max_kept=settings.nms_after)
        kept = kept.view_as(scores)
        boxes, scores, label, kept = (part.flatten(1, 2) for part in (boxes, scores, label, kept))
        return chosen_detections(boxes, scores, label, kept, self.class_names)

    def _priors(self, label: Int64[Tensor, "*n"]) -> Float[Tensor, "*n 4"]:
        """l w h and z of the label's prior, metres."""
        return constant(self.priors, self.classes.weight, torch.float32)[label]


def pillar_targets(targets: Sequence[BoxTargets], classes: int, grid: MapGrid, device: torch.device) -> PillarTargets:
    """Which pillars lie in which objects, seen from above; in several of a class, in the first.

    An object so small that no pillar's centre lies in it has the pillar that its own centre lies in; the authors' code
    leaves it out. Found on the host, where the boxes are.
    """
    ny, nx = grid.shape
    centres = F.pad(grid.to_metres(_centres(torch.arange(ny * nx), grid)), (0, 1))  # (Y * X, 3) at height 0
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    tables = []
    for sample, target in enumerate(one.on_host for one in targets):
        for label in range(classes):
            boxes = target.boxes[target.labels == label].float()
            owner = pillar_owners(boxes, centres, grid)
            cell = (owner >= 0).nonzero()[:, 0]
            rows.append((torch.full_like(cell, sample), torch.full_like(cell, label), cell))
            table = boxes[owner[cell]]
            tables.append(F.pad(table, (0, 9 - table.shape[1]), value=math.nan))
    columns = [torch.cat(parts) for parts in zip(*rows, strict=True)]
    return PillarTargets(*send([*columns, torch.cat(tables)], device))


def pillar_owners(boxes: Float[Tensor, "m _"], centres: Float[Tensor, "p 3"], grid: MapGrid) -> Int64[Tensor, " p"]:
    """The object of one class that each pillar belongs to, -1 for none."""
    flat = boxes.clone()
    flat[:, 2], flat[:, 5] = 0.0, 1.0
    owner = box_of_points(centres, flat)

    ny, nx = grid.shape
    place = grid.to_cells(boxes[:, :2]).floor()
    on_map = ((place >= 0) & (place < place.new_tensor([nx, ny]))).all(dim=1)
    for row in on_map.nonzero()[:, 0].tolist():
        cell = int(place[row, 1]) * nx + int(place[row, 0])
        if not bool((owner == row).any()) and owner[cell] < 0:
            owner[cell] = row
    return owner


def encode(
    boxes: Float[Tensor, "*n _"], pillars: Float[Tensor, "*n 2"], priors: Float[Tensor, "*n 4"], how: PillarHeadSettings
) -> Float[Tensor, "*n d"]:
    """Boxes (..., 9) relative to their pillars: place in sizes of the prior, log of the size in its, yaw, velocity."""
    size, yaw = priors[..., :3], boxes[..., YAW : YAW + 1]
    reference = torch.cat([pillars, priors[..., 3:]], dim=-1)
    parts = [(boxes[..., :3] - reference) / size, (boxes[..., SIZE] / size).log()]
    parts += [yaw.sin(), yaw.cos()] if how.heading == "full" else [yaw]
    return torch.cat([*parts, boxes[..., VELOCITY]] if how.velocity else parts, dim=-1)


def decode(
    code: Float[Tensor, "*n d"], pillars: Float[Tensor, "*n 2"], priors: Float[Tensor, "*n 4"], how: PillarHeadSettings
) -> Float[Tensor, "*n _"]:
    """The boxes (..., 7 or 9) of codes; a yaw that does not tell front from back lies in [0, pi)."""
    size = priors[..., :3]
    place = code[..., :3] * size + torch.cat([pillars, priors[..., 3:]], dim=-1)
    yaw = torch.atan2(code[..., 6:7], code[..., 7:8]) if how.heading == "full" else code[..., 6:7] % math.pi
    velocity = code[..., 7 + (how.heading == "full") :]
    return torch.cat([place, code[..., 3:6].clamp(max=LARGEST_LOG_SIZE).exp() * size, yaw, velocity], dim=-1)


def box_loss(stated: Float[Tensor, "k d"], code: Float[Tensor, "k d"], how: PillarHeadSettings) -> Float[Tensor, " k"]:
    """Smooth L1 of each box, that of a yaw of the sine of the difference; what the data lack is not learnt."""
    away = (stated - code.nan_to_num()) * ~code.isnan()
    if how.heading == "half_turn":
        away = torch.cat([away[:, :YAW], away[:, YAW : YAW + 1].sin(), away[:, YAW + 1 :]], dim=1)
    losses = F.smooth_l1_loss(away, torch.zeros_like(away), beta=how.smooth, reduction="none")
    known = how.columns - 2 * how.velocity
    return losses[:, :known].sum(dim=1) + how.velocities * losses[:, known:].sum(dim=1)


def _centres(cell: Int64[Tensor, "*n"], grid: MapGrid) -> Float[Tensor, "*n 2"]:
    """x y of the centres of cells y * X + x, in cells."""
    return torch.stack([cell % grid.shape[1], cell // grid.shape[1]], dim=-1) + 0.5


def _tower(channels: int, settings: PillarHeadSettings) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(settings.layers):
        layers += [Conv(channels, settings.width, bias=False), norm(settings.width), nn.ReLU()]
        channels = settings.width
    return nn.Sequential(*layers, Conv(channels, settings.width))
