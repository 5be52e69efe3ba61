"""VoteNet as mmdetection3d released it, trained on SUN RGB-D or ScanNet, read strictly: every tensor is used.

From 0.6 on the head is `conv_cls` and `conv_reg`, before one `conv_out`; the rest has the same names in all versions.
Three things in which the released weights differ from ours change here and cost no number: biases before a batch norm
move into its mean, `conv_cls` and `conv_reg` become the rows of one map, and angles of version 1.0 and later, which
turn counter-clockwise, are mirrored, since ours turn clockwise inside the network. Two are settings of the model:
`pointnet2.power` and `proposals_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.layers.pointnet2 import PointNet2Settings
from pointcloud.models.released.layouts import read_parts
from pointcloud.models.released.mmdet3d_config import model_options
from pointcloud.models.released.mmdet3d_votes import (
    LAYER,
    as_linear,
    backbone_rules,
    check_stated,
    layer,
    proposals_at,
    stated_classes,
    stated_sizes,
    vote_rules,
    with_one_output,
)
from pointcloud.models.vote_net.model import VoteNet, VoteNetSettings
from pointcloud.structures.class_names import SCANNET_CLASSES, SUN_RGBD_CLASSES
from pointcloud.structures.weight_names import Rules, renamed
from vol3d.checkpoint import load_strictly
from vol3d.errors import CheckpointError
from vol3d.terminal import say

_SCANNET = VoteNetSettings(pointnet2=PointNet2Settings(power=1), proposals_at="seeds")
RELEASED: dict[str, tuple[VoteNetSettings, tuple[str, ...]]] = {
    "votenet-scannet": (_SCANNET, SCANNET_CLASSES),
    "votenet-sunrgbd": (_SCANNET.model_copy(update={"angle_bins": 12}), SUN_RGBD_CLASSES),
}
ANGLES = ("counter-clockwise", "clockwise")
"""How yaw turns in the file: mmdetection3d from 1.0 on, and before."""

_TURNED_EARLY = "3d9268b"
"""A commit on the way to 1.0, whose number still says 0.16; the published weights for SUN RGB-D are of it."""

_OTHERS = (
    # a beginning of a name, and what has it
    ("backbone_net.", "VoteNet in its authors' layout"),
    ("pre_encoder.", "3DETR"),
    ("img_", "ImVoteNet"),
    ("rpn_head.", "H3DNet"),
    ("bbox_head.decoder_", "Group-Free 3D"),
    ("dense_head.", "a detector of OpenPCDet"),
    ("pts_", "a LiDAR detector of mmdetection3d"),
    ("voxel_encoder.", "a LiDAR detector of mmdetection3d"),
)
_HEAD = "bbox_head.conv_pred."


def load(name: str, path: str | Path, settings: Mapping[str, Any] | None = None) -> VoteNet:
    """A released VoteNet with the original's numbers, in evaluation mode.

    Args:
        name: a key of `RELEASED`.
        path: the file of any version, with or without `meta` and `state_dict`, or its tensors as safetensors.
        settings: `angles`, one of `ANGLES`, in place of what the file says; and `proposals_at`.

    Raises:
        CheckpointError: the file is damaged, of another network, toolbox or list of classes, was trained with other
            options, lacks a tensor or has one too many; the message lists them.
    """
    chosen = dict(settings or {})
    angles = chosen.pop("angles", None)
    if set(chosen) - {"proposals_at"} or angles not in (None, *ANGLES):
        wanted = f"angles ({' or '.join(ANGLES)}) and proposals_at"
        raise CheckpointError(
            "the name decides the other settings", where=path, got=dict(settings or {}), wanted=wanted
        )

    tensors, meta = read_parts(path, "VoteNet")
    published, class_names = RELEASED[name]
    options = model_options(meta)
    _check_network(tensors, name, path)
    _check_classes(tensors, name, path)
    _check_stated(meta, options, name, path)
    known = {**published.model_dump(), "proposals_at": proposals_at(options, ("test_cfg.sample_mod",), path)}
    try:
        sizes = VoteNetSettings.model_validate(known | chosen)
    except ValidationError as error:
        raise CheckpointError("settings that cannot be", where=path, got=error.errors()[0]["msg"]) from error

    model = sizes.build(class_names)
    weights = our_weights(tensors, len(sizes.pointnet2.levels) - 2)
    if sizes.angle_bins > 1 and (angles or _angles(tensors, meta, path)) == "counter-clockwise":
        weights = _mirrored(weights, sizes.angle_bins)
    for key, tensor in model.state_dict().items():
        if key == "mean_sizes" or key.endswith("num_batches_tracked"):  # in a config; counts nothing that is needed
            weights.setdefault(key, tensor)
    load_strictly(model, weights, path)
    return model.eval()


def our_weights(tensors: Mapping[str, Tensor], steps_up: int) -> dict[str, Tensor]:
    """The released tensors under our names; convolutions of one tap become linear maps.

    A name that is not one of theirs stays, so that strict loading refuses it.

    Args:
        tensors: float32.
        steps_up: of the backbone; the file counts them from the deepest, ours from the output.
    """
    rules: Rules = (
        *backbone_rules(r"backbone\.", "encoder.", steps_up),
        *vote_rules(r"bbox_head\.vote_module\.", "voting."),
        (r"bbox_head\.vote_aggregation\.mlps\.0\.layer" + LAYER, lambda m: f"decoder.abstraction.mlp.{layer(m)}"),
        (r"bbox_head\.conv_pred\.(?:shared_convs\.layer)?" + LAYER, lambda m: f"head.hidden.{layer(m)}"),
        (r"bbox_head\.conv_pred\.conv_out\.(\w+)", r"head.says.\1"),
    )
    return as_linear(renamed(with_one_output(tensors, _HEAD), rules))


def _mirrored(weights: Mapping[str, Tensor], bins: int) -> dict[str, Tensor]:
    """The head for angles that turn the other way: bin k becomes bin -k, residuals change their sign."""
    found, mirror = dict(weights), -torch.arange(bins) % bins
    for name in ("head.says.weight", "head.says.bias"):
        if name in found and len(found[name]) >= 5 + 2 * bins:
            before, logits, residuals, behind = found[name].tensor_split((5, 5 + bins, 5 + 2 * bins))
            found[name] = torch.cat([before, logits[mirror], -residuals[mirror], behind])
    return found


def _angles(tensors: Mapping[str, Tensor], meta: Mapping[Any, Any], path: str | Path) -> str:
    """How angles turn in the file, by the version that wrote it."""
    early, later = ANGLES[1], ANGLES[0]
    if f"{_HEAD}conv_out.weight" in tensors:
        return early  # before 0.6
    if "mmengine_version" in meta or f"+{_TURNED_EARLY}" in str(meta.get("env_info")):
        return later
    if version := meta.get("mmdet3d_version"):
        return early if str(version).startswith("0.") else later
    say(
        f"{path}: the file does not state its version; yaw is assumed to turn {later}, as from mmdetection3d 1.0 on "
        f'(override with `vol3d import NAME FILE angles={early}`, in Python settings={{"angles": "{early}"}})'
    )
    return later


def _check_network(tensors: Mapping[str, Tensor], name: str, path: str | Path) -> None:
    """Refuses another network before its tensors are listed one by one."""
    if any(key.startswith("bbox_head.vote_module.") for key in tensors):
        return
    known = next((kind for start, kind in _OTHERS if any(key.startswith(start) for key in tensors)), None)
    got = known or ", ".join(sorted({key.split(".")[0] for key in tensors})[:8]) or "no tensors"
    raise CheckpointError(f"not a file of {name}", where=path, got=got, wanted="VoteNet in mmdetection3d's layout")


def _check_classes(tensors: Mapping[str, Tensor], name: str, path: str | Path) -> None:
    """Likewise a head for other classes, or with other bins of angles."""
    rows = {one: len(tensors.get(f"{_HEAD}{one}.weight", ())) for one in ("conv_out", "conv_cls", "conv_reg")}
    outputs, wanted = sum(rows.values()), _outputs(name)
    if outputs == wanted:
        return
    classes = f" ({rows['conv_cls'] - 2} classes)" if rows["conv_cls"] else ""
    other = next((one for one in RELEASED if _outputs(one) == outputs), None)
    raise CheckpointError(
        f"not a file of {name}",
        where=path,
        got=f"{outputs} outputs{classes}",
        wanted=f"{wanted} outputs ({len(RELEASED[name][1])} classes)",
        do=f"Import it as {other}." if other else "Networks for other classes are not read.",
    )


def _outputs(name: str) -> int:
    """Rows of the head: objectness, centre, bins of the angle with residuals, mean sizes with residuals, classes."""
    sizes, class_names = RELEASED[name]
    return 2 + 3 + 2 * sizes.angle_bins + (1 + 3 + 1) * len(class_names)


def _check_stated(meta: Mapping[Any, Any], options: Mapping[str, Any], name: str, path: str | Path) -> None:
    """Compares what decides the numbers and is not seen from the tensors with what the file states of it."""
    sizes, class_names = RELEASED[name]
    levels, proposals, turned = sizes.pointnet2.levels, sizes.aggregation, sizes.angle_bins > 1
    stated = {**options, "classes": stated_classes(meta)}
    expected: dict[str, Any] = {
        "classes": ", ".join(class_names),
        "backbone.num_points": [level.points for level in levels],
        "backbone.radius": [level.radius_m for level in levels],
        "backbone.num_samples": [level.neighbours for level in levels],
        "backbone.sa_cfg.normalize_xyz": True,
        "backbone.sa_cfg.pool_mod": "max",
        "bbox_head.vote_module_cfg.norm_feats": True,
        "bbox_head.vote_aggregation_cfg.num_point": proposals.points,
        "bbox_head.vote_aggregation_cfg.radius": proposals.radius_m,
        "bbox_head.vote_aggregation_cfg.num_sample": proposals.neighbours,
        "bbox_head.vote_aggregation_cfg.normalize_xyz": True,
        "bbox_head.bbox_coder.with_rot": turned,
        "bbox_head.bbox_coder.num_dir_bins": sizes.angle_bins,
        "bbox_head.bbox_coder.mean_sizes": stated_sizes(class_names, turned),
    }
    check_stated(stated, expected, name, path)
