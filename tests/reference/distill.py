"""Slow twin of set-to-set distillation: one sample, pair by pair, as the equations are printed."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Prediction = tuple[Tensor, Tensor]
"""A query's probabilities of the classes (C,), independent of each other, and its box code (8,)."""


def pair(student: Prediction, teacher: Prediction, settings: dict[str, float | str]) -> Tensor:
    """-log p(c^T) + L_box of one pair, with what the paper leaves open."""
    (p, box), (teacher_p, teacher_box) = student, teacher
    score, label = float(teacher_p.max()), int(teacher_p.argmax())
    is_object = score >= float(settings["object_score"])
    if settings["class_term"] == "likelihood":
        nothing = torch.ones(())
        for each in p:
            nothing = nothing * (1 - each)
        by_class = -(p[label] if is_object else nothing).log()
    else:
        by_class = torch.zeros(())
        for s, t in zip(p, teacher_p, strict=True):
            by_class = by_class + t * (t / s).log() + (1 - t) * ((1 - t) / (1 - s)).log()
    away = (box - teacher_box).abs().sum()
    if not is_object and settings["background"] == "left_out":
        by_class = by_class * 0
    if not is_object and settings["background"] != "no_object":
        away = away * 0
    return float(settings["classes"]) * by_class + float(settings["box"]) * away


def match(student: list[Prediction], teacher: list[Prediction], settings: dict[str, float | str]) -> list[int]:
    """The student's query of each of the teacher's (equation 11)."""
    cost = torch.zeros(len(teacher), len(student), dtype=torch.float64)
    for i in range(len(teacher)):
        for j in range(len(student)):
            cost[i, j] = pair(student[j], teacher[i], settings).detach()
    rows, columns = linear_sum_assignment(cost.numpy())
    return [int(columns[list(rows).index(i)]) for i in range(len(teacher))]


def loss(student: list[Prediction], teacher: list[Prediction], settings: dict[str, float | str]) -> Tensor:
    """The sum over the pairs of the matching (equation 12)."""
    total = torch.zeros(())
    for i, j in enumerate(match(student, teacher, settings)):
        total = total + pair(student[j], teacher[i], settings)
    return total
