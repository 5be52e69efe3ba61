"""Detectors in two halves, the second one as a graph: the same predictions, and only its own weights kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pointcloud.inference.exported import DenseLayers, GraphDetector, holding, part_of
from pointcloud.tasks.lidar import LidarSettings, LidarTask
from pointcloud.tasks.rooms import DetectionTask
from tests.pointcloud.models.small_lidar import CLASSES, MODELS, drive
from vol3d.errors import CheckpointError, UsageError
from vol3d.exported.trace import as_tuple, traced


def task_of(name: str, **predict: Any) -> LidarTask:
    data = {"name": "point_folder", "root": "."}
    known = {
        "model": MODELS[name].model_dump(),
        "data": data,
        "class_names": CLASSES,
        "predict": {"amp": "off", **predict},
    }
    return LidarTask(LidarSettings.model_validate(known))


def model_of(task: LidarTask) -> Any:
    torch.manual_seed(0)
    return task.model().eval()


def tensors(prediction: Any) -> list[Tensor]:
    found = []
    for value in vars(prediction).values():
        parts = [value] if isinstance(value, Tensor) else list(value) if isinstance(value, tuple) else []
        for part in parts:
            found += [part] if isinstance(part, Tensor) else [one for one in as_parts(part) if isinstance(one, Tensor)]
    return found


def as_parts(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else []


SPLIT = [name for name, settings in MODELS.items() if settings.name != "pillar_od"]


@pytest.mark.parametrize("name", SPLIT)
def test_a_graph_in_the_place_of_the_dense_layers_changes_nothing(name: str) -> None:
    task = task_of(name)
    model = model_of(task)
    part, (points, _) = part_of(task, model), drive(3)
    assert len(part.outputs) == len(as_tuple(part.module(*part.example)))
    clouds = [points, points[:0]]

    with torch.no_grad():
        held = holding(task, DenseLayers(model), part.kept)
        wanted, found = model(clouds), held(clouds)
    assert isinstance(held, GraphDetector)
    for one, other in zip(tensors(wanted), tensors(found), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(model.decode(wanted), held.decode(found), strict=True):
        assert (one.boxes == other.boxes).all() and (one.scores == other.scores).all()


def test_the_weights_of_the_dense_layers_are_not_kept() -> None:
    task = task_of("centerpoint pillars")
    kept = part_of(task, model_of(task)).kept
    assert kept and all(name.startswith("encoder.") for name in kept)
    with pytest.raises(CheckpointError, match="missing"):
        holding(task, lambda bev: (bev,), {})


def rooms(name: str, **sizes: Any) -> DetectionTask:
    small = {"points": 64, "neighbours": 8, "widths": [16, 16]}
    model = {"name": name, "width": 16, "heads": 2, "queries": 8, "aggregation": small, "decoder_layers": 2, **sizes}
    data = {"name": "point_folder", "root": "."}
    return DetectionTask(
        DetectionTask.settings_type.model_validate(
            {"model": model, "data": data, "class_names": CLASSES, "predict": {"amp": "off"}}
        )
    )


@pytest.mark.parametrize(
    "task",
    [
        rooms("3detr", encoder_layers=1),
        rooms("3detr-m", interim={"points": 32, "radius_m": 0.4, "neighbours": 4, "widths": [16]}),
    ],
    ids=["3detr", "3detr-m"],
)
def test_tokens_of_rooms_go_through_a_graph(task: DetectionTask) -> None:
    model = model_of(task)
    part, cloud = part_of(task, model), torch.rand(300, 3) * 4
    assert any(name.startswith("encoder.") for name in part.kept) == (task.settings.model.name == "3detr-m")
    with torch.no_grad():
        held = holding(task, DenseLayers(model), part.kept)
        wanted, found = model.proposals(model([cloud]))[0], held.proposals(held([cloud]))[0]
        assert torch.equal(wanted.boxes, found.boxes) and torch.equal(wanted.objectness, found.objectness)
        program, _ = traced(part, "3detr")  # of one scan: torch.export does not see that the batch is free
        inputs = [one[:1] for one in part.example]
        for one, other in zip(as_tuple(part.module(*inputs)), as_tuple(program.module()(*inputs)), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_detector_that_needs_its_points_to_the_end_is_refused() -> None:
    data = {"name": "point_folder", "root": "."}
    settings = {"model": {"name": "votenet"}, "data": data, "class_names": CLASSES}
    task = DetectionTask(DetectionTask.settings_type.model_validate(settings))
    with pytest.raises(UsageError, match=r"no half of it is dense.*got VoteNet, wanted 3DETR.*Run the checkpoint"):
        part_of(task, task.model())


def test_a_precision_beside_that_of_the_graph_is_refused() -> None:
    with pytest.raises(UsageError, match="precision of an exported network"):
        holding(task_of("pointpillars", amp="bf16"), lambda bev: (bev,), {})


@pytest.mark.parametrize("name", ["centerpoint pillars", "pointpillars", "voxelnet", "object dgcnn pillars"])
def test_torch_export_follows_the_dense_layers(name: str) -> None:
    task = task_of(name)
    part = part_of(task, model_of(task))
    program, dynamic = traced(part, name)
    assert dynamic or name.startswith("object dgcnn")
    with torch.no_grad():
        inputs = [torch.cat([one, one[:1]]) if dynamic else one[:1] for one in part.example]
        wanted, found = as_tuple(part.module(*inputs)), as_tuple(program.module()(*inputs))
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
