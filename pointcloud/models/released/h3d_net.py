"""H3DNet as mmdetection3d released it, trained on ScanNet, read strictly.

Every tensor is used. Of three, parts that no box depends on are left out: the rows of both heads for 23 of 24 bins of
an angle (boxes of ScanNet do not turn), and the columns of the two matching layers for 6 and 12 channels that are zero
in every input of the original. What else differs changes no number: biases before a batch norm move into its mean, the
features of a box's faces and edges lie face by face, and outputs are in the order objectness, box, classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.h3d_net.model import H3DNet, H3DNetSettings
from pointcloud.models.h3d_net.refinement import EDGES, FACES
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
    tensor,
    vote_rules,
    with_one_output,
)
from pointcloud.structures.class_names import SCANNET_CLASSES
from pointcloud.structures.weight_names import Rules, renamed
from vol3d.checkpoint import load_strictly
from vol3d.errors import CheckpointError

RELEASED: dict[str, tuple[H3DNetSettings, tuple[str, ...]]] = {
    "h3dnet-scannet": (
        H3DNetSettings(pointnet2=PointNet2Settings(power=1), proposals_at="seeds"),
        SCANNET_CLASSES,
    ),
}
BINS = 24
"""Of the angle, in the published file."""

_HEAD = "rpn_head.conv_pred."
_BOX = r"roi_head\.bbox_head\."
_KINDS = (("z", "horizontal"), ("xy", "upright"), ("line", "edges"))
_HEADS = ("head.says", "refinement.head.says")
_ZEROS = {"refinement.around_faces.0.linear.weight": len(FACES), "refinement.around_edges.0.linear.weight": len(EDGES)}
_SAMPLED = tuple(f"test_cfg.{part}.{key}" for part in ("rpn", "rcnn") for key in ("sample_mod", "sample_mode"))
_OTHERS = (
    # a beginning of a name, and what has it
    ("backbone_net1.", "H3DNet in its authors' layout"),
    ("bbox_head.vote_module.", "VoteNet"),
    ("bbox_head.decoder_", "Group-Free 3D"),
    ("pre_encoder.", "3DETR"),
    ("img_", "ImVoteNet"),
    ("pts_", "a LiDAR detector of mmdetection3d"),
    ("voxel_encoder.", "a LiDAR detector of mmdetection3d"),
)


def load(name: str, path: str | Path, settings: Mapping[str, Any] | None = None) -> H3DNet:
    """A released H3DNet with the original's numbers, in evaluation mode.

    Args:
        name: a key of `RELEASED`.
        path: the file, with or without `meta` and `state_dict`, or its tensors as safetensors.
        settings: `proposals_at`, in place of what the file says.

    Raises:
        CheckpointError: the file is damaged, of another network, version or list of classes, was trained with other
            options, lacks a tensor or has one too many; the message lists them.
    """
    chosen = dict(settings or {})
    if set(chosen) - {"proposals_at"}:
        raise CheckpointError(
            "the name decides the other settings", where=path, got=dict(settings or {}), wanted="proposals_at"
        )
    tensors, meta = read_parts(path, "H3DNet")
    published, class_names = RELEASED[name]
    options = model_options(meta)
    _check_network(tensors, name, path)
    _check_classes(tensors, name, path)
    check_stated({**options, "classes": stated_classes(meta)}, _expected(published, class_names), name, path)
    known = {**published.model_dump(), "proposals_at": proposals_at(options, _SAMPLED, path)}
    try:
        sizes = H3DNetSettings.model_validate(known | chosen)
    except ValidationError as error:
        raise CheckpointError("settings that cannot be", where=path, got=error.errors()[0]["msg"]) from error

    model = sizes.build(class_names)
    weights = our_weights(tensors, sizes, len(class_names))
    for key, values in model.state_dict().items():
        if key == "mean_sizes" or key.endswith("num_batches_tracked"):  # in a config; counts nothing that is needed
            weights.setdefault(key, values)
    load_strictly(model, weights, path)
    return model.eval()


def our_weights(tensors: Mapping[str, Tensor], sizes: H3DNetSettings, classes: int) -> dict[str, Tensor]:
    """The released tensors under our names; convolutions of one tap become linear maps.

    A name or a shape that is not one of theirs stays, so that strict loading refuses it.

    Args:
        tensors: float32.
        sizes: of the network.
        classes: without a background.
    """
    steps_up = len(sizes.pointnet2.levels) - 2
    rules: list[tuple[str, Any]] = []
    for tower in range(sizes.towers):
        rules += backbone_rules(rf"backbone\.backbone_list\.{tower}\.", f"encoder.towers.{tower}.", steps_up)
    rules += [
        (r"backbone\.aggregation_layers\.layer" + LAYER, lambda m: f"encoder.join.{layer(m)}"),
        *vote_rules(r"rpn_head\.vote_module\.", "voting."),
        (r"rpn_head\.vote_aggregation\.mlps\.0\.layer" + LAYER, lambda m: f"aggregate.mlp.{layer(m)}"),
        (r"rpn_head\.conv_pred\.shared_convs\.layer" + LAYER, lambda m: f"head.hidden.{layer(m)}"),
        (r"rpn_head\.conv_pred\.conv_out\.(\w+)", r"head.says.\1"),
    ]
    for theirs, ours in _KINDS:
        rules += _primitive_rules(rf"roi_head\.primitive_{theirs}\.", ours)
    found = as_linear(renamed(with_one_output(tensors, _HEAD), (*rules, *_refinement_rules())))
    return _fitted(found, sizes.matching.widths[-1], classes)


def _primitive_rules(theirs: str, ours: str) -> Rules:
    """Of one kind of primitive."""
    single = r"(?P<kind>conv|bn)\.(?P<field>\w+)"
    return (
        (theirs + r"flag_conv\." + single, lambda m: f"{ours}.exists.0.{tensor(m)}"),
        (theirs + r"flag_pred\.(\w+)", lambda m: f"{ours}.exists.1.{m[1]}"),
        *vote_rules(theirs + r"vote_module\.", f"{ours}.voting."),
        (theirs + r"vote_aggregation\.mlps\.0\.layer" + LAYER, lambda m: f"{ours}.clusters.mlp.{layer(m)}"),
        (theirs + r"conv_pred\." + LAYER, lambda m: f"{ours}.hidden.{layer(m)}"),
        (theirs + r"conv_pred\.conv_out\.(\w+)", lambda m: f"{ours}.says.{m[1]}"),
    )


def _refinement_rules() -> Rules:
    single = r"(?P<kind>conv|bn)\.(?P<field>\w+)"
    return (
        (_BOX + r"surface_center_matcher\.mlps\.0\.layer" + LAYER, lambda m: f"refinement.around_faces.{layer(m)}"),
        (_BOX + r"line_center_matcher\.mlps\.0\.layer" + LAYER, lambda m: f"refinement.around_edges.{layer(m)}"),
        (_BOX + r"matching_conv\." + single, lambda m: f"refinement.matches.0.{tensor(m)}"),
        (_BOX + r"matching_pred\.(\w+)", r"refinement.matches.1.\1"),
        (_BOX + r"semantic_matching_conv\." + single, lambda m: f"refinement.same_class.0.{tensor(m)}"),
        (_BOX + r"semantic_matching_pred\.(\w+)", r"refinement.same_class.1.\1"),
        (_BOX + r"surface_feats_aggregation\." + LAYER, lambda m: f"refinement.faces.{layer(m)}"),
        (_BOX + r"line_feats_aggregation\." + LAYER, lambda m: f"refinement.edges.{layer(m)}"),
        (_BOX + r"bbox_pred\.0\." + single, lambda m: f"refinement.join.{tensor(m)}"),
        (_BOX + r"bbox_pred\.(?P<layer>[12])\." + single, lambda m: f"refinement.head.hidden.{_behind(m)}"),
        (_BOX + r"bbox_pred\.3\.(\w+)", r"refinement.head.says.\1"),
    )


def _behind(match: Any) -> str:
    """The layers behind the first are our head's."""
    return f"{int(match['layer']) - 1}.{tensor(match)}"


def _fitted(weights: Mapping[str, Tensor], width: int, classes: int) -> dict[str, Tensor]:
    """Without what no box depends on, and with rows and columns in our order; other shapes stay for strict loading."""
    found, faces, edges = dict(weights), len(FACES), len(EDGES)
    outputs = 2 + 3 + 2 * BINS + 5 * classes
    for key, values in weights.items():
        part = key.rpartition(".")[0]
        columns = values.shape[1] if values.ndim > 1 else 0
        if columns > 3 + (zeros := _ZEROS.get(key, columns)):
            found[key] = _without_zeros(values, zeros)
        elif key == "refinement.join.linear.weight" and columns == width * (faces + edges):
            halves = values.split([width * faces, width * edges], dim=1)
            found[key] = torch.cat([_by_place(half, width) for half in halves], dim=1)
        elif part in _HEADS and len(values) == outputs:
            rows = _box_before_classes(values, classes) if part.startswith("refinement") else values
            found[key] = _with_one_bin(rows)
    return found


def _without_zeros(columns: Tensor, zeros: int) -> Tensor:
    """Columns of places and features, without those of inputs that are zero."""
    return torch.cat([columns[:, :3], columns[:, 3 + zeros :]], dim=1)


def _with_one_bin(rows: Tensor) -> Tensor:
    """Rows of a head without those of all bins but the first."""
    before, logits, residuals, behind = rows.tensor_split((5, 5 + BINS, 5 + 2 * BINS))
    return torch.cat([before, logits[:1], residuals[:1], behind])


def _box_before_classes(rows: Tensor, classes: int) -> Tensor:
    """Rows in the order of the first head, which `with_one_output` has put there."""
    objectness, scores, box = rows.tensor_split((2, 2 + classes))
    return torch.cat([objectness, box, scores])


def _by_place(columns: Tensor, width: int) -> Tensor:
    """Columns that lie channel by channel, face by face instead."""
    return columns.unflatten(1, (width, -1)).transpose(1, 2).flatten(1)


def _check_network(tensors: Mapping[str, Tensor], name: str, path: str | Path) -> None:
    """Refuses another network, or one of before 0.6, before its tensors are listed one by one."""
    if f"{_HEAD}conv_out.weight" in tensors:
        raise CheckpointError(
            f"not a file of {name}",
            where=path,
            got="H3DNet in the layout of before mmdetection3d 0.6",
            do="Convert it with mmdetection3d's tools/model_converters/convert_h3dnet_checkpoints.py.",
        )
    if any(key.startswith("roi_head.primitive_z.") for key in tensors):
        return
    known = next((kind for start, kind in _OTHERS if any(key.startswith(start) for key in tensors)), None)
    got = known or ", ".join(sorted({key.split(".")[0] for key in tensors})[:8]) or "no tensors"
    raise CheckpointError(f"not a file of {name}", where=path, got=got, wanted="H3DNet in mmdetection3d's layout")


def _check_classes(tensors: Mapping[str, Tensor], name: str, path: str | Path) -> None:
    """Likewise a head for other classes, or with other bins of angles."""
    classes = len(RELEASED[name][1])
    got = {one: len(tensors.get(f"{_HEAD}{one}.weight", ())) for one in ("conv_cls", "conv_reg")}
    wanted = {"conv_cls": 2 + classes, "conv_reg": 3 + 2 * BINS + 4 * classes}
    if got != wanted:
        do = "Networks for other classes or angles are not read."
        raise CheckpointError(f"not a file of {name}", where=path, got=got, wanted=wanted, do=do)


def _expected(sizes: H3DNetSettings, class_names: tuple[str, ...]) -> dict[str, Any]:
    """What decides the numbers and is not seen from the tensors, under the names of the file's config."""
    levels, group, matching = sizes.pointnet2.levels, sizes.aggregation, sizes.matching
    expected: dict[str, Any] = {
        "classes": ", ".join(class_names),
        "backbone.num_streams": sizes.towers,
        "backbone.backbones.num_points": [level.points for level in levels],
        "backbone.backbones.radius": [level.radius_m for level in levels],
        "backbone.backbones.num_samples": [level.neighbours for level in levels],
        "rpn_head.vote_module_cfg.norm_feats": True,
        "rpn_head.vote_aggregation_cfg.num_point": group.points,
        "rpn_head.vote_aggregation_cfg.radius": group.radius_m,
        "rpn_head.vote_aggregation_cfg.num_sample": group.neighbours,
        "roi_head.bbox_head.suface_matching_cfg.radius": matching.radius_m,
        "roi_head.bbox_head.suface_matching_cfg.num_sample": matching.neighbours,
        "roi_head.bbox_head.line_matching_cfg.radius": matching.radius_m,
        "roi_head.bbox_head.line_matching_cfg.num_sample": matching.neighbours,
    }
    for part in ("rpn_head", "roi_head.bbox_head"):
        expected[f"{part}.bbox_coder.with_rot"] = False
        expected[f"{part}.bbox_coder.num_dir_bins"] = BINS
        expected[f"{part}.bbox_coder.mean_sizes"] = stated_sizes(class_names, turned=False)
    return expected
