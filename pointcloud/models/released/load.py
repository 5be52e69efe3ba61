"""CenterPoint, Object DGCNN, PointPillars and SECOND as authors and toolboxes released them, read strictly.

The layouts are those of `layouts`. What a box means in mmdetection3d changed with 1.0. If the file does not
record the version, `settings` must: `{"convention": "ours"}` from 1.0 on, `{"convention": "clockwise"}` before.

Refused by name: OpenPCDet's multi-head, heads with deformable convolutions, anchors on maps or of classes that no
published network here has. A second stage is refused as unknown tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from pointcloud.models.anchors.head import AnchorHead
from pointcloud.models.anchors.point_pillars import PillarSettings, PointPillarsSettings
from pointcloud.models.anchors.second import SecondDetectorSettings
from pointcloud.models.anchors.ssn import SsnHead
from pointcloud.models.center_point.decode import NUSCENES_CIRCLES, CenterDecodeSettings
from pointcloud.models.center_point.head import NUSCENES_TASKS, CenterHeadSettings
from pointcloud.models.center_point.model import CenterPointSettings
from pointcloud.models.layers.bev_backbones import VOXEL_BACKBONE, VOXEL_NECK, FpnSettings, SecondFpn
from pointcloud.models.layers.reg_net import RegNet
from pointcloud.models.layers.sparse_encoder import SparseEncoder
from pointcloud.models.object_dgcnn.model import ObjectDgcnnSettings
from pointcloud.models.object_dgcnn.released import QUIRKS, object_dgcnn_head_weights
from pointcloud.models.released import mmdet3d_nuscenes
from pointcloud.models.released.layouts import IGNORED, PREFIXES, Source, read_source
from pointcloud.models.released.weights import (
    anchor_head_weights,
    center_head_weights,
    fpn_weights,
    part,
    point_stack_weights,
    reg_net_weights,
    second_fpn_weights,
    second_weights,
    sparse_encoder_weights,
    ssn_head_weights,
    turned_yaws,
    under,
)
from pointcloud.structures.detector import LidarDetector, LidarDetectorSettings
from pointcloud.structures.features import width
from pointcloud.structures.voxels import VoxelSettings
from vol3d.checkpoint import load_strictly
from vol3d.errors import CheckpointError
from vol3d.terminal import say

Anchored = PillarSettings | SecondDetectorSettings
Published = CenterPointSettings | ObjectDgcnnSettings | Anchored

_HEAD = CenterHeadSettings(
    tasks=NUSCENES_TASKS, decode=CenterDecodeSettings(circles_m2=NUSCENES_CIRCLES, nms="rotated")
)
_VOXELS = {"encoder": "voxels", "backbone": VOXEL_BACKBONE, "neck": VOXEL_NECK}
NUSCENES = tuple(name for task in NUSCENES_TASKS for name in task)
KITTI = ("Car", "Pedestrian", "Cyclist")
RELEASED: dict[str, tuple[Published, tuple[str, ...]]] = {
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
    **{name: (settings, mmdet3d_nuscenes.CLASSES) for name, settings in mmdet3d_nuscenes.PUBLISHED.items()},
    "ssn-nuscenes": (mmdet3d_nuscenes.SSN, mmdet3d_nuscenes.SSN_CLASSES),
}


def load(name: str, path: str | Path, settings: Mapping[str, Any] | None = None) -> LidarDetector[Any]:
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
    _check_head(published, class_names, source, name, path)
    if source.layout == "mmdetection3d" and class_names == KITTI:
        class_names = ("Pedestrian", "Cyclist", "Car")
    try:
        known = type(published).model_validate(published.model_dump() | of_layout(published, source))
        sizes = type(published).model_validate(merged(known.model_dump(), changes))
    except ValidationError as error:
        raise CheckpointError("settings that cannot be", where=path, got=error.errors()[0]["msg"]) from error
    _check_grid(sizes.voxels, source, name, path)
    model = sizes.build(class_names)
    weights = our_weights(model, source)
    for key, tensor in model.state_dict().items():
        if key.endswith("num_batches_tracked"):  # counts nothing that predicting needs; safetensors often lack it
            weights.setdefault(key, tensor)
    load_strictly(model, weights, path)
    return model.eval()


def _check_grid(voxels: VoxelSettings, source: Source, name: str, path: str | Path) -> None:
    """Compares the grid with what the file states of it: no tensor shows how large the voxels were."""
    ours = {"voxel_size": voxels.voxel_size_m, "point_cloud_range": voxels.point_range_m}
    for key, stated in source.grid.items():
        if not np.allclose(stated, ours[key], rtol=0, atol=1e-4):
            what = f"trained with another `{key}` than {name}"
            raise CheckpointError(what, where=path, got=list(stated), wanted=list(ours[key]))
    if "voxel_size" not in source.grid:
        size = " x ".join(f"{length:g}" for length in voxels.voxel_size_m[:2])
        say(f"{path}: the file does not state its grid; cells of {size} m are taken, which {name} was published with")


def merged(known: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some of them changed, at any depth."""
    found = dict(known)
    for name, value in changes.items():
        value = value.model_dump() if isinstance(value, BaseModel) else value
        both = isinstance(value, Mapping) and isinstance(found.get(name), dict)
        found[name] = merged(found[name], value) if both else value
    return found


_HEAD_OF = {"centerpoint": "centres", "object_dgcnn": "queries", "ssn": "groups of anchors"}


def _check_head(
    published: Published, class_names: tuple[str, ...], source: Source, name: str, path: str | Path
) -> None:
    """Refuses another detector before its tensors are listed one by one."""
    anchored = "anchors on several maps" if isinstance(published.neck, FpnSettings) else "anchors"
    wanted = _HEAD_OF.get(published.name, anchored)
    if source.head != wanted:
        do = "Load it by its own name (vol3d models lists them); there is none for heads of other kinds."
        raise CheckpointError(f"not a file of {name}", where=path, got=source.head, wanted=wanted, do=do)
    if wanted == "queries" and source.convention != "clockwise":
        do = "Released weights of Object DGCNN are from before 1.0."
        raise CheckpointError("Object DGCNN's boxes in another convention", where=path, got=source.convention, do=do)
    if isinstance(published, Anchored) and wanted == anchored:
        rows = len(class_names) * sum(len(anchor.yaws) for anchor in published.head.anchors.values())
        got = next(len(t) for name, t in source.tensors.items() if name.endswith("head.conv_cls.weight"))
        if got != rows:
            do = f"Only the released network with its {len(class_names)} classes is read."
            raise CheckpointError(
                f"not a file of {name}: other classes or anchors", where=path, got=got, wanted=f"{rows} scores", do=do
            )


def of_layout(published: Published, source: Source) -> dict[str, Any]:
    """Settings that a layout, or the shapes of its tensors, decide."""
    points, encoder = (part(source.tensors, *PREFIXES[source.layout][n]) for n in (0, 1))
    found: dict[str, Any] = {}

    if not isinstance(published, SecondDetectorSettings):
        found |= _of_points(published, points, source)
    if not isinstance(published, PillarSettings):
        with_bias = any(".conv1.bias" in name for name in encoder)
        found["sparse"] = published.sparse.model_copy(update={"bias": with_bias})

    if isinstance(published, ObjectDgcnnSettings):
        return found | {"head": published.head.model_copy(update=QUIRKS)}
    if isinstance(published, CenterPointSettings):
        return found | _of_centres(published, source)
    return found | {"head": published.head.model_copy(update=_of_anchors(published, source))}


def _of_points(published: LidarDetectorSettings, points: Mapping[str, Tensor], source: Source) -> dict[str, Any]:
    """Settings of the pillar network; none where the file has no such network."""
    weights = [t for name, t in sorted(points.items()) if name.endswith("linear.weight")]
    if not weights:
        return {}
    columns = 3 + width(published.features)
    axes: dict[int, str] = {columns + 5: "xy", columns + 6: "xyz"}
    pillars = isinstance(published, PillarSettings) and any("pfn_layers" in name for name in points)
    return {
        "pillars": {
            "widths": tuple(len(t) for t in weights),
            "centre_offset": axes.get(weights[0].shape[1], "none"),
            "replace_xyz": source.layout == "mmdetection3d" and pillars,
        }
    }


def _of_centres(published: CenterPointSettings, source: Source) -> dict[str, Any]:
    """Settings of CenterPoint that a toolbox decides; the defaults are mmdetection3d's."""
    head = published.head
    if source.layout == "CenterPoint":
        loss = head.loss.model_copy(update={"positives": "objects"})
        decode = head.decode.model_copy(update={"per_cell": "best", "candidates": 1000})
        return {"head": head.model_copy(update={"loss": loss, "decode": decode})}
    if source.layout == "OpenPCDet":
        openpcdet = {"outside": "clamp", "rotation": 0.2, "velocity": 1.0, "box_count": "at_least_one"}
        loss = head.loss.model_copy(update=openpcdet)
        found: dict[str, Any] = {"head": head.model_copy(update={"loss": loss})}
        return found | ({"voxels": _all_points(published.voxels)} if published.encoder == "pillars" else {})
    return {}


def _all_points(voxels: VoxelSettings) -> VoxelSettings:
    """OpenPCDet's CenterPoint has dynamic pillars, of points at any height; their centre is that of the range."""
    low_x, low_y, low, high_x, high_y, high = voxels.point_range_m
    middle, length, width = (low + high) / 2, *voxels.voxel_size_m[:2]
    reach = 100.0  # m above and below: beyond what a scanner sees
    bounds = (low_x, low_y, middle - reach, high_x, high_y, middle + reach)
    return VoxelSettings(
        point_range_m=bounds, voxel_size_m=(length, width, 2 * reach), max_points=None, max_voxels=None
    )


def _of_anchors(published: Anchored, source: Source) -> dict[str, Any]:
    """Settings of the anchor head that a toolbox decides; all of them write 1.57 for a quarter turn."""
    if published in (*mmdet3d_nuscenes.PUBLISHED.values(), mmdet3d_nuscenes.SSN):
        return mmdet3d_nuscenes.of_convention(published.head, source.convention)
    yaws: tuple[float, ...] = (0.0, 1.57)
    if source.layout != "mmdetection3d":
        anchors = {name: a.model_copy(update={"yaws": yaws}) for name, a in published.head.anchors.items()}
        return {"direction_from": math.pi / 4, "anchors": anchors}
    if source.convention == "clockwise":
        yaws = turned_yaws(yaws)
    anchors = {
        name: a.model_copy(update={"yaws": yaws, "least": a.negative, "claim": True})
        for name, a in published.head.anchors.items()
    }
    centres = isinstance(published, PillarSettings)
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
    prefixes = PREFIXES[source.layout]
    points, encoder, backbone, neck, head = (part(source.tensors, *p) for p in prefixes)
    if prefixes[2] == prefixes[3]:  # backbone and neck are one part, of which the neck is `deblocks`
        backbone = {name: t for name, t in backbone.items() if not name.startswith("deblocks.")}
        neck = {name: t for name, t in neck.items() if name.startswith("deblocks.")}

    found = _unknown(source)
    found |= _encoder_weights(model, points, encoder)
    of_backbone = reg_net_weights if isinstance(model.get_submodule("backbone"), RegNet) else second_weights
    found |= under("backbone.", of_backbone(backbone))
    found |= under("neck.", _neck_weights(model.get_submodule("neck"), neck, source))
    return found | under("head.", _head_weights(model, head, source))


def _unknown(source: Source) -> dict[str, Tensor]:
    """Tensors that belong to no part, under their own names: strict loading refuses and lists them."""
    known = (*(prefix for prefixes in PREFIXES[source.layout] for prefix in prefixes), *IGNORED)
    return {name: t for name, t in source.tensors.items() if not name.startswith(known)}


def _encoder_weights(model: nn.Module, points: Mapping[str, Tensor], sparse: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the points and, where there are any, of the sparse convolutions; some models have both in an `encoder`."""
    modules = dict(model.named_modules())
    where = "encoder." if "encoder" in modules else ""
    middle = modules.get(f"{where}middle")
    if isinstance(middle, SparseEncoder):
        sparse = sparse_encoder_weights(middle, sparse)
    return under(f"{where}points.", point_stack_weights(points)) | under(f"{where}middle.", sparse)


def _head_weights(model: nn.Module, head: Mapping[str, Tensor], source: Source) -> dict[str, Tensor]:
    if source.head == "queries":
        return object_dgcnn_head_weights(head)
    if source.head == "centres":
        return center_head_weights(head, source.convention)
    ours = model.get_submodule("head")
    if isinstance(ours, SsnHead):
        return ssn_head_weights(head)
    return anchor_head_weights(head, source.convention, ours.columns if isinstance(ours, AnchorHead) else 7)


def _neck_weights(neck: nn.Module, tensors: Mapping[str, Tensor], source: Source) -> dict[str, Tensor]:
    if not isinstance(neck, SecondFpn):
        return fpn_weights(tensors)
    plain = source.layout == "CenterPoint" or (source.layout == "mmdetection3d" and source.head == "centres")
    stride_one: Literal["convolution", "transposed"] = "convolution" if plain else "transposed"
    return second_fpn_weights(neck, tensors, stride_one)
