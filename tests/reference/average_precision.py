"""Slow twin of `pointcloud.metrics.average_precision`: one detection after the other, one pair after the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tests.reference.geometry import overlap_3d
from vol3d.scans.results.detections import Detections


def slow_average_precision(
    scenes: Sequence[tuple[Detections, Detections]], label: int, threshold: float
) -> tuple[float, float]:
    """AP and recall of one class in (found, truth) scenes; NaN without annotated boxes."""
    truths = [torch.from_numpy(truth.boxes[truth.labels == label]).double() for _, truth in scenes]
    ranked = [(-f.scores[i], s, i) for s, (f, _) in enumerate(scenes) for i in range(len(f)) if f.labels[i] == label]
    taken, hits, precisions = set(), 0, []
    for rank, (_, scene, index) in enumerate(sorted(ranked), start=1):
        box = torch.from_numpy(scenes[scene][0].boxes[index]).double()
        ious = []
        for truth in truths[scene]:
            common = float(overlap_3d(box[None], truth[None]))
            ious.append(common / (float(box[3:6].prod() + truth[3:6].prod()) - common))
        best = max(range(len(ious)), key=ious.__getitem__, default=-1)
        if best >= 0 and ious[best] > threshold and (scene, best) not in taken:
            taken.add((scene, best))
            hits += 1
            precisions.append(hits / rank)
    objects = sum(map(len, truths))
    area = sum(max(precisions[i:]) for i in range(len(precisions)))
    return (area / objects, hits / objects) if objects else (float("nan"), float("nan"))
