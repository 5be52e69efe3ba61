"""Slow twin of set-to-set distillation: one sample, pair by pair."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Kullback-Leibler divergence of yes-or-no answers, summed over classes (C,) of log-odds."""
    s, t = student.sigmoid(), teacher.sigmoid()
    return (t * (t / s).log() + (1 - t) * ((1 - t) / (1 - s)).log()).sum()


def match(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], classes: float, box: float) -> list[int]:
    """The student's query of each of the teacher's (equation 11); sets are (log_odds, box)."""
    cost = torch.zeros(len(teacher[0]), len(student[0]), dtype=torch.float64)
    for i in range(len(cost)):
        for j in range(cost.shape[1]):
            away = (student[1][j] - teacher[1][i]).abs().sum()
            cost[i, j] = classes * divergence(student[0][j], teacher[0][i]) + box * away
    rows, columns = linear_sum_assignment(cost.detach().numpy())
    return [int(columns[list(rows).index(i)]) for i in range(len(cost))]


def loss(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], classes: float, box: float) -> Tensor:
    """What is left of the cost, over the number of pairs (equation 12)."""
    total = torch.zeros(())
    for i, j in enumerate(match(student, teacher, classes, box)):
        total = total + classes * divergence(student[0][j], teacher[0][i])
        total = total + box * (student[1][j] - teacher[1][i]).abs().sum()
    return total / max(len(teacher[0]), 1)
