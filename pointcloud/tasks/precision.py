"""Prediction in bfloat16: when, and where it is stated. What heads say, and all that follows, is float32."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from vol3d.engine.device import has_bfloat16
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud

_NOTE = Note("precision", "computed in {value} (predict.amp=off: in float32)", "predict.amp", "bf16")


def is_low(amp: Literal["auto", "off", "bf16"], trained: str, device: torch.device) -> bool:
    """Whether networks compute in bfloat16: as asked, or where they learned so and the device has it."""
    return amp == "bf16" or (amp == "auto" and trained == "bf16" and has_bfloat16(device))


def computing(low: bool, device: torch.device) -> torch.autocast:
    """The context of forward passes."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=low)


def condition(low: bool) -> dict[str, str]:
    """What a score must be read with."""
    return {"precision": "bfloat16 (predict.amp)"} if low else {}


def noted(cloud: PointCloud, low: bool) -> PointCloud:
    """The cloud with the note of its result."""
    return replace(cloud, notes=(*cloud.notes, _NOTE)) if low else cloud
