"""Object DGCNN as a whole: its sizes, its parts against the original's, sets for distillation, suppression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from pointcloud.distill.baselines import feature_loss
from pointcloud.distill.set_loss import DistillSettings, set_to_set_loss
from pointcloud.distill.teacher import Teacher
from pointcloud.models.layers.bev_backbones import Fpn, FpnSettings
from pointcloud.models.layers.bev_encoder import BevEncoder
from pointcloud.models.object_dgcnn.model import ObjectDgcnnSettings
from pointcloud.models.released.weights import fpn_weights, point_stack_weights, second_weights, sparse_encoder_weights
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models.lidar_oracle import Fixture, close, load, one_kernel
from tests.pointcloud.models.small_lidar import CLASSES, MODELS, drive
from tests.pointcloud.models.test_sparse_encoder import ROUNDING

PILLARS, VOXELS = MODELS["object dgcnn pillars"], MODELS["object dgcnn voxels"]


def build(settings: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return settings.build(CLASSES)


def test_published_networks_have_their_sizes() -> None:
    pillars: Any = ObjectDgcnnSettings().build(CLASSES)
    assert pillars.encoder.points.linears[0].weight.shape == (64, 10)
    assert pillars.settings.voxels.grid.shape == (1, 512, 512)
    assert [len(block) for block in pillars.backbone.blocks] == [4, 6, 6]
    assert len(pillars.neck.laterals) == 3 and pillars.head.level_embedding.shape == (4, 256)
    assert pillars.head.queries.shape == (300, 512) and len(pillars.head.decoder) == 6
    voxels: Any = ObjectDgcnnSettings.on_voxels().build(CLASSES)
    assert voxels.settings.voxels.grid.shape == (40, 1024, 1024)
    assert voxels.backbone.blocks[0][0][0].weight.shape == (128, 256, 3, 3)
    assert len(voxels.neck.laterals) == 2 and voxels.head.area_m == (-51.2, -51.2, 51.2, 51.2)


def test_boxes_stay_on_the_ground_that_the_voxels_cover() -> None:
    model = build(PILLARS)
    torch.nn.init.normal_(model.head.reference.bias, std=9)
    boxes = model([drive(2)[0]]).outputs.boxes
    x, y = boxes[..., 0], boxes[..., 1]
    assert x.min() >= 0 and x.max() <= 16 and y.min() >= -8 and y.max() <= 8


def test_the_map_of_pillars_is_the_originals(oracle_root: Path) -> None:
    fixture = Fixture(oracle_root, "pillar_nusc_dgcnn")
    settings = ObjectDgcnnSettings()
    encoder = BevEncoder(settings).eval()
    load(encoder.points, point_stack_weights(fixture.weights("pts_voxel_encoder.")))
    with torch.no_grad():
        bev, left_out = encoder([fixture["points"]])
    assert left_out == (0,)
    close(bev[:, ::8, ::8, ::8], fixture["bev.sample"], 1e-4)
    close(bev.double().sum(dim=(0, 2, 3)), fixture["bev.chan_sum"], 1e-2, 1e-5)


def test_the_maps_of_the_whole_way_are_the_originals(oracle_root: Path) -> None:
    fixture = Fixture(oracle_root, "pillar_nusc_dgcnn")
    model = build(ObjectDgcnnSettings()).eval()
    load(model.encoder.points, point_stack_weights(fixture.weights("pts_voxel_encoder.")))
    load(model.backbone, second_weights(fixture.weights("pts_backbone.")))
    load(model.neck, fpn_weights(fixture.weights("pts_neck.")))
    with torch.no_grad(), one_kernel():
        maps = model.neck(model.backbone(model.encoder([fixture["points"]])[0]))
    assert isinstance(model.neck, Fpn) and [x.shape[2] for x in maps] == [256, 128, 64, 32]
    for level, x in enumerate(maps):
        wanted = fixture[f"fpn{level}.sample"]
        step = x.shape[2] // wanted.shape[2]
        close(x[:, ::16, ::step, ::step], wanted, 1e-4)


def test_the_map_of_voxels_is_the_originals(oracle_root: Path) -> None:
    fixture = Fixture(oracle_root, "sparse_encoder_nusc_dgcnn")
    encoder: Any = BevEncoder(ObjectDgcnnSettings.on_voxels()).eval()
    load(encoder.middle, sparse_encoder_weights(encoder.middle, fixture.weights("pts_middle_encoder.")))
    with torch.no_grad():
        bev, left_out = encoder([fixture["points"]])
    assert left_out == (0,) and bev.shape == (1, 256, 128, 128)
    close(bev[:, :, 56:72, 52:76], fixture["bev.crop"], ROUNDING)


@pytest.mark.parametrize(("student", "teacher"), [(PILLARS, VOXELS), (VOXELS, PILLARS)])
def test_networks_of_pillars_and_of_voxels_teach_each_other(student: Any, teacher: Any) -> None:
    clouds = [drive(3)[0], torch.zeros(0, 4)]
    learner, taught_by = build(student), Teacher(build(teacher, seed=1))
    prediction, lesson = learner(clouds), taught_by(clouds)
    sets = learner.as_set(prediction), taught_by.model.as_set(lesson)
    terms = set_to_set_loss(*sets, DistillSettings(), torch.tensor([3, 0]))
    terms["features"] = feature_loss(prediction.maps, lesson.maps)
    torch.stack(list(terms.values())).sum().backward()
    for parameter in (*learner.encoder.parameters(), *learner.neck.parameters(), learner.head.queries):
        assert bool(parameter.grad.isfinite().all()) and bool(parameter.grad.abs().sum() > 0)


def test_suppression_is_a_switch_of_the_settings() -> None:
    clouds = [drive(2)[0]]
    head = PILLARS.head.model_copy(update={"nms_iou": 0.2})
    free, strict = (build(s).eval() for s in (PILLARS, PILLARS.model_copy(update={"head": head})))
    for model in (free, strict):  # every query says the same box
        for layer in (model.head.reference, *(box_head[-1] for box_head in model.head.box_heads)):
            torch.nn.init.zeros_(layer.weight)
    every, some = free.decode(free(clouds))[0], strict.decode(strict(clouds))[0]
    assert len(every) == 12 * 2 and sorted(some.labels) == [0, 1]
    assert every.frame == some.frame == "lidar"


def test_a_batch_of_one_nearly_empty_cloud_trains() -> None:
    model = build(PILLARS)
    cloud = torch.tensor([[8.0, 0.0, 0.0, 0.5]])
    targets = [BoxTargets(torch.tensor([[8.0, 0, 0, 4, 2, 1.5, 0.3]]), torch.tensor([0]))]
    terms = model.loss(model([cloud]), targets)
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neck": FpnSettings(width=20)}, "multiple of head.heads"),
        ({"neck": FpnSettings(levels=2)}, "3 at least"),
        ({"voxels": {"voxel_size_m": (0.2, 0.2, 4)}}, "whole range in z"),
        ({"voxels": {"voxel_size_m": (0.5, 0.5, 8), "point_range_m": (0, 0, -5, 80, 82, 3)}}, "multiples of 8"),
        ({"encoder": "voxels"}, "too few"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ObjectDgcnnSettings(**changes)
