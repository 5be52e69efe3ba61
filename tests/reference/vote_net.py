"""Slow twin of VoteNet's losses: seed by seed, proposal by proposal, as the paper's appendix says them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def holds(box: Tensor, point: Tensor) -> bool:
    """Whether a box `x y z l w h yaw` has the point in it."""
    away = point - box[:3]
    cos, sin = math.cos(box[6]), math.sin(box[6])
    local = torch.stack([away[0] * cos + away[1] * sin, away[1] * cos - away[0] * sin, away[2]])
    return bool((local.abs() <= box[3:6] / 2).all())


def vote_loss(seeds: Tensor, votes: Tensor, boxes: list[Tensor]) -> Tensor:
    """Mean over the seeds that are in a box of the L1 distance from the vote to the nearest centre of such a box."""
    losses = []
    for scene, table in enumerate(boxes):
        for seed, vote in zip(seeds[scene], votes[scene], strict=True):
            away = [(vote - box[:3]).abs().sum() for box in table if holds(box, seed)]
            losses += [min(away, key=Tensor.item)] if away else []
    return sum(losses) / max(len(losses), 1) + votes.sum() * 0


def center_loss(centers: Tensor, positive: Tensor, boxes: list[Tensor]) -> Tensor:
    """Chamfer distance of the positive proposals' centres and the objects; the way back is to any proposal."""
    there, back = [], []
    for scene, table in enumerate(boxes):
        squared = [[(center - box[:3]).square().sum() for box in table] for center in centers[scene]]
        chosen = [row for row, has_object in zip(squared, positive[scene], strict=True) if has_object and row]
        there += [min(row, key=Tensor.item) for row in chosen]
        back += [min((row[k] for row in squared), key=Tensor.item) for k in range(len(table))]
    return sum(there) / max(len(there), 1) + sum(back) / max(len(back), 1) + centers.sum() * 0


def entropy(logits: Tensor, label: int) -> Tensor:
    """Cross entropy of one row."""
    return logits.logsumexp(0) - logits[label]


def huber(away: Tensor) -> Tensor:
    """Of one number, with delta 1."""
    return 0.5 * away * away if away.abs().item() <= 1 else away.abs() - 0.5


def box_terms(said: dict[str, Tensor], box: Tensor, label: int, mean_sizes: Tensor) -> dict[str, Tensor]:
    """Losses of one proposal that has an object; clockwise angle."""
    bins = len(said["angle_logits"])
    step = 2 * math.pi / bins
    angle = (-float(box[6])) % (2 * math.pi)
    index = round(angle / step) % bins
    rest = (angle - index * step + math.pi) % (2 * math.pi) - math.pi
    size = [
        huber(said["size_residual"][label, axis] - (box[3 + axis] / mean_sizes[label, axis] - 1)) for axis in range(3)
    ]
    return {
        "angle_bin": entropy(said["angle_logits"], index),
        "angle_residual": huber(said["angle_residual"][index] - rest / (step / 2)),
        "size_class": entropy(said["size_logits"], label),
        "size_residual": sum(size) / 3,
        "class": entropy(said["class_logits"], label),
    }
