"""Checks of the suppression of groups: `cpu` under Triton's interpreter (TRITON_INTERPRET=1), `cuda` on a GPU.

The interpreter must be asked for before a kernel is decorated, hence a process of its own.
"""

from __future__ import annotations

import sys

import torch

from tests.vol3d.geometry.samples import random_boxes
from vol3d.geometry.nms_groups import keep_circle, keep_circle_torch, keep_rotated, keep_rotated_torch
from vol3d.geometry.nms_triton import keep_circle_triton, keep_rotated_triton


def check(device: str, groups: int, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    boxes = random_boxes(groups * count, seed).view(groups, count, 7)
    boxes[:, 1::3] = boxes[:, ::3][:, : boxes[:, 1::3].shape[1]]  # some boxes are equal
    scores = torch.rand(groups, count, generator=generator).sort(descending=True).values
    there = torch.rand(groups, count, generator=generator) < 0.8
    radii = tuple(torch.rand(groups, generator=generator).mul(30).tolist())
    there_on, boxes_on = there.to(device), boxes.to(device)
    for threshold in (0.01, 0.2, 0.99):
        wanted = keep_rotated(boxes, scores, there, threshold)
        for keep in (keep_rotated_triton, keep_rotated_torch):
            same(keep(boxes_on, there_on, threshold), wanted, f"{keep.__name__} {groups} x {count}, {threshold}")
    wanted = keep_circle(boxes, scores, there, radii)
    for keep_near in (keep_circle_triton, keep_circle_torch):
        same(keep_near(boxes_on, there_on, radii), wanted, f"{keep_near.__name__} {groups} x {count}")


def same(found: torch.Tensor, wanted: torch.Tensor, what: str) -> None:
    if found.dtype != torch.bool or not torch.equal(found.cpu(), wanted):
        raise SystemExit(f"{what}: {found.sum().item()} stay, {wanted.sum().item()} should")


if __name__ == "__main__":
    device = sys.argv[1]
    sizes = [(1, 1), (2, 0), (0, 3), (2, 40)] if device == "cpu" else [(1, 1), (2, 0), (6, 500), (24, 1000)]
    for seed, (groups, count) in enumerate(sizes):
        check(device, groups, count, seed)
    print("same")
