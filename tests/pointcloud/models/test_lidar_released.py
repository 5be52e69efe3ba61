"""Released LiDAR detectors in every layout: strict, with the numbers of the network that was stored."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import vol3d
from pointcloud.conventions import boxes_from_mmdet3d_before_1_0
from pointcloud.models.anchors.anchors import AnchorSettings, decode_offsets
from pointcloud.models.anchors.head import AnchorHeadSettings, facing
from pointcloud.models.layers.bev_backbones import FpnSettings, SecondFpnSettings, SecondSettings
from pointcloud.models.layers.reg_net import RegNetSettings
from pointcloud.models.layers.sparse_encoder import SparseEncoderSettings
from pointcloud.models.layers.voxel_encoders import encode_voxels
from pointcloud.models.released import mmdet3d_nuscenes
from pointcloud.models.released.load import RELEASED, load, merged
from pointcloud.models.released.weights import anchor_head_weights, turned_yaws
from tests.pointcloud.models.official_lidar import export, randomise
from vol3d.checkpoint import read_weights
from vol3d.errors import CheckpointError
from vol3d.geometry import wrap_yaw
from vol3d.terminal import speaking

CENTER = {
    "backbone": SecondSettings(widths=(8, 12), layers=(1, 2), strides=(1, 2)),
    "neck": SecondFpnSettings(widths=(8, 8), upsample=(1, 2)),
}
SMALL: dict[str, dict[str, Any]] = {
    "centerpoint-pillar": {
        **CENTER,
        "voxels": {"point_range_m": (-8, -8, -5, 8, 8, 3), "voxel_size_m": (0.5, 0.5, 8), "max_points": 5},
    },
    "centerpoint-voxel": {
        **CENTER,
        "voxels": {"point_range_m": (-8, -8, -5, 8, 8, 3), "voxel_size_m": (0.25, 0.25, 0.2), "max_points": 5},
    },
    "pointpillars-kitti": {
        **CENTER,
        "voxels": {"point_range_m": (-8, -8, -3, 8, 8, 1), "voxel_size_m": (0.5, 0.5, 4), "max_points": 5},
    },
    "second-kitti": {
        **CENTER,
        "voxels": {"point_range_m": (-8, -8, -3, 8, 8, 1), "voxel_size_m": (0.25, 0.25, 0.1), "max_points": 5},
    },
}
SMALL["pointpillars-fpn-nuscenes"] = {
    "backbone": CENTER["backbone"],
    "neck": FpnSettings(width=8, levels=2),
    "head": {"scales": (1.0, 2.0)},
    "voxels": {"point_range_m": (-8, -8, -5, 8, 8, 3), "voxel_size_m": (0.5, 0.5, 8), "max_points": 5},
}
SMALL["regnet-secfpn-nuscenes"] = {
    "backbone": RegNetSettings(first_width=8, slope=8.0, step=2.0, depth=4, group_width=8, strides=(1, 2, 2)),
    "neck": SecondFpnSettings(widths=(8, 8), upsample=(1, 2)),
    "head": {"range_m": (-7.9, -7.9, 7.9, 7.9)},
    "voxels": {"point_range_m": (-8, -8, -5, 8, 8, 3), "voxel_size_m": (0.5, 0.5, 8), "max_points": 5},
}
SMALL["free-anchor-nuscenes"] = SMALL["pointpillars-fpn-nuscenes"]
SMALL["ssn-nuscenes"] = {
    **CENTER,
    "voxels": {"point_range_m": (-8, -8, -5, 8, 8, 3), "voxel_size_m": (0.5, 0.5, 8), "max_points": 5},
}
CASES = [
    (name, layout, spconv)
    for name in SMALL
    for layout in ("mmdetection3d", "OpenPCDet", "CenterPoint")
    for spconv in (1, 2)
    if not (layout == "CenterPoint" and "kitti" in name)
    and not (spconv == 2 and ("pillar" in name or "nuscenes" in name))
    and not (layout != "mmdetection3d" and "nuscenes" in name)
]


def stored(name: str, layout: str) -> Any:
    """A small network of the kind that the layout's authors trained."""
    published, classes = RELEASED[name]
    changes = dict(SMALL[name])
    if layout == "mmdetection3d" and "kitti" in name:
        classes = ("Pedestrian", "Cyclist", "Car")
    if name == "centerpoint-voxel":
        changes["sparse"] = SparseEncoderSettings(bias=layout != "mmdetection3d")
    model = type(published).model_validate(merged(published.model_dump(), changes)).build(classes)
    randomise(model)
    return model.eval()


def cloud(columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(600, columns, generator=generator)
    points[:, :3] = points[:, :3] * torch.tensor([14.0, 14.0, 3.0]) - torch.tensor([7.0, 7.0, 2.5])
    return points


@pytest.mark.parametrize(("name", "layout", "spconv"), CASES)
def test_a_stored_network_comes_back(name: str, layout: str, spconv: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = stored(name, layout)
    clockwise = layout == "CenterPoint"
    tensors = export(model, layout, spconv=spconv, clockwise=clockwise, vfe="nuscenes" in name)
    key = "model_state" if layout == "OpenPCDet" else "state_dict"
    torch.save({key: tensors, "meta": {"mmdet3d_version": "1.4.0"}}, tmp_path / "a.pth")
    loaded = load(name, tmp_path / "a.pth", SMALL[name])
    assert not loaded.training
    points = cloud(5 if "centerpoint" in name else 4)
    found, wanted = loaded([points]), model([points])
    if loaded.settings.model_dump().get("pillars", {}).get("replace_xyz"):
        assert not torch.allclose(found.bev, wanted.bev)  # mmdetection3d's pillars see other inputs
        model.points.settings = loaded.points.settings
        wanted = model([points])
    torch.testing.assert_close(found.bev, wanted.bev, rtol=1e-4, atol=1e-4)
    first, second = (p.outputs if isinstance(p.outputs[0], torch.Tensor) else p.outputs[0] for p in (found, wanted))
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_boxes_of_mmdetection3d_before_1_0_are_turned(tmp_path: Path) -> None:
    model = stored("centerpoint-pillar", "mmdetection3d")
    torch.save(export(model, "mmdetection3d", clockwise=True), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="does not say what its boxes mean"):
        vol3d.load_released("centerpoint-pillar", tmp_path / "a.pth", SMALL["centerpoint-pillar"])
    settings = {**SMALL["centerpoint-pillar"], "convention": "clockwise"}
    loaded = vol3d.load_released("centerpoint-pillar", tmp_path / "a.pth", settings)
    points = cloud(5)
    for a, b in zip(loaded([points]).outputs[0], model([points]).outputs[0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("columns", [7, 9])
def test_anchors_of_mmdetection3d_before_1_0_give_the_same_boxes(columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    said, direction = torch.randn(2, columns, generator=generator) * 0.3, torch.randn(2, 2, generator=generator)
    size, place = torch.tensor([1.6, 3.9, 1.5]), torch.tensor([5.0, 1.0, -1.0])  # w l h; bottom
    wanted = []
    for yaw, offsets, side in zip((0.0, 1.57), said, direction, strict=True):
        box = offsets.clone()  # velocities stay
        box[:2] = place[:2] + offsets[:2] * size[:2].norm()
        box[3:6] = size * offsets[3:6].exp()
        box[2] = place[2] + size[2] / 2 + offsets[2] * size[2] - box[5] / 2
        if columns == 7:
            box[6] = (yaw + offsets[6]) % math.pi - math.pi + math.pi * int(side.argmax())
        else:  # on nuScenes directions begin at an eighth of a turn
            begin = mmdet3d_nuscenes.QUARTER
            box[6] = (yaw + offsets[6] - begin) % math.pi + begin + math.pi * int(side.argmax())
        wanted.append(boxes_from_mmdet3d_before_1_0(box))
    tensors = {"conv_reg.bias": said.flatten(), "conv_dir_cls.bias": direction.flatten()}
    ours = anchor_head_weights(tensors, "clockwise", columns)
    rule = AnchorSettings(size_m=(3.9, 1.6, 1.5), z_m=-0.25, yaws=turned_yaws((0.0, 1.57)))
    anchors = torch.tensor([[5.0, 1.0, rule.z_m, *rule.size_m, yaw] for yaw in rule.yaws])
    boxes = decode_offsets(ours["offsets.bias"].view(2, columns), anchors)
    head = mmdet3d_nuscenes.PUBLISHED["regnet-secfpn-nuscenes"].head
    begin = -math.pi / 2 if columns == 7 else mmdet3d_nuscenes.of_convention(head, "clockwise")["direction_from"]
    boxes[:, 6] = facing(boxes[:, 6], ours["directions.bias"].view(2, 2).argmax(dim=1), begin)
    away = boxes - torch.stack(wanted)
    away[:, 6] = wrap_yaw(away[:, 6])
    torch.testing.assert_close(away, torch.zeros_like(away), atol=1e-5, rtol=1e-5)


def test_halves_are_read_and_counters_may_be_missing(tmp_path: Path) -> None:
    model = stored("centerpoint-pillar", "OpenPCDet").half()
    tensors = {k: t for k, t in export(model, "OpenPCDet").items() if not k.endswith("num_batches_tracked")}
    tensors["global_step"] = torch.tensor([5])
    torch.save({"model_state": tensors, "epoch": 3}, tmp_path / "a.pth")
    loaded = load("centerpoint-pillar", tmp_path / "a.pth", SMALL["centerpoint-pillar"])
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dense_head.heads_list.0.hm.1.bias": None}, "1 missing: head.tasks.0.outputs.heatmap.1.bias"),
        ({"dense_head.dcn.weight": torch.ones(2)}, "1 unexpected: head.dcn.weight"),
        ({"roi_head.weight": torch.ones(2)}, "1 unexpected: roi_head.weight"),
        ({"backbone_3d.conv1.weight": torch.ones(2)}, "1 unexpected: encoder.middle.conv1.weight"),
        ({"backbone_2d.blocks.0.1.weight": torch.ones(2)}, "1 other shape: backbone.blocks.0.0.0.weight"),
    ],
)
def test_every_tensor_counts(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    tensors: dict[str, Any] = export(stored("centerpoint-pillar", "OpenPCDet"), "OpenPCDet") | change
    torch.save({k: t for k, t in tensors.items() if t is not None}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=message):
        load("centerpoint-pillar", tmp_path / "a.pth", SMALL["centerpoint-pillar"])


def test_a_grid_that_the_file_states_is_the_published_one(tmp_path: Path, capsys) -> None:
    """The tensors of CenterPoint on voxels of 0.1 m and of 0.075 m have the same names and shapes."""
    tensors = export(stored("centerpoint-voxel", "mmdetection3d"), "mmdetection3d")
    config = "model = dict({part}voxel_layer=dict(voxel_size=[0.075, 0.075, 0.2], max_num_points=10){end})"
    for part, end in (("pts_", ""), ("data_preprocessor=dict(", ")")):
        meta = {"mmdet3d_version": "1.4.0", "cfg": config.format(part=part, end=end)}
        torch.save({"state_dict": tensors, "meta": meta}, tmp_path / "a.pth")
        with pytest.raises(CheckpointError, match=r"another `voxel_size` .* got \[0.075, .* wanted \[0.25, "):
            load("centerpoint-voxel", tmp_path / "a.pth", SMALL["centerpoint-voxel"])
    torch.save({"state_dict": tensors, "meta": {"mmdet3d_version": "1.4.0"}}, tmp_path / "a.pth")
    with speaking():
        load("centerpoint-voxel", tmp_path / "a.pth", SMALL["centerpoint-voxel"])
    assert "does not state its grid" in capsys.readouterr().err


def test_files_of_other_things_are_refused(tmp_path: Path) -> None:
    torch.save({"encoder.weight": torch.ones(2)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="not a known layout"):
        load("second-kitti", tmp_path / "a.pth")
    torch.save([1, 2], tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="not a checkpoint of a LiDAR detector"):
        load("second-kitti", tmp_path / "b.pth")
    torch.save(export(stored("pointpillars-kitti", "mmdetection3d"), "mmdetection3d"), tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match="no such convention"):
        load("pointpillars-kitti", tmp_path / "c.pth", {"convention": "left"})


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        ("pointpillars-kitti", "dense_head.rpn_heads.0.conv_cls.weight", "got OpenPCDet's multi-head on anchors"),
        ("centerpoint-voxel", "bbox_head.tasks.0.feature_adapt_cls.conv_offset.weight", "deformable convolutions"),
        ("centerpoint-voxel", "pts_bbox_head.task_heads.0.feature_adapt_reg.0.weight", "deformable convolutions"),
        ("second-kitti", "bbox_head.transformer.level_embeds", "got queries, wanted anchors"),
        ("object-dgcnn-voxel", "pts_bbox_head.task_heads.0.reg.1.weight", "got no known head, wanted queries"),
    ],
)
def test_heads_of_other_kinds_are_named(name: str, key: str, message: str, tmp_path: Path) -> None:
    tensors = {key: torch.ones(2), "pts_bbox_head.other": torch.ones(2)}
    torch.save({"state_dict": tensors, "meta": {"mmdet3d_version": "0.17.1"}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=message):
        load(name, tmp_path / "a.pth")


def test_anchors_on_several_maps_and_of_other_classes_are_refused(tmp_path: Path) -> None:
    tensors = export(stored("pointpillars-kitti", "mmdetection3d"), "mmdetection3d")
    meta = {"mmdet3d_version": "1.4.0"}
    levels = {**tensors, "pts_neck.lateral_convs.0.conv.weight": torch.ones(2)}
    torch.save({"state_dict": levels, "meta": meta}, tmp_path / "levels.pth")
    with pytest.raises(CheckpointError, match="anchors on several maps"):
        load("pointpillars-kitti", tmp_path / "levels.pth")
    classes = {**tensors, "pts_bbox_head.conv_cls.weight": torch.ones(140, 384, 1, 1)}  # mmdetection3d's on nuScenes
    torch.save({"state_dict": classes, "meta": meta}, tmp_path / "classes.pth")
    with pytest.raises(CheckpointError, match="other classes or anchors; got 140, wanted 18 scores"):
        load("pointpillars-kitti", tmp_path / "classes.pth")


def test_pillars_of_openpcdets_centerpoint_see_all_points_at_any_height(tmp_path: Path) -> None:
    changes = {**CENTER, "voxels": {"point_range_m": (-8, -8, -5, 8, 8, 3), "voxel_size_m": (0.5, 0.5, 8)}}
    published, classes = RELEASED["centerpoint-pillar"]
    model = type(published).model_validate(published.model_dump() | changes).build(classes)
    torch.save({"model_state": export(model, "OpenPCDet")}, tmp_path / "a.pth")
    loaded: Any = load("centerpoint-pillar", tmp_path / "a.pth", CENTER)
    assert loaded.settings.head.loss.box_count == "at_least_one"
    voxels = loaded.settings.voxels
    assert voxels.max_points is None and voxels.max_voxels is None and voxels.grid.shape == (1, 512, 512)
    assert voxels.grid.centers(torch.zeros(1, 4))[0, 2] == -1  # as of the range from -5 to 3 m
    low, high = torch.zeros(1, 5), torch.tensor([[0.0, 0, 20, 0, 0]])
    for gradient in (True, False):  # the map of such a network, which follows from its pillars, takes seconds
        with torch.set_grad_enabled(gradient):
            one, both = (
                encode_voxels([cloud], voxels, loaded.settings.features, loaded.encoder.points).features
                for cloud in (low, torch.cat([low, high]))
            )
        assert one.shape == both.shape == (1, 64) and not torch.equal(one, both)


def test_published_names_build_published_networks() -> None:
    assert RELEASED["centerpoint-voxel-0075"][0].voxels.grid.shape == (40, 1440, 1440)
    assert RELEASED["centerpoint-voxel"][0].stride == 8
    assert RELEASED["centerpoint-pillar"][0].stride == 4
    assert isinstance(RELEASED["second-kitti"][0].head, AnchorHeadSettings)


class HistoryBuffer:
    """What MMEngine keeps of each curve beside the weights, with arrays and functions of its own."""

    def __init__(self) -> None:
        self.max_length, self._log_history = 1000000, np.array([0.5, 0.25])
        self.statistics_methods = {"min": HistoryBuffer.min}

    def min(self) -> float:
        return self._log_history.min()


def test_curves_of_mmengine_beside_the_weights_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = stored("second-kitti", "mmdetection3d")
    theirs = ModuleType("mmengine.logging.history_buffer")
    theirs.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    monkeypatch.setattr(HistoryBuffer, "__module__", theirs.__name__)
    with monkeypatch.context() as installed:
        for name in ("mmengine", "mmengine.logging", theirs.__name__):
            installed.setitem(sys.modules, name, theirs)
        logs = {"log_scalars": {"train/loss": HistoryBuffer()}, "runtime_info": {"iter": 3}}
        tensors, meta = export(model, "mmdetection3d"), {"mmengine_version": "0.7.2"}
        torch.save({"state_dict": tensors, "meta": meta, "message_hub": logs}, tmp_path / "a.pth")
    assert b"getattr" in (content := (tmp_path / "a.pth").read_bytes()) and b"history_buffer" in content
    with pytest.raises(CheckpointError, match="refused: the file asks for code to be run"):
        read_weights(tmp_path / "a.pth")
    loaded = load("second-kitti", tmp_path / "a.pth", SMALL["second-kitti"])
    points = cloud(4)
    torch.testing.assert_close(loaded([points]).bev, model([points]).bev, rtol=1e-4, atol=1e-4)
