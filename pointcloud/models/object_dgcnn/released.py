"""The head of Object DGCNN's released weights under our names and in our order of box columns.

Their networks write boxes in mmdetection3d's convention before 1.0: `x y log_w log_l z log_h sin cos vx vy` with a
clockwise yaw that is 0 along -y (`pointcloud.conventions.mmdet3d`). As sin(yaw) = -cos(yaw_old) and
cos(yaw) = -sin(yaw_old), ours differ by the order and the sign of the last layer's rows alone, which change here; so
does no number of the matching or of the loss, which sum absolute differences. Their second edge block joins 16 queries
however many the first joins; all released networks have 16 in both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pointcloud.models.object_dgcnn.loss import ObjectDgcnnLossSettings
from pointcloud.structures.box_code import BOX
from pointcloud.structures.weight_names import renamed

QUIRKS: dict[str, Any] = {
    "neighbours": "farthest",
    "loss": ObjectDgcnnLossSettings(drop_unknown_velocity=True),
}
"""How the released code differs from the paper, as settings of the head."""

_ROWS = torch.tensor([0, 1, 4, 3, 2, 5, 7, 6, 8, 9])
_SIGNS = torch.tensor([1.0, 1, 1, 1, 1, 1, -1, -1, 1, 1])

_ATTENTION = {
    "sampling_offsets": "offsets",
    "attention_weights": "weights",
    "value_proj": "values",
    "output_proj": "output",
}
_LAYER = r"transformer\.(encoder|decoder)\.layers\.(\d+)\."


def _norm(match: re.Match[str]) -> str:
    return f"{match[1]}.{match[2]}.norm{int(match[3]) + 1}.{match[4]}"


def _edge(match: re.Match[str]) -> str:
    block = {"1": "first", "2": "second"}[match[2]]
    return f"decoder.{match[1]}.graph.{block}.{('linear', 'norm')[int(match[3])]}.{match[4]}"


def _attention(match: re.Match[str]) -> str:
    return f"{match[1]}.{match[2]}.attention.{_ATTENTION[match[3]]}.{match[4]}"


_RULES = (
    (r"query_embedding\.weight", "queries"),
    (r"transformer\.level_embeds", "level_embedding"),
    (r"transformer\.reference_points\.(\w+)", r"reference.\1"),
    (_LAYER + r"norms\.(\d)\.(\w+)", _norm),
    (_LAYER + r"ffns\.0\.layers\.0\.0\.(\w+)", r"\1.\2.feed_forward.0.\3"),
    (_LAYER + r"ffns\.0\.layers\.1\.(\w+)", r"\1.\2.feed_forward.3.\3"),
    (_LAYER + rf"attentions\.\d\.({'|'.join(_ATTENTION)})\.(\w+)", _attention),
    (r"transformer\.decoder\.layers\.(\d+)\.attentions\.0\.conv([12])\.([01])\.(\w+)", _edge),
    (r"cls_branches\.(\d+)\.(\d)\.(\w+)", r"class_heads.\1.\2.\3"),
    (r"reg_branches\.(\d+)\.(\d)\.(\w+)", r"box_heads.\1.\2.\3"),
)


def object_dgcnn_head_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of `pts_bbox_head.*` without that prefix; a name that is not one of theirs stays, for strict loading to refuse.

    Args:
        tensors: as released; halves become float32.
    """
    found = renamed(tensors, _RULES)
    for name, tensor in found.items():
        if tensor.is_floating_point():
            found[name] = tensor.float()
        if name.endswith("linear.weight"):
            found[name] = found[name].flatten(1)  # a convolution of 1 x 1
        if re.fullmatch(r"box_heads\.\d+\.4\.(weight|bias)", name) and len(tensor) in (BOX, len(_ROWS)):
            found[name] = reorder_rows(found[name])
    return found


def reorder_rows(rows: Tensor) -> Tensor:
    """Rows (10, ...) of their box code as rows of ours; 8 without velocities."""
    signs = _SIGNS[: len(rows)].to(rows).view(-1, *[1] * (rows.ndim - 1))
    return rows[_ROWS[: len(rows)].to(rows.device)] * signs
