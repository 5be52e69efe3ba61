"""Slow twins of `vol3d.matching`: SciPy in a loop, a set loss pair by pair."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def assign(cost: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Row and column indices of one matrix."""
    return linear_sum_assignment(cost.double().numpy())


def l1_set_loss(prediction: Tensor, targets: list[Tensor], pairs: list[list[tuple[int, int]]]) -> Tensor:
    """Sum over samples and (query, target) pairs of the L1 distance, divided by the number of targets."""
    total = prediction.new_zeros(())
    for sample, (target, matched) in enumerate(zip(targets, pairs, strict=True)):
        for query, index in matched:
            total = total + (prediction[sample, query] - target[index]).abs().sum()
    return total / max(sum(len(target) for target in targets), 1)
