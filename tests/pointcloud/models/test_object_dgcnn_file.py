"""Whole files of Object DGCNN in the authors' layout: read strictly, with the numbers of a slow network of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import vol3d
from pointcloud.conventions import boxes_from_mmdet3d_before_1_0
from tests.pointcloud.models.official_object_dgcnn import Official, stored
from vol3d.errors import CheckpointError
from vol3d.geometry import wrap_yaw

RANGE = (-4.0, -4.0, -5.0, 4.0, 4.0, 3.0)
SMALL: dict[str, dict[str, Any]] = {
    "pillar": {"voxels": {"point_range_m": RANGE, "voxel_size_m": (0.5, 0.5, 8.0), "max_points": 4}},
    "voxel": {"voxels": {"point_range_m": RANGE, "voxel_size_m": (0.125, 0.125, 0.2), "max_points": 4}},
}
for name, small in SMALL.items():
    strides = (2, 2) if name == "pillar" else (1, 2)
    small["backbone"] = {"widths": (8, 12), "layers": (1, 2), "strides": strides}
    small["neck"] = {"width": 16}
    small["head"] = {"heads": 2, "queries": 20, "ffn": 24, "encoder_layers": 1, "decoder_layers": 2}


def cloud() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(260, 5, generator=generator)
    return points * torch.tensor([9.0, 9, 4, 1, 0.5]) - torch.tensor([4.5, 4.5, 3.5, 0, 0])


def official(encoder: str, tensors: dict[str, Tensor]) -> Official:
    shape = (1, 16, 16) if encoder == "pillar" else (40, 64, 64)
    return Official(tensors, RANGE[:3], SMALL[encoder]["voxels"]["voxel_size_m"], shape, 4)


def boxes_of(code: Tensor) -> Tensor:
    """Their code as boxes of ours, by way of their boxes."""
    w, l, h = code[..., 2].exp(), code[..., 3].exp(), code[..., 5].exp()  # noqa: E741
    bottom, yaw = code[..., 4] - h / 2, torch.atan2(code[..., 6], code[..., 7])
    theirs = torch.stack([code[..., 0], code[..., 1], bottom, w, l, h, yaw, code[..., 8], code[..., 9]], dim=-1)
    return boxes_from_mmdet3d_before_1_0(theirs)


@pytest.mark.parametrize(("encoder", "spconv"), [("pillar", 1), ("voxel", 1), ("voxel", 2)])
def test_a_whole_file_gives_the_numbers_of_the_slow_network(encoder: str, spconv: int, tmp_path: Path) -> None:
    torch.save({"meta": {"CLASSES": None}, "state_dict": stored(encoder, spconv)}, tmp_path / "a.pth")
    model: Any = vol3d.load_released(f"object-dgcnn-{encoder}", tmp_path / "a.pth", SMALL[encoder])
    assert not model.training and model.settings.head.neighbours == "farthest"
    logits, code = official(encoder, stored(encoder))(cloud())
    with torch.no_grad():
        found = model([cloud()]).outputs
    torch.testing.assert_close(found.class_logits[:, 0], logits, atol=1e-3, rtol=1e-3)
    wanted, got = boxes_of(code), found.boxes[:, 0]
    got[..., 6] = wanted[..., 6] + wrap_yaw(got[..., 6] - wanted[..., 6])
    torch.testing.assert_close(got, wanted, atol=1e-3, rtol=1e-3)
    assert logits.std() > 0.1 and got[..., :2].std() > 0.5  # something to compare


def test_halves_are_read_and_settings_may_differ_inside_a_part(tmp_path: Path) -> None:
    halves = {name: t.half() if t.is_floating_point() else t for name, t in stored("pillar").items()}
    torch.save({"state_dict": halves}, tmp_path / "a.pth")
    head = {**SMALL["pillar"]["head"], "nms_iou": 0.2}
    model: Any = vol3d.load_released("object-dgcnn-pillar", tmp_path / "a.pth", {**SMALL["pillar"], "head": head})
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    settings = model.settings.head
    assert settings.nms_iou == 0.2 and settings.neighbours == "farthest" and settings.loss.drop_unknown_velocity
    assert model.settings.voxels.max_voxels == 40000


def test_pillars_of_later_versions_see_one_more_number(tmp_path: Path) -> None:
    tensors = stored("pillar")
    tensors["pts_voxel_encoder.pfn_layers.0.linear.weight"] = torch.zeros(8, 11)
    torch.save({"state_dict": tensors}, tmp_path / "a.pth")
    model: Any = vol3d.load_released("object-dgcnn-pillar", tmp_path / "a.pth", SMALL["pillar"])
    assert model.settings.pillars.centre_offset == "xyz"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pts_neck.fpn_convs.1.bn.bias": None}, "1 missing: neck.outputs.1.1.bias"),
        ({"pts_neck.extra_convs.0.conv.weight": torch.ones(2)}, "1 unexpected: neck.extra_convs"),
        ({"img_backbone.conv1.weight": torch.ones(2)}, "1 unexpected: img_backbone"),
        ({"pts_bbox_head.cls_branches.1.6.bias": torch.ones(7)}, "1 other shape: head.class_heads.1.6.bias"),
    ],
)
def test_every_tensor_counts(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    tensors: dict[str, Any] = stored("pillar") | change
    torch.save({"state_dict": {k: t for k, t in tensors.items() if t is not None}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=message):
        vol3d.load_released("object-dgcnn-pillar", tmp_path / "a.pth", SMALL["pillar"])


def test_other_detectors_and_conventions_are_refused_before_their_tensors_are_listed(tmp_path: Path) -> None:
    torch.save({"state_dict": stored("pillar")}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="not a file of centerpoint-pillar; got queries, wanted centres"):
        vol3d.load_released("centerpoint-pillar", tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="boxes in another convention; got ours"):
        vol3d.load_released("object-dgcnn-pillar", tmp_path / "a.pth", {"convention": "ours"})
