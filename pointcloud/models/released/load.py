"""CenterPoint, Object DGCNN, PointPillars and SECOND as authors and toolboxes released them, read strictly.

The layouts are those of `lidar_layouts`. What a box means in mmdetection3d changed with 1.0. Where the file does not
say which it is, `settings` must: `{"convention": "ours"}` from 1.0 on, `{"convention": "clockwise"}` before.

Refused by name: anchors on several maps and on nuScenes (mmdetection3d's FPN and SECFPN), OpenPCDet's multi-head, heads
with deformable convolutions. A second stage is told as tensors too many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from pointcloud.models.anchors.point_pillars import PointPillarsSettings
from pointcloud.models.anchors.second import SecondDetectorSettings
from pointcloud.models.center_point.head import (
    NUSCENES_CIRCLES,
    NUSCENES_TASKS,
    CenterDecodeSettings,
    CenterHeadSettings,
)
from pointcloud.models.center_point.model import CenterPointSettings
from pointcloud.models.layers.bev_backbones import VOXEL_BACKBONE, VOXEL_NECK, SecondFpn
from pointcloud.models.layers.bev_encoder import BevSettings
from pointcloud.models.layers.sparse_encoder import SparseEncoder
from pointcloud.models.object_dgcnn.model import ObjectDgcnnSettings
from pointcloud.models.object_dgcnn.released import QUIRKS, object_dgcnn_head_weights
from pointcloud.models.released.layouts import IGNORED, PREFIXES, Source, read_source
from pointcloud.models.released.weights import (
    anchor_head_weights,
    center_head_weights,
    fpn_weights,
    part,
    point_stack_weights,
    second_fpn_weights,
    second_weights,
    sparse_encoder_weights,
    turned_yaws,
    under,
)
from pointcloud.structures.voxels import VoxelSettings
from vol3d.checkpoint import load_strictly
from vol3d.errors import CheckpointError

Detector = CenterPointSettings | ObjectDgcnnSettings | PointPillarsSettings | SecondDetectorSettings

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
    "object-dgcnn-pillar": (ObjectDgcnnSettings(), NUSCENES),
    "object-dgcnn-voxel": (ObjectDgcnnSettings.on_voxels(), NUSCENES),
    "pointpillars-kitti": (PointPillarsSettings(), KITTI),
    "second-kitti": (SecondDetectorSettings(), KITTI),
}


def load_center_point_pillar(path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """CenterPoint on pillars of 0.2 m; as `load_lidar`."""
    return load_lidar("centerpoint-pillar", path, settings)


def load_center_point_voxel(path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """CenterPoint on voxels of 0.1 m; as `load_lidar`."""
    return load_lidar("centerpoint-voxel", path, settings)


def load_center_point_voxel_0075(path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """CenterPoint on voxels of 0.075 m; as `load_lidar`."""
    return load_lidar("centerpoint-voxel-0075", path, settings)


def load_object_dgcnn_pillar(path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """Object DGCNN on pillars; as `load_lidar`."""
    return load_lidar("object-dgcnn-pillar", path, settings)


def load_object_dgcnn_voxel(path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """Object DGCNN on voxels; as `load_lidar`."""
    return load_lidar("object-dgcnn-voxel", path, settings)


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
        CheckpointError: the file is damaged, of another kind of network, does not say its convention, lacks a tensor or
            has one too many; the message lists them.
    """
    changes = dict(settings or {})
    source = read_source(path, changes.pop("convention", None))
    published, class_names = RELEASED[name]
    _check_head(published, source, name, path)
    if source.layout == "mmdetection3d" and class_names == KITTI:
        class_names = ("Pedestrian", "Cyclist", "Car")
    try:
        known = type(published).model_validate(published.model_dump() | of_layout(published, source))
        sizes = type(published).model_validate(merged(known.model_dump(), changes))
    except ValidationError as error:
        raise CheckpointError("settings that cannot be", where=path, got=error.errors()[0]["msg"]) from error
    model = sizes.build(class_names)
    weights = our_weights(model, source)
    for key, tensor in model.state_dict().items():
        if key.endswith("num_batches_tracked"):  # counts nothing that predicting needs; safetensors often lack it
            weights.setdefault(key, tensor)
    load_strictly(model, weights, path)
    return model.eval()


def merged(known: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some of them changed, at any depth."""
    found = dict(known)
    for name, value in changes.items():
        value = value.model_dump() if isinstance(value, BaseModel) else value
        both = isinstance(value, Mapping) and isinstance(found.get(name), dict)
        found[name] = merged(found[name], value) if both else value
    return found


def _check_head(published: Detector, source: Source, name: str, path: str | Path) -> None:
    """Refuses another detector before its tensors are listed one by one."""
    wanted = {"centerpoint": "centres", "object_dgcnn": "queries"}.get(published.name, "anchors")
    if source.head != wanted:
        do = "Load it by its own name (vol3d models lists them); there is none for heads of other kinds."
        raise CheckpointError(f"not a file of {name}", where=path, got=source.head, wanted=wanted, do=do)
    if wanted == "queries" and source.convention != "clockwise":
        do = "Released weights of Object DGCNN are from before 1.0."
        raise CheckpointError("Object DGCNN's boxes in another convention", where=path, got=source.convention, do=do)
    if isinstance(published, PointPillarsSettings | SecondDetectorSettings):
        anchors = published.head.anchors
        rows = len(anchors) * sum(len(anchor.yaws) for anchor in anchors.values())
        got = next(len(t) for name, t in source.tensors.items() if name.endswith("head.conv_cls.weight"))
        if got != rows:
            do = "Only the released networks with KITTI's three classes are read."
            raise CheckpointError(
                f"not a file of {name}: other classes or anchors", where=path, got=got, wanted=f"{rows} scores", do=do
            )


def of_layout(published: Detector, source: Source) -> dict[str, Any]:
    """Settings that a layout, or the shapes of its tensors, decide."""
    found: dict[str, Any] = {}
    mmdet3d = source.layout == "mmdetection3d"
    points, encoder = (part(source.tensors, *PREFIXES[source.layout][n]) for n in (0, 1))
    if not isinstance(published, SecondDetectorSettings):
        widths = [t for name, t in sorted(points.items()) if name.endswith("linear.weight")]
        columns = 5 if isinstance(published, BevSettings) else 4
        if widths:
            axes: dict[int, str] = {columns + 5: "xy", columns + 6: "xyz"}
            found["pillars"] = {
                "widths": tuple(len(t) for t in widths),
                "centre_offset": axes.get(widths[0].shape[1], "none"),
                "replace_xyz": mmdet3d and isinstance(published, PointPillarsSettings),
            }
    if not isinstance(published, PointPillarsSettings):
        found["sparse"] = published.sparse.model_copy(update={"bias": any(".conv1.bias" in name for name in encoder)})
    if isinstance(published, ObjectDgcnnSettings):
        found["head"] = published.head.model_copy(update=QUIRKS)
    elif not isinstance(published, CenterPointSettings):
        found["head"] = published.head.model_copy(update=_of_anchors(published, source))
    elif source.layout == "CenterPoint":
        loss = published.head.loss.model_copy(update={"positives": "objects"})
        decode = published.head.decode.model_copy(update={"per_cell": "best", "candidates": 1000})
        found["head"] = published.head.model_copy(update={"loss": loss, "decode": decode})
    elif source.layout == "OpenPCDet":
        openpcdet = {"outside": "clamp", "rotation": 0.2, "velocity": 1.0, "box_count": "at_least_one"}
        loss = published.head.loss.model_copy(update=openpcdet)
        found["head"] = published.head.model_copy(update={"loss": loss})
        if published.encoder == "pillars":
            found["voxels"] = _all_points(published.voxels)
    return found


def _all_points(voxels: VoxelSettings) -> VoxelSettings:
    """OpenPCDet's CenterPoint has dynamic pillars, of points at any height; their centre is that of the range."""
    low_x, low_y, low, high_x, high_y, high = voxels.point_range_m
    middle, length, width = (low + high) / 2, *voxels.voxel_size_m[:2]
    reach = 100.0  # m above and below: beyond what a scanner sees
    bounds = (low_x, low_y, middle - reach, high_x, high_y, middle + reach)
    return VoxelSettings(
        point_range_m=bounds, voxel_size_m=(length, width, 2 * reach), max_points=None, max_voxels=None
    )


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
    where = "encoder." if hasattr(model, "encoder") else ""
    middle = dict(model.named_modules()).get(f"{where}middle")
    if isinstance(middle, SparseEncoder):
        encoder = sparse_encoder_weights(middle, encoder)
    found |= under(f"{where}points.", point_stack_weights(points)) | under(f"{where}middle.", encoder)
    joint = PREFIXES[source.layout][2] == PREFIXES[source.layout][3]
    blocks = {name: t for name, t in backbone.items() if not joint or not name.startswith("deblocks.")}
    raised = {name: t for name, t in neck.items() if not joint or name.startswith("deblocks.")}
    found |= under("backbone.", second_weights(blocks))
    found |= under("neck.", _neck_weights(model.neck, raised, source))  # type: ignore[arg-type]
    if source.head == "queries":
        return found | under("head.", object_dgcnn_head_weights(head))
    if source.head == "centres":
        return found | under("head.", center_head_weights(head, source.convention))
    return found | under("head.", anchor_head_weights(head, source.convention))


def _neck_weights(neck: nn.Module, tensors: Mapping[str, Tensor], source: Source) -> dict[str, Tensor]:
    if not isinstance(neck, SecondFpn):
        return fpn_weights(tensors)
    plain = source.layout == "CenterPoint" or (source.layout == "mmdetection3d" and source.head == "centres")
    stride_one: Literal["convolution", "transposed"] = "convolution" if plain else "transposed"
    return second_fpn_weights(neck, tensors, stride_one)
