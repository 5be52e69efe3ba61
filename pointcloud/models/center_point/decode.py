"""From CenterPoint's heat maps to boxes: Yin, Zhou, Krähenbühl, CVPR 2021, section 4.

Everything keeps a fixed size, the best so many cells of each task and sample with a column that says which of them are
boxes: a GPU is waited for once, when the boxes of the whole batch are brought to the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor

from pointcloud.structures.map_grid import MapGrid
from vol3d.engine.settings import Settings
from vol3d.geometry.nms_groups import keep_circle, keep_rotated
from vol3d.host import constant

NUSCENES_CIRCLES = (4.0, 12.0, 10.0, 1.0, 0.85, 0.175)
"""Published with CenterPoint for its tasks as radii; its code compares them with squared distances."""

LARGEST_LOG_SIZE = 10.0  # exp of it is 22 km: sizes of an untrained network stay numbers


class CenterDecodeSettings(Settings):
    """From heat maps to boxes."""

    score: float = Field(0.1, ge=0, le=1, description="boxes of a lower score are left out")
    candidates: int = Field(500, ge=1, description="best cells of a task that become boxes")
    per_cell: Literal["all", "best"] = Field("all", description="classes of a cell that may become boxes")
    nms: Literal["rotated", "circle", "none"] = Field("rotated", description="among the boxes of a task")
    nms_iou: float = Field(0.2, ge=0, le=1, description="rotated: boxes that overlap more with a better one go")
    nms_before: int = Field(1000, ge=1, description="rotated: best boxes that enter")
    nms_after: int = Field(83, ge=1, description="boxes of a task that leave")
    circles_m2: tuple[float, ...] = Field(NUSCENES_CIRCLES, description="circle: squared distance, for each task")
    center_range_m: tuple[float, float, float, float, float, float] | None = Field(
        (-61.2, -61.2, -10.0, 61.2, 61.2, 10.0), description="centres outside are dropped; null: none"
    )


class CenterOutputs(NamedTuple):
    """Maps of one task (B, channels, Y, X), float32."""

    heatmap: Tensor  # logits, one of each class
    offset: Tensor  # x y from the cell's lower corner, cells
    height: Tensor  # z of the centre, metres
    size: Tensor  # log of l w h, metres
    rotation: Tensor  # sine and cosine of yaw
    velocity: Tensor | None  # x y, metres a second

    def code(self) -> Float[Tensor, "b _ y x"]:
        """What `CenterTargets.code` is compared with."""
        parts = [self.offset, self.height, self.size, self.rotation]
        return torch.cat(parts if self.velocity is None else [*parts, self.velocity], dim=1)


class Candidates(NamedTuple):
    """The K best cells of each of T tasks in each sample, best first.

    boxes: the package's convention, with a velocity where the maps have one.
    labels: of all classes.
    there: which of them are boxes: sure enough, and in the range.
    """

    boxes: Float[Tensor, "b t k _"]
    scores: Float[Tensor, "b t k"]
    labels: Int64[Tensor, "b t k"]
    there: Bool[Tensor, "b t k"]


def candidates(
    outputs: Sequence[CenterOutputs], tasks: Sequence[Sequence[int]], grid: MapGrid, how: CenterDecodeSettings
) -> Candidates:
    """What may become boxes.

    Args:
        outputs: maps of each task.
        tasks: its classes, as numbers among all of them.
        grid: where the maps' cells lie.
        how: settings.
    """
    chosen = [_best_cells(output.heatmap, how) for output in outputs]
    scores, label, cell = (
        torch.stack(_alike(column, fill), dim=1)
        for column, fill in zip(zip(*chosen, strict=True), (-1, 0, 0), strict=True)
    )  # (B, T, K)
    code = torch.stack([output.code().flatten(2) for output in outputs], dim=1)  # (B, T, 8 or 10, cells)
    code = code.gather(3, cell[:, :, None].expand(-1, -1, code.shape[2], -1)).transpose(2, 3)  # (B, T, K, 8 or 10)

    place = torch.stack([cell % grid.shape[1], cell // grid.shape[1]], dim=3) + code[..., :2]
    size = code[..., 3:6].clamp(max=LARGEST_LOG_SIZE).exp()
    yaw = torch.atan2(code[..., 6:7], code[..., 7:8])
    boxes = torch.cat([grid.to_metres(place), code[..., 2:3], size, yaw, code[..., 8:]], dim=3)
    there = scores > how.score
    if how.center_range_m is not None:
        low, high = constant(how.center_range_m[:3], boxes), constant(how.center_range_m[3:], boxes)
        there &= ((boxes[..., :3] >= low) & (boxes[..., :3] <= high)).all(dim=3)
    begins = tuple(sum(map(len, tasks[:number])) for number in range(len(tasks)))
    number = label + constant(begins, label)[:, None]  # among the tasks' classes, one after the other
    return Candidates(boxes, scores, constant(tuple(c for task in tasks for c in task), label)[number], there)


def suppressed(found: Candidates, how: CenterDecodeSettings) -> Bool[Tensor, "b t k"]:
    """Which candidates are left after suppression among those of a task and sample."""
    if how.nms == "none":
        return found.there
    boxes, scores, there = (part.flatten(0, 1) for part in (found.boxes, found.scores, found.there))
    if how.nms == "circle":
        radii = how.circles_m2 * len(found.boxes)
        kept = keep_circle(boxes, scores, there, radii, max_kept=how.nms_after)
    else:
        kept = keep_rotated(
            boxes[..., :7], scores, there, how.nms_iou, max_candidates=how.nms_before, max_kept=how.nms_after
        )
    return kept.view_as(found.there)


def _alike(parts: Sequence[Tensor], fill: int) -> list[Tensor]:
    """(B, K) each, filled up to the longest."""
    most = max(part.shape[1] for part in parts)
    return [part if part.shape[1] == most else F.pad(part, (0, most - part.shape[1]), value=fill) for part in parts]


def _best_cells(heatmap: Float[Tensor, "b c y x"], how: CenterDecodeSettings) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, labels within the task and cells (B, K) of the best cells, best first."""
    probability = heatmap.sigmoid().flatten(2)  # (B, classes, cells)
    cells = probability.shape[2]
    if how.per_cell == "best":
        best, owner = probability.max(dim=1)
        scores, cell = best.topk(min(how.candidates, cells))
        return scores, owner.gather(1, cell), cell
    scores, index = probability.flatten(1).topk(min(how.candidates, probability[0].numel()))
    return scores, index // cells, index % cells
