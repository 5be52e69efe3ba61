"""What the paper compares sets with: feature maps, and the teacher's boxes as if they were annotated.

Wang and Solomon, "Object DGCNN: 3D Object Detection using Dynamic Graphs", NeurIPS 2021, table 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pointcloud.structures.targets import BoxTargets, to_targets
from vol3d.errors import DataError
from vol3d.scans.results.detections import Detections

Map = Float[Tensor, "b c _y _x"]


def feature_loss(student: Sequence[Map], teacher: Sequence[Map]) -> Tensor:
    """Mean squared difference of feature maps, the mean over the levels: one of the paper's two baselines.

    Args:
        student: maps of the student; each is resized to the teacher's.
        teacher: maps of the same ground; no gradient goes to them.

    Raises:
        DataError: another number of maps, samples or channels.
    """
    if not student or [x.shape[:2] for x in student] != [x.shape[:2] for x in teacher]:
        got, wanted = ([tuple(x.shape[:2]) for x in maps] for maps in (student, teacher))
        raise DataError("feature maps that cannot be compared", where="student", got=got, wanted=wanted)
    differences = [
        F.mse_loss(F.interpolate(own, size=other.shape[2:], mode="bilinear").float(), other.detach().float())
        for own, other in zip(student, teacher, strict=True)
    ]
    return torch.stack(differences).mean()


def pseudo_labels(found: Sequence[Detections], min_score: float, max_boxes: int) -> list[BoxTargets]:
    """The teacher's detections as if they were annotated: the best `max_boxes` of those with the minimum score."""
    labelled = []
    for scan in found:
        order = (-scan.scores).argsort(kind="stable")
        labelled.append(to_targets(scan.select(order[scan.scores[order] >= min_score][:max_boxes])))
    return labelled
