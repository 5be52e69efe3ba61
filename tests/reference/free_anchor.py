"""Slow twin of FreeAnchor's loss: object by object and anchor by anchor, with likelihoods and not their logarithms."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.reference.anchors import overlap

Weights = tuple[float, float, float, float]
"""Of boxes, directions, velocities; below which the L1 loss is quadratic."""


def place_loss(offsets: Tensor, directions: Tensor, box: Tensor, anchor: Tensor, begin: float, w: Weights) -> Tensor:
    """Of one anchor and one object."""
    wanted = [(box[i] - anchor[i]) / anchor[3:5].norm() for i in (0, 1)] + [(box[2] - anchor[2]) / anchor[5]]
    wanted += [(box[i] / anchor[i]).log() for i in (3, 4, 5)]
    away = [offsets[i] - wanted[i] for i in range(6)] + [(offsets[6] - (box[6] - anchor[6])).sin()]
    away += [offsets[i] - box[i] for i in range(7, len(offsets))]
    terms = [a**2 / (2 * w[3]) if abs(a) < w[3] else abs(a) - w[3] / 2 for a in away]
    total = sum(terms[:7]) + w[2] * sum(terms[7:])
    side = int((float(box[6]) - begin) % (2 * math.pi) >= math.pi)
    return w[0] * total - w[1] * F.log_softmax(directions, dim=0)[side]


def loss(
    logits: Tensor, offsets: Tensor, directions: Tensor, anchors: Tensor, predicted: Tensor, boxes: Tensor,
    labels: Tensor, bag: int, threshold: float, begin: float, weights: Weights,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Recall and precision of one sample: sums over objects, and over anchors and classes; gamma is 2."""
    recall, places = logits.new_zeros(()), torch.zeros_like(logits)
    for box, label in zip(boxes, labels.tolist(), strict=True):
        order = sorted(range(len(anchors)), key=lambda n: -overlap(anchors[n], box))[:bag]
        p = torch.stack(
            [
                logits[n, label].sigmoid()
                * (-place_loss(offsets[n], directions[n], box, anchors[n], begin, weights)).exp()
                for n in order
            ]
        )
        recall = recall - ((p / (1 - p)).sum() / (1 / (1 - p)).sum()).log()
        iou = [overlap(one, box) for one in predicted]
        best = max(max(iou), threshold + 1e-6)
        for n, value in enumerate(iou):
            chance = min(max((value - threshold) / (best - threshold), 0.0), 1.0)
            places[n, label] = max(float(places[n, label]), chance)
    p = logits.sigmoid() * (1 - places)
    return recall, (-(p**2) * (1 - p).log()).sum()
