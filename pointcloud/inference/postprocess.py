"""From what every query of a set detector proposes to detections: which queries stay, and what each of them counts as.

The defaults are 3DETR's official evaluation (utils/ap_calculator.py): nearly empty boxes are dropped, of overlapping
boxes of one class the one with the highest objectness stays, boxes of low objectness are dropped, and each query left
is a detection of every class, with the probability of that class times the objectness as its score. The last raises
average precision; for people there is one class per box (`FOR_PEOPLE`).
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pointcloud.structures.proposals import Proposals
from vol3d.engine.settings import Settings
from vol3d.geometry import count_points_in_boxes, enclosing_axis_aligned, nms_axis_aligned
from vol3d.scans.results.detections import Detections


class DetectionPostprocessSettings(Settings):
    """Which proposals become detections; evaluations name these."""

    min_points: int = Field(5, ge=0, description="boxes that hold fewer points are dropped; 0: none are")
    nms_iou: float | None = Field(
        0.25,
        ge=0,
        le=1,
        description="of two boxes of a class whose axis-aligned hulls overlap by more the better stays; null: both do",
    )
    min_objectness: float = Field(0.05, ge=0, le=1, description="proposals that are not above it are dropped")
    per_class: bool = Field(True, description="each proposal is a detection of every class; false: of its best class")
    min_score: float = Field(0.0, ge=0, le=1, description="detections with a lower score are dropped")


FOR_PEOPLE = DetectionPostprocessSettings(per_class=False, min_score=0.3)
"""One class per box, and only those that are likely."""


def postprocess(
    proposals: Proposals,
    class_names: tuple[str, ...],
    settings: DetectionPostprocessSettings | None = None,
    frame: str = "scan",
) -> Detections:
    """The detections of one scene; their scores are class probability times objectness, on the CPU.

    With `per_class` they come class by class; within a class, and else, in the order of the proposals.
    """
    settings, proposals = settings or DetectionPostprocessSettings(), proposals.on_host
    kept = surviving(proposals, settings)
    boxes = proposals.boxes[kept].numpy()
    scores = (proposals.class_probability[kept] * proposals.objectness[kept, None]).numpy()  # (kept, classes)
    queries, classes = scores.shape
    if settings.per_class:
        flat, labels = scores.T.ravel(), np.repeat(np.arange(classes), queries)
        boxes = np.tile(boxes, (classes, 1))
    else:
        labels = scores.argmax(axis=1) if queries else np.zeros(0, np.int64)
        flat = scores[np.arange(queries), labels]
    found = Detections(boxes, flat, labels.astype(np.int64), class_names, frame)
    return found.select(found.scores >= settings.min_score)


@torch.no_grad()
def surviving(proposals: Proposals, settings: DetectionPostprocessSettings) -> Tensor:
    """Indices of the proposals that stay, in ascending order, int64.

    If every box is nearly empty the one with the highest objectness counts as filled. Of overlapping boxes with equal
    objectness the one that comes first stays.
    """
    proposals = proposals.on_host
    boxes, objectness = proposals.boxes, proposals.objectness
    candidates = torch.arange(len(boxes))
    if settings.min_points and len(boxes):
        filled = count_points_in_boxes(proposals.points, boxes) >= settings.min_points
        candidates = filled.nonzero()[:, 0] if bool(filled.any()) else objectness.argmax()[None]
    if settings.nms_iou is not None:
        labels = proposals.class_probability[candidates].argmax(dim=-1)
        hulls = enclosing_axis_aligned(boxes[candidates])
        rank = nms_axis_aligned(hulls, objectness[candidates], settings.nms_iou, space="3d", labels=labels)
        candidates = candidates[rank].sort().values
    return candidates[objectness[candidates] > settings.min_objectness]
