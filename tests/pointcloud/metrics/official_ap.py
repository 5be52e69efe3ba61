"""The scenes of the original's average precision (`D_ap_*`) in the package's terms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from pointcloud.structures.proposals import Proposals
from vol3d.scans.results.detections import Detections

VARIANTS = {"all_scenes_default": True, "all_scenes_exact_eval_False": False, "first_2_scenes_default": True}
"""Name in `expected.json` -> whether nearly empty boxes are removed."""


class OfficialScene(NamedTuple):
    proposals: Proposals
    truth: Detections
    kept: list[int]
    kept_without_removal: list[int]


def boxes_from_corners(corners: Tensor) -> Tensor:
    """Our boxes from the original's corners (..., 8, 3) in its camera frame (x, -z, y)."""
    points = torch.stack((corners[..., 0], corners[..., 2], -corners[..., 1]), dim=-1).double()
    along, across, up = (points[..., 0, :] - points[..., i, :] for i in (3, 1, 4))
    size = torch.stack([edge.norm(dim=-1) for edge in (along, across, up)], dim=-1)
    return torch.cat((points.mean(-2), size, torch.atan2(along[..., 1:2], along[..., 0:1])), dim=-1).float()


def read_official(folder: Path) -> tuple[list[OfficialScene], dict[str, Any], tuple[str, ...]]:
    """Scenes, what the original computed for them, and the names of the classes."""
    arrays = load_file(folder / "scenes.safetensors")
    expected = json.loads((folder / "expected.json").read_text())
    names = tuple(expected["class2type"][str(i)] for i in range(len(expected["class2type"])))
    boxes, truths = (boxes_from_corners(arrays[key]) for key in ("box_corners", "gt_box_corners"))
    scenes = []
    for i in range(len(boxes)):
        proposals = Proposals(
            boxes[i], arrays["sem_cls_prob"][i], arrays["objectness_prob"][i], arrays["point_clouds"][i, :, :3]
        )
        there = arrays["gt_box_present"][i].bool()
        labels = arrays["gt_box_sem_cls_label"][i][there].numpy()
        truth = Detections(truths[i][there].numpy(), np.ones(len(labels), np.float32), labels, names)
        kept = [
            arrays[f"expected.kept_after_nms{which}"][i].nonzero()[:, 0].tolist() for which in ("", "_no_empty_removal")
        ]
        scenes.append(OfficialScene(proposals, truth, *kept))
    return scenes, expected, names
