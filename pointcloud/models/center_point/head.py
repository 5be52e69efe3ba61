"""CenterPoint's head: a heat map of centres for each group of classes, and what the box at each centre is like.

Yin, Zhou, Krähenbühl, "Center-based 3D Object Detection and Tracking", CVPR 2021, section 4. Boxes are in the
package's convention; released weights in another one are converted when they are read (`models/released`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.center_point.decode import CenterDecodeSettings, CenterOutputs, candidates, suppressed
from pointcloud.models.center_point.targets import CenterTargets, Drawing, task_targets
from pointcloud.models.layers.bev_backbones import convolution
from pointcloud.models.layers.branches import joinable, joined
from pointcloud.structures.detections import chosen_detections
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets, check_targets
from vol3d.class_names import chosen_names
from vol3d.engine.settings import Settings
from vol3d.errors import UsageError
from vol3d.host import constant
from vol3d.scans.results.detections import Detections

NUSCENES_TASKS = (
    ("car",),
    ("truck", "construction_vehicle"),
    ("bus", "trailer"),
    ("barrier",),
    ("motorcycle", "bicycle"),
    ("pedestrian", "traffic_cone"),
)


class CenterLossSettings(Settings):
    """Weights of the terms, and how targets are drawn."""

    heatmap: float = Field(1.0, ge=0)
    box: float = Field(0.25, ge=0)
    rotation: float = Field(1.0, ge=0, description="of sine and cosine within the box term (OpenPCDet's nuScenes: 0.2)")
    velocity: float = Field(0.2, ge=0, description="of the velocity within the box term (OpenPCDet's nuScenes: 1)")
    positives: Literal["cells", "objects"] = Field(
        "cells", description="objects: two objects in one cell count twice, as in CenterPoint's own code"
    )
    box_count: Literal["smoothed", "at_least_one"] = Field(
        "smoothed", description="what divides the box term of n objects: n + 1e-4, or max(n, 1) as in OpenPCDet"
    )
    gaussian_overlap: float = Field(0.1, gt=0, lt=1, description="IoU that a box moved by the radius still has")
    least_radius: int = Field(2, ge=0, description="of a Gaussian, cells")
    most_objects: int = Field(500, ge=1, description="of a task in a sample; further ones are ignored")
    outside: Literal["drop", "clamp"] = Field("drop", description="centres outside: left out, or moved in (OpenPCDet)")


class CenterHeadSettings(Settings):
    """The head; the defaults are nuScenes'."""

    tasks: tuple[tuple[str, ...], ...] | None = Field(None, description="names of classes that share a map; null: all")
    velocity: bool = Field(True, description="boxes have a velocity")
    shared_width: int = Field(64, ge=1, description="channels of the convolution that all tasks see")
    width: int = Field(64, ge=1, description="channels of each output's own convolution")
    loss: CenterLossSettings = CenterLossSettings()
    decode: CenterDecodeSettings = CenterDecodeSettings()

    @model_validator(mode="after")
    def _check(self) -> CenterHeadSettings:
        if self.decode.nms == "circle" and len(self.decode.circles_m2) != len(self.tasks or ((),)):
            tasks = len(self.tasks or ((),))
            raise ValueError(f"decode.circles_m2 must have one value for each of {tasks} tasks")
        return self

    def drawing(self) -> Drawing:
        """How targets are drawn."""
        loss = self.loss
        clamp = loss.outside == "clamp"
        return Drawing(loss.gaussian_overlap, loss.least_radius, loss.most_objects, clamp, self.velocity)


class CenterHead(nn.Module):
    """One shared convolution; then two for every output of every task.

    Args:
        channels: of the map.
        class_names: of all classes.
        settings: sizes.

    Raises:
        UsageError: the tasks do not have every class once.
    """

    def __init__(self, channels: int, class_names: tuple[str, ...], settings: CenterHeadSettings) -> None:
        super().__init__()
        self.settings, self.class_names = settings, class_names
        where = "model.head.tasks"
        tasks = tuple(chosen_names(task, class_names, where) for task in settings.tasks or (class_names,))
        if sorted(name for task in tasks for name in task) != sorted(class_names):
            raise UsageError("tasks must have every class once", where=where, got=settings.tasks, wanted=class_names)
        self.classes = tuple(tuple(class_names.index(name) for name in task) for task in tasks)
        w = settings.shared_width
        self.shared = convolution(channels, w, 3, padding=1, eps=1e-5, momentum=0.1)
        self.tasks = nn.ModuleList(TaskHead(w, len(task), settings) for task in tasks)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What there is a map of in each task."""
        return CenterOutputs._fields if self.settings.velocity else CenterOutputs._fields[:-1]

    def forward(self, bev: Float[Tensor, "b c y x"]) -> tuple[CenterOutputs, ...]:
        shared = self.shared(bev)
        branches = [branch for task in self.tasks for branch in task.outputs.values()]  # type: ignore[operator, union-attr]
        if not joinable(shared, branches):
            return tuple(task(shared) for task in self.tasks)
        maps = iter(joined(shared, branches))
        return tuple(_outputs({name: next(maps) for name in task.outputs}) for task in self.tasks)  # type: ignore[union-attr]

    def targets(self, targets: list[BoxTargets], grid: MapGrid) -> list[CenterTargets]:
        """What each task's maps should be."""
        return task_targets(targets, self.classes, grid, self.settings.drawing(), next(self.parameters()).device)

    def loss(self, outputs: tuple[CenterOutputs, ...], targets: list[BoxTargets], grid: MapGrid) -> dict[str, Tensor]:
        """Weighted terms `heatmap/0`, `box/0` and so on, one pair for each task.

        Raises:
            DataError: another number of samples, a class that the model does not have.
        """
        check_targets(targets, len(outputs[0].heatmap), len(self.class_names))
        settings, terms = self.settings.loss, dict[str, Tensor]()
        with torch.autocast(outputs[0].heatmap.device.type, enabled=False):
            for number, (output, target) in enumerate(zip(outputs, self.targets(targets, grid), strict=True)):
                heatmap = heatmap_loss(output.heatmap, target, settings.positives)
                weights = [1.0] * 6 + [settings.rotation] * 2 + [settings.velocity] * 2
                box = box_loss(output.code(), target, weights, settings.box_count)
                terms |= {f"heatmap/{number}": settings.heatmap * heatmap, f"box/{number}": settings.box * box}
        return terms

    @torch.no_grad()
    def decode(self, outputs: tuple[CenterOutputs, ...], grid: MapGrid) -> list[Detections]:
        """Boxes of each sample, task after task, best first within a task. A GPU is waited for once."""
        found = candidates(outputs, self.classes, grid, self.settings.decode)
        kept = suppressed(found, self.settings.decode)
        boxes, scores, labels, chosen = (part.flatten(1, 2) for part in (*found[:3], kept))
        return chosen_detections(boxes, scores, labels, chosen, self.class_names)


class TaskHead(nn.Module):
    """The outputs of one task, each from two convolutions."""

    def __init__(self, channels: int, classes: int, settings: CenterHeadSettings) -> None:
        super().__init__()
        sizes = {"heatmap": classes, "offset": 2, "height": 1, "size": 3, "rotation": 2, "velocity": 2}
        if not settings.velocity:
            del sizes["velocity"]
        self.outputs = nn.ModuleDict()
        for name, size in sizes.items():
            hidden = convolution(channels, settings.width, 3, padding=1, eps=1e-5, momentum=0.1)
            last = nn.Conv2d(settings.width, size, 3, padding=1)
            nn.init.constant_(last.bias, -2.19 if name == "heatmap" else 0.0)  # type: ignore[arg-type]
            self.outputs[name] = nn.Sequential(hidden, last)

    def forward(self, x: Float[Tensor, "b c y x"]) -> CenterOutputs:
        return _outputs({name: output(x).float() for name, output in self.outputs.items()})


def _outputs(maps: Mapping[str, Any]) -> CenterOutputs:
    return CenterOutputs(**{"velocity": None, **maps})


def heatmap_loss(logits: Tensor, targets: CenterTargets, positives: Literal["cells", "objects"]) -> Tensor:
    """Focal loss with alpha 2 and beta 4 (CornerNet, equation 1), by the number of positives."""
    p = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    wrong = -((1 - p).log() * p**2 * (1 - targets.heatmap) ** 4).sum()
    places = targets.ones.unbind() if positives == "cells" else (targets.sample, targets.label, targets.cell)
    at = p.flatten(2)[tuple(places)]  # (K,)
    return (wrong - (at.log() * (1 - at) ** 2).sum()) / max(len(at), 1)


def box_loss(
    code: Float[Tensor, "b d y x"],
    targets: CenterTargets,
    weights: list[float],
    count: Literal["smoothed", "at_least_one"] = "smoothed",
) -> Tensor:
    """L1 at the objects' cells, summed over the weighted columns, by the number of objects; NaN is not learnt."""
    said = code.flatten(2)[targets.sample, :, targets.cell]  # (K, D)
    known = ~targets.code.isnan()
    away = (said - targets.code.nan_to_num()).abs() * known
    divisor = max(len(said), 1) if count == "at_least_one" else len(said) + 1e-4
    return (away * constant(tuple(weights[: away.shape[1]]), away)).sum() / divisor
