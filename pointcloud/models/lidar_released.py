"""CenterPoint, PointPillars and SECOND as their authors and the toolboxes released them, read strictly.

The layout is told by the names of the tensors:

    mmdetection3d   pts_voxel_encoder. pts_bbox_head. ..., or voxel_encoder. bbox_head. ... (`state_dict`)
    OpenPCDet       vfe. backbone_3d. backbone_2d. dense_head. (`model_state`)
    CenterPoint     reader. backbone. neck. bbox_head.tasks. (`state_dict`)

What a box means in mmdetection3d changed with 1.0. Where the file does not say which it is, `settings` must:
`{"convention": "ours"}` from 1.0 on, `{"convention": "clockwise"}` before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError
from torch import Tensor, nn

from pointcloud.models.bev_backbones import VOXEL_BACKBONE, VOXEL_NECK
from pointcloud.models.center_head import NUSCENES_CIRCLES, NUSCENES_TASKS, CenterDecodeSettings, CenterHeadSettings
from pointcloud.models.center_point import CenterPoint, CenterPointSettings
from pointcloud.models.lidar_weights import (
    Convention,
    anchor_head_weights,
    center_head_weights,
    part,
    point_stack_weights,
    second_fpn_weights,
    second_weights,
    sparse_encoder_weights,
    to_float,
    turned_yaws,
    under,
)
from pointcloud.models.point_pillars import PointPillarsSettings
from pointcloud.models.second import SecondDetectorSettings
from pointcloud.models.sparse_encoder import SparseEncoder
from pointcloud.models.voxel_encoders import VoxelSettings
from vol3d.checkpoint import load_strictly, read_weights
from vol3d.errors import CheckpointError

Layout = Literal["mmdetection3d", "OpenPCDet", "CenterPoint"]
Detector = CenterPointSettings | PointPillarsSettings | SecondDetectorSettings

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
IGNORED = ("global_step", "pts_bbox_head.loss", "dense_head.hm_loss_func", "dense_head.reg_loss_func", "bbox_head.crit")
"""What may be there and is not used: counters and losses."""

_HEAD = CenterHeadSettings(
    tasks=NUSCENES_TASKS, decode=CenterDecodeSettings(circles_m2=NUSCENES_CIRCLES, nms="rotated")
)
_VOXELS = {"encoder": "voxels", "backbone": VOXEL_BACKBONE, "neck": VOXEL_NECK}
NUSCENES = tuple(name for task in NUSCENES_TASKS for name in task)
KITTI = ("Car", "Pedestrian", "Cyclist")
RELEASED: dict[str, tuple[Detector, tuple[str, ...]]] = {
    "centerpoint-pillar": (CenterPointSettings(head=_HEAD, voxels=VoxelSettings(max_voxels=60000)), NUSCENES),
    "centerpoint-voxel": (
        CenterPointSettings(
            **_VOXELS,
            head=_HEAD,
            voxels=VoxelSettings(voxel_size_m=(0.1, 0.1, 0.2), max_points=10, max_voxels=120000),
        ),
        NUSCENES,
    ),
    "centerpoint-voxel-0075": (
        CenterPointSettings(
            **_VOXELS,
            head=_HEAD,
            voxels=VoxelSettings(
                point_range_m=(-54.0, -54.0, -5.0, 54.0, 54.0, 3.0),
                voxel_size_m=(0.075, 0.075, 0.2),
                max_points=10,
                max_voxels=160000,
            ),
        ),
        NUSCENES,
    ),
    "pointpillars-kitti": (PointPillarsSettings(), KITTI),
    "second-kitti": (SecondDetectorSettings(), KITTI),
}


@dataclass(frozen=True)
class Source:
    """Tensors of a released file, and what is known of it."""

    tensors: dict[str, Tensor]
    layout: Layout
    convention: Convention


def load_center_point_pillar(path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """CenterPoint on pillars of 0.2 m; as `load_lidar`."""
    return load_lidar("centerpoint-pillar", path, settings)


def load_center_point_voxel(path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """CenterPoint on voxels of 0.1 m; as `load_lidar`."""
    return load_lidar("centerpoint-voxel", path, settings)


def load_center_point_voxel_0075(path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """CenterPoint on voxels of 0.075 m; as `load_lidar`."""
    return load_lidar("centerpoint-voxel-0075", path, settings)


def load_point_pillars(path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """PointPillars with KITTI's three classes; as `load_lidar`."""
    return load_lidar("pointpillars-kitti", path, settings)


def load_second(path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """SECOND with KITTI's three classes; as `load_lidar`."""
    return load_lidar("second-kitti", path, settings)


def load_lidar(name: str, path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """A released LiDAR detector in evaluation mode.

    Args:
        name: a key of `RELEASED`.
        path: the released file, or the same tensors as safetensors.
        settings: `convention` (see the head of the file), and settings of the model that differ from the published.

    Raises:
        CheckpointError: the file is damaged, of another network, does not say its convention, lacks a tensor or has one
            too many; the message lists them.
    """
    changes = dict(settings or {})
    source = read_source(path, changes.pop("convention", None))
    published, class_names = RELEASED[name]
    if source.layout == "mmdetection3d" and class_names == KITTI:
        class_names = ("Pedestrian", "Cyclist", "Car")
    values = published.model_dump() | of_layout(published, source) | changes
    try:
        sizes = type(published).model_validate(values)
    except ValidationError as error:
        raise CheckpointError("settings that cannot be", where=path, got=error.errors()[0]["msg"]) from error
    model = sizes.build(class_names)
    weights = our_weights(model, source)
    for key, tensor in model.state_dict().items():
        if key.endswith("num_batches_tracked"):  # counts nothing that predicting needs; safetensors often lack it
            weights.setdefault(key, tensor)
    load_strictly(model, weights, path)
    return model.eval()


def of_layout(published: Detector, source: Source) -> dict[str, Any]:
    """Settings that a layout, or the shapes of its tensors, decide."""
    found: dict[str, Any] = {}
    mmdet3d = source.layout == "mmdetection3d"
    points, encoder = (part(source.tensors, *PREFIXES[source.layout][n]) for n in (0, 1))
    if not isinstance(published, SecondDetectorSettings):
        widths = [t for name, t in sorted(points.items()) if name.endswith("linear.weight")]
        columns = 5 if isinstance(published, CenterPointSettings) else 4
        if widths:
            axes: dict[int, str] = {columns + 5: "xy", columns + 6: "xyz"}
            found["pillars"] = {
                "widths": tuple(len(t) for t in widths),
                "centre_offset": axes.get(widths[0].shape[1], "none"),
                "replace_xyz": mmdet3d and isinstance(published, PointPillarsSettings),
            }
    if not isinstance(published, PointPillarsSettings):
        found["sparse"] = published.sparse.model_copy(update={"bias": any(".conv1.bias" in name for name in encoder)})
    if not isinstance(published, CenterPointSettings):
        found["head"] = published.head.model_copy(update=_of_anchors(published, source))
    elif source.layout == "CenterPoint":
        loss = published.head.loss.model_copy(update={"positives": "objects"})
        decode = published.head.decode.model_copy(update={"per_cell": "best", "candidates": 1000})
        found["head"] = published.head.model_copy(update={"loss": loss, "decode": decode})
    elif source.layout == "OpenPCDet":
        loss = published.head.loss.model_copy(update={"outside": "clamp", "rotation": 0.2, "velocity": 1.0})
        found["head"] = published.head.model_copy(update={"loss": loss})
    return found


def _of_anchors(published: PointPillarsSettings | SecondDetectorSettings, source: Source) -> dict[str, Any]:
    """Settings of the anchor head that a toolbox decides; all of them write 1.57 for a quarter turn."""
    yaws: tuple[float, ...] = (0.0, 1.57)
    if source.layout != "mmdetection3d":
        anchors = {name: a.model_copy(update={"yaws": yaws}) for name, a in published.head.anchors.items()}
        return {"direction_from": math.pi / 4, "anchors": anchors}
    if source.convention == "clockwise":
        yaws = turned_yaws(yaws)
    anchors = {
        name: a.model_copy(update={"yaws": yaws, "least": a.negative}) for name, a in published.head.anchors.items()
    }
    centres = isinstance(published, PointPillarsSettings)
    return {
        "anchors": anchors,
        "placement": "centres" if centres else "corners",
        "direction_from": -math.pi / 2,
        "per": "batch",
        "nms_classes": "apart",
        "nms_before": 100,
        "nms_after": 50,
    }


def our_weights(model: nn.Module, source: Source) -> dict[str, Tensor]:
    """Every tensor of the file under our names."""
    points, encoder, backbone, neck, head = (part(source.tensors, *p) for p in PREFIXES[source.layout])
    known = tuple(prefix for prefixes in PREFIXES[source.layout] for prefix in prefixes)
    found = {name: t for name, t in source.tensors.items() if not name.startswith((*known, *IGNORED))}
    stem, where = (model.encoder, "encoder.") if isinstance(model, CenterPoint) else (model, "")
    found |= under(f"{where}points.", point_stack_weights(points))
    if isinstance(getattr(stem, "middle", None), SparseEncoder):
        encoder = sparse_encoder_weights(stem.middle, encoder)  # type: ignore[arg-type]
    found |= under(f"{where}middle.", encoder)
    joint = PREFIXES[source.layout][2] == PREFIXES[source.layout][3]
    blocks = {name: t for name, t in backbone.items() if not joint or not name.startswith("deblocks.")}
    raised = {name: t for name, t in neck.items() if not joint or name.startswith("deblocks.")}
    found |= under("backbone.", second_weights(blocks))
    center = isinstance(model, CenterPoint)
    plain = source.layout == "CenterPoint" or (source.layout == "mmdetection3d" and center)
    stride_one: Literal["convolution", "transposed"] = "convolution" if plain else "transposed"
    found |= under("neck.", second_fpn_weights(model.neck, raised, stride_one))  # type: ignore[arg-type]
    if center:
        return found | under("head.", center_head_weights(head, source.convention))
    return found | under("head.", anchor_head_weights(head, source.convention))


def read_source(path: str | Path, convention: Convention | None) -> Source:
    """A file's tensors in float32, its layout and its convention.

    Raises:
        CheckpointError: no layout that is known, or mmdetection3d's without a hint of its version.
    """
    document = read_weights(path)
    meta: Any = {}
    if isinstance(document, Mapping):
        meta = document.get("meta") or {}
        for key in ("state_dict", "model_state"):
            document = document.get(key, document)
    if not isinstance(document, Mapping) or not all(isinstance(t, Tensor) for t in document.values()):
        raise CheckpointError("not a checkpoint of a LiDAR detector", where=path, wanted="names and tensors")
    tensors = to_float({name: t for name, t in document.items() if not name.startswith(IGNORED)})
    layout = _layout(tensors, path)
    if convention is not None and convention not in get_args(Convention):
        raise CheckpointError("no such convention", where=path, got=convention, wanted=" | ".join(get_args(Convention)))
    if convention is None:
        convention = _convention(tensors, layout, meta if isinstance(meta, Mapping) else {}, path)
    return Source(tensors, layout, convention)


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
    if not any(name.endswith(("bbox_head.conv_dir_cls.weight", "task_heads.0.rot.1.weight")) for name in tensors):
        return "ours"  # nothing in it that the convention changes
    do = 'Say {"convention": "ours"} for mmdetection3d from 1.0 on, {"convention": "clockwise"} before.'
    raise CheckpointError("the file does not say what its boxes mean", where=path, do=do)
