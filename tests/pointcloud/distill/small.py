"""Small recipes of a teacher and its students, for tests that take seconds."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vol3d.config import load_distillation

RECIPE = """
model:
  name: object_dgcnn
  features: [intensity, time]
  voxels: {point_range_m: [-16, -16, -5, 16, 16, 3], voxel_size_m: [1, 1, 8]}
  pillars: {widths: [16]}
  backbone: {widths: [16, 16], layers: [1, 1], strides: [1, 2]}
  neck: {width: 16, levels: 2}
  head: {heads: 2, points: 2, encoder_layers: 0, decoder_layers: 2, ffn: 16, queries: 40, max_detections: 30}
data: {name: nuscenes, root: ROOT, sweeps: 2}
optim: {lr: 2e-3}
train: {epochs: 3, batch: 2, ema: 0.9, evaluate_every: 3}
"""
CENTER = """model={
  name: centerpoint,
  features: [intensity, time],
  voxels: {point_range_m: [-16, -16, -5, 16, 16, 3], voxel_size_m: [1, 1, 8]},
  pillars: {widths: [16]},
  backbone: {widths: [16, 16], layers: [1, 1], strides: [1, 2]},
  neck: {widths: [16, 16], upsample: [1, 2]},
  head: {shared_width: 16, width: 16},
}"""
CPU = torch.device("cpu")
SHAKE = "augment={flip_x: 0.5, rotate_deg: 20}"


def taught(recipe: Path, teacher: str, *words: str) -> Any:
    return load_distillation(recipe, [f"distill.teacher={teacher}", *words])


def draws() -> np.random.Generator:
    return np.random.default_rng(5)


def columns(run: Path) -> list[str]:
    with (run / "metrics.csv").open() as file:
        return next(csv.reader(file))
