"""Which toolbox wrote a checkpoint of a LiDAR detector, by the names of its tensors.

    mmdetection3d   pts_voxel_encoder. pts_bbox_head. ..., or voxel_encoder. bbox_head. ... (`state_dict`)
    OpenPCDet       vfe. backbone_3d. backbone_2d. dense_head. (`model_state`)
    CenterPoint     reader. backbone. neck. bbox_head.tasks. (`state_dict`)

Object DGCNN's authors built on mmdetection3d 0.17, and have its layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor

from pointcloud.models.released.mmdet3d_config import model_options
from pointcloud.models.released.weights import Convention, to_float
from vol3d.checkpoint import read_weights
from vol3d.errors import CheckpointError

Layout = Literal["mmdetection3d", "OpenPCDet", "CenterPoint"]

PREFIXES: dict[Layout, tuple[tuple[str, ...], ...]] = {
    # points, sparse encoder, backbone, neck, head
    "mmdetection3d": (
        ("pts_voxel_encoder.", "voxel_encoder."),
        ("pts_middle_encoder.", "middle_encoder."),
        ("pts_backbone.", "backbone."),
        ("pts_neck.", "neck."),
        ("pts_bbox_head.", "bbox_head."),
    ),
    "OpenPCDet": (("vfe.",), ("backbone_3d.",), ("backbone_2d.",), ("backbone_2d.",), ("dense_head.",)),
    "CenterPoint": (("reader.",), ("backbone.",), ("neck.",), ("neck.",), ("bbox_head.",)),
}
_GRID = ("voxel_size", "point_cloud_range")
IGNORED = ("global_step", "pts_bbox_head.loss", "dense_head.hm_loss_func", "dense_head.reg_loss_func", "bbox_head.crit")
"""What may be there and is not used: counters and losses."""


class Dropped:
    """Stands for what a training logged beside its weights: it takes whatever it is given, and keeps nothing."""

    def __init__(self, *parts: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# MMEngine stores its curves: a class of its own that holds arrays and, in some versions, functions by their name.
_LOGS = [
    (Dropped, "mmengine.logging.history_buffer.HistoryBuffer"),
    (Dropped, "builtins.getattr"),
    (Dropped, "numpy.ndarray"),
    *((Dropped, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
]


Head = Literal["queries", "centres", "anchors", "anchors on several maps", "groups of anchors"]
_HEADS: tuple[tuple[str, str], ...] = (
    # a part of a name that only such a head has; which is read unless it is described by the toolbox that has it
    (".feature_adapt_", "CenterPoint with deformable convolutions"),
    ("bbox_head.heads.0.conv_cls.", "groups of anchors"),
    ("dense_head.rpn_heads.", "OpenPCDet's multi-head on anchors"),
    ("bbox_head.transformer.", "queries"),
    ("head.shared_conv.", "centres"),
    ("head.conv_cls.", "anchors"),
)


@dataclass(frozen=True)
class Source:
    """Tensors of a released file, and what is known of it.

    Args:
        head: a description where it is of another kind.
        grid: `voxel_size` and `point_cloud_range` in metres, as far as the file states them.
    """

    tensors: dict[str, Tensor]
    layout: Layout
    convention: Convention
    head: Head | str
    grid: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def read_source(path: str | Path, convention: Convention | None) -> Source:
    """A file's tensors in float32, its layout and its convention.

    Raises:
        CheckpointError: no layout that is known, or mmdetection3d's without a note of its version.
    """
    tensors, meta = read_parts(path, "a LiDAR detector")
    layout = _layout(tensors, path)
    if convention is None:
        convention = _convention(tensors, layout, meta, path)
    elif convention not in get_args(Convention):
        raise CheckpointError("no such convention", where=path, got=convention, wanted=" | ".join(get_args(Convention)))
    return Source(tensors, layout, convention, _head(tensors), _grid(model_options(meta)))


def read_parts(path: str | Path, kind: str) -> tuple[dict[str, Tensor], Mapping[Any, Any]]:
    """The network's tensors in float32, and what the file notes about itself; `kind` of network is for the message.

    Raises:
        CheckpointError: missing, damaged, or no names with tensors.
    """
    document: Any = read_weights(path, allow=_LOGS)
    meta: Any = {}
    if isinstance(document, Mapping):
        meta = document.get("meta") or {}
        for key in ("state_dict", "model_state", "model_state_dict", "model"):
            document = document.get(key, document)
    if not isinstance(document, Mapping) or not all(isinstance(t, Tensor) for t in document.values()):
        raise CheckpointError(f"not a checkpoint of {kind}", where=path, wanted="names and tensors")

    tensors = {name: t for name, t in document.items() if not name.startswith(IGNORED)}
    return to_float(tensors), meta if isinstance(meta, Mapping) else {}


def _head(tensors: Mapping[str, Tensor]) -> str:
    found = next((kind for mark, kind in _HEADS if any(mark in name for name in tensors)), "no known head")
    on_levels = found == "anchors" and any(".lateral_convs." in name for name in tensors)
    return "anchors on several maps" if on_levels else found


def _grid(options: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Size and range of the voxels in a config of any version, whose part around them has other names in each."""
    found = {}
    for option, value in options.items():
        part, _, key = option.rpartition(".")
        if key in _GRID and part.endswith("voxel_layer") and _is_numbers(value):
            found[key] = tuple(map(float, value))
    return found


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, int | float) for one in value)


def _layout(tensors: Mapping[str, Tensor], path: str | Path) -> Layout:
    starts = {name.split(".")[0] for name in tensors}
    if "dense_head" in starts:
        return "OpenPCDet"
    if any(name.startswith("bbox_head.tasks.") for name in tensors):
        return "CenterPoint"
    if starts & {"pts_bbox_head", "bbox_head"}:
        return "mmdetection3d"
    got = ", ".join(sorted(starts)[:8])
    wanted = "mmdetection3d, OpenPCDet or CenterPoint"
    raise CheckpointError("not a known layout of LiDAR detectors", where=path, got=got, wanted=wanted)


def _convention(tensors: Mapping[str, Tensor], layout: Layout, meta: Mapping[Any, Any], path: str | Path) -> Convention:
    if layout != "mmdetection3d":
        return "openpcdet" if layout == "OpenPCDet" else "clockwise"
    version = str(meta.get("mmdet3d_version", "1" if "mmengine_version" in meta else ""))
    if version:
        return "clockwise" if version.startswith("0.") else "ours"
    if any("bbox_head.transformer." in name for name in tensors):
        return "clockwise"  # Object DGCNN was written for versions before 1.0
    if not any(name.endswith(("bbox_head.conv_dir_cls.weight", "task_heads.0.rot.1.weight")) for name in tensors):
        return "ours"  # nothing in it that the convention changes
    do = "Add convention=ours for mmdetection3d from 1.0 on, convention=clockwise before; in Python settings={...}."
    raise CheckpointError("the file does not say what its boxes mean", where=path, do=do)
