"""CenterPoint's head against the originals' numbers: targets, losses, gradients, boxes, suppression; and slow twins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from pointcloud.conventions import boxes_from_mmdet3d_before_1_0
from pointcloud.models.center_point.decode import (
    NUSCENES_CIRCLES,
    CenterDecodeSettings,
    CenterOutputs,
    candidates,
)
from pointcloud.models.center_point.head import (
    NUSCENES_TASKS,
    CenterHead,
    CenterHeadSettings,
    box_loss,
    heatmap_loss,
)
from pointcloud.models.center_point.targets import (
    CenterTargets,
    Drawing,
    center_targets,
    draw_gaussians,
    gaussian_radius,
)
from pointcloud.models.released.weights import center_head_weights
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models.lidar_oracle import Fixture, close, load
from tests.reference import center_targets as slow
from vol3d.errors import DataError, UsageError
from vol3d.geometry import nms_circle

CLASSES = tuple(name for task in NUSCENES_TASKS for name in task)
GRID = MapGrid((-25.6, -19.2), (0.2, 0.2), 4, (48, 64))
NONE = torch.zeros(3, 0, dtype=torch.int64)
THEIRS = {"offset": "reg", "height": "height", "size": "dim", "rotation": "rot", "velocity": "vel"}


@pytest.fixture(scope="module")
def fixture(oracle_root: Path) -> Fixture:
    return Fixture(oracle_root, "centerpoint_head_mmdet3d")


@pytest.fixture(scope="module")
def head(fixture: Fixture) -> CenterHead:
    decode = CenterDecodeSettings(circles_m2=NUSCENES_CIRCLES)
    model = CenterHead(32, CLASSES, CenterHeadSettings(tasks=NUSCENES_TASKS, shared_width=32, decode=decode))
    load(model, center_head_weights(fixture.weights(), "clockwise"))
    return model


def theirs(name: str, ours: Tensor) -> Tensor:
    """A map of our head, or the last axis of a code, as mmdetection3d before 1.0 has it."""
    if name == "size":
        return ours[:, [1, 0, 2]]
    return -ours[:, [1, 0]] if name == "rotation" else ours


def truth(fixture: Fixture) -> list[BoxTargets]:
    return [
        BoxTargets(boxes_from_mmdet3d_before_1_0(fixture[f"gt_boxes{n}"]), fixture[f"gt_labels{n}"].long())
        for n in range(2)
    ]


# --- the original's numbers -----------------------------------------------------------------------------------------


def test_maps_of_mmdet3d(fixture: Fixture, head: CenterHead) -> None:
    outputs = head(fixture["feat"])
    for task, said in enumerate(outputs):
        step = 1 if task < 3 else 4
        close(said.heatmap[:, :, ::step, ::step], fixture[f"pred.{task}.heatmap"], 1e-4)
        for ours, name in THEIRS.items():
            found = theirs(ours, getattr(said, ours))[:, :, ::step, ::step]
            close(found, fixture[f"pred.{task}.{name}"], 1e-4)


def test_targets_of_mmdet3d(fixture: Fixture, head: CenterHead) -> None:
    for task, found in enumerate(head.targets(truth(fixture), GRID)):
        torch.testing.assert_close(found.heatmap, fixture[f"target.{task}.heatmap"], atol=1e-6, rtol=0)
        # Theirs are padded to slots; an object outside leaves an empty one.
        there = fixture[f"target.{task}.mask"].bool()
        sample = torch.arange(2)[:, None].expand(there.shape)[there]
        assert torch.equal(found.sample, sample)
        assert torch.equal(found.cell, fixture[f"target.{task}.ind"][there].long())
        code = found.code.clone()
        code[:, 3:6], code[:, 6:8] = theirs("size", found.code[:, 3:6]), theirs("rotation", found.code[:, 6:8])
        torch.testing.assert_close(code, fixture[f"target.{task}.anno_box"][there], atol=2e-6, rtol=0)


def test_losses_and_gradients_of_mmdet3d(fixture: Fixture, head: CenterHead) -> None:
    outputs = head(fixture["feat"])
    for said in outputs:
        said.heatmap.retain_grad()
        said.offset.retain_grad()
    terms = head.loss(outputs, truth(fixture), GRID)
    for task in range(6):
        close(terms[f"heatmap/{task}"], fixture[f"loss.task{task}.loss_heatmap"][0], 0, 1e-4)
        close(terms[f"box/{task}"], fixture[f"loss.task{task}.loss_bbox"][0], 0, 1e-4)
    sum(terms.values()).backward()
    close(outputs[0].heatmap.grad, fixture["grad.0.heatmap"], 1e-6)
    close(outputs[1].offset.grad, fixture["grad.1.reg"], 1e-6)


@pytest.mark.parametrize("task", [0, 4])
def test_boxes_before_suppression(fixture: Fixture, head: CenterHead, task: int) -> None:
    found = candidates(head(fixture["feat"]), head.classes, GRID, head.settings.decode)
    for sample in range(2):
        there = found.there[sample, task]
        boxes, scores, labels = (part[sample, task][there] for part in found[:3])
        wanted = fixture[f"decode.{task}.{sample}.boxes"].clone()
        wanted[:, 2] -= wanted[:, 5] / 2  # centre to bottom, as the converter wants it
        same_boxes(boxes, boxes_from_mmdet3d_before_1_0(wanted))
        close(scores, fixture[f"decode.{task}.{sample}.scores"], 1e-4)
        assert torch.equal(labels, torch.tensor(head.classes[task])[fixture[f"decode.{task}.{sample}.labels"].long()])


@pytest.mark.parametrize("nms", ["rotate", "circle"])
def test_detections_of_mmdet3d(fixture: Fixture, head: CenterHead, nms: str) -> None:
    kind = {"rotate": "rotated", "circle": "circle"}[nms]
    other = CenterHead(
        32, CLASSES, head.settings.model_copy(update={"decode": head.settings.decode.model_copy(update={"nms": kind})})
    )
    other.load_state_dict(head.state_dict())
    for sample, found in enumerate(other.eval().decode(other(fixture["feat"]), GRID)):
        assert found.labels.tolist() == fixture[f"{nms}{sample}.labels"].tolist()
        close(torch.from_numpy(found.scores), fixture[f"{nms}{sample}.scores"], 1e-4)
        wanted = boxes_from_mmdet3d_before_1_0(fixture[f"{nms}{sample}.boxes"])
        same_boxes(torch.from_numpy(found.boxes), wanted)


def same_boxes(found: Tensor, wanted: Tensor) -> None:
    assert len(found) == len(wanted)
    straight = [0, 1, 2, 3, 4, 5, 7, 8]
    close(found[:, straight], wanted[:, straight], 1e-4)
    close((found[:, 6] - wanted[:, 6]).sin(), torch.zeros(len(found)), 1e-4)
    assert bool(((found[:, 6] - wanted[:, 6]).cos() > 0).all())


def test_radii_of_center_point(oracle_root: Path) -> None:
    fixture = Fixture(oracle_root, "centerpoint_orig_parts")
    length, width = fixture["radius.length_width"].unbind(1)
    radii = gaussian_radius(length, width, fixture["radius.min_overlap"])
    torch.testing.assert_close(radii, fixture["radius.value"], atol=1e-9, rtol=0)


def test_gaussians_of_center_point(oracle_root: Path) -> None:
    fixture = Fixture(oracle_root, "centerpoint_orig_parts")
    planes = torch.zeros(2, 40, 56)
    column, row = fixture["draw.centers"].trunc().long().unbind(1)
    draw_gaussians(planes, fixture["draw.class"].long(), row, column, fixture["draw.radius"].long())
    torch.testing.assert_close(planes, fixture["draw.heatmap"], atol=1e-6, rtol=0)


def test_focal_loss_of_center_point(oracle_root: Path) -> None:
    fixture = Fixture(oracle_root, "centerpoint_orig_parts")
    there = fixture["focal.mask"].bool()
    sample = torch.arange(2)[:, None].expand(there.shape)[there]
    cell, label = fixture["focal.ind"][there].long(), fixture["focal.cat"][there].long()
    targets = CenterTargets(fixture["focal.target"], sample, cell, label, torch.zeros(len(cell), 10), NONE)
    probability = fixture["focal.pred"].double().requires_grad_()
    loss = heatmap_loss(probability.logit(), targets, "objects")
    close(loss, fixture["focal.loss"][0], 1e-5, 1e-5)
    loss.backward()
    inside = (probability > 1.001e-4) & (probability < 1 - 1.001e-4)
    close(probability.grad[inside], fixture["focal.grad"][inside], 1e-5)


def test_regression_loss_of_center_point(oracle_root: Path) -> None:
    fixture = Fixture(oracle_root, "centerpoint_orig_parts")
    there = fixture["focal.mask"].bool()
    sample, cell = torch.arange(2)[:, None].expand(there.shape)[there], fixture["focal.ind"][there].long()
    targets = CenterTargets(torch.zeros(2, 1, 40, 56), sample, cell, sample, fixture["reg.target"][there], NONE)
    found = [box_loss(fixture["reg.pred"], targets, np.eye(10)[n].tolist()) for n in range(10)]
    close(torch.stack(found), fixture["reg.loss"], 1e-5, 1e-5)


@pytest.mark.parametrize("squared", ["0.175", "0.85", "4", "12"])
def test_circles_of_center_point(oracle_root: Path, squared: str) -> None:
    fixture = Fixture(oracle_root, "centerpoint_orig_parts")
    dets = fixture["circle.dets"]
    boxes = torch.zeros(len(dets), 7)
    boxes[:, :2], boxes[:, 3:6] = dets[:, :2], 1
    kept = nms_circle(boxes, dets[:, 2], float(squared), compare="squared_distance")
    assert torch.equal(kept, fixture[f"circle.keep.{squared}"])


# --- slow twins -----------------------------------------------------------------------------------------------------

SMALL = MapGrid((0.0, -4.0), (0.5, 0.5), 2, (8, 10))


@given(length=st.floats(0.1, 60), width=st.floats(0.1, 60), overlap=st.sampled_from([0.1, 0.5, 0.7]))
def test_a_radius_is_the_least_of_three_roots(length: float, width: float, overlap: float) -> None:
    found = gaussian_radius(*torch.tensor([[length], [width]], dtype=torch.float64), overlap)
    assert float(found) == pytest.approx(slow.radius(length, width, overlap), rel=1e-9)


def test_overlapping_gaussians_keep_the_higher_value() -> None:
    planes, wanted = torch.zeros(2, 6, 9), torch.zeros(2, 6, 9)
    gaussians = [(0, 0, 0, 2), (0, 2, 1, 3), (1, 5, 8, 1), (0, 3, 3, 0), (1, 1, 1, 40)]
    draw_gaussians(planes, *torch.tensor(gaussians).unbind(1))
    for plane, row, column, reach in gaussians:
        slow.draw(wanted[plane], row, column, reach)
    close(planes, wanted, 1e-6)


def test_the_heatmap_loss_is_that_of_its_cells() -> None:
    torch.manual_seed(0)
    logits = (torch.randn(1, 2, 8, 10) * 4).requires_grad_()
    targets = center_targets([BoxTargets(box(3, 0), torch.tensor([1]))], torch.tensor([0, 1]), SMALL, Drawing())
    found, wanted = heatmap_loss(logits, targets, "cells"), slow.heatmap_loss(logits, targets.heatmap)
    close(found, wanted, 1e-5)
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (found, wanted)]
    close(grads[0], grads[1], 1e-6)


def box(x: float, y: float, *, size: float = 2.0, columns: int = 9) -> Tensor:
    return torch.tensor([[x, y, 0.5, size, size, size, 0.3, 1.0, 2.0]])[:, :columns]


# --- objects of all kinds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "outside", "cell"),
    [
        (3.2, 0.1, "drop", (4, 3)),
        (-0.5, 0.0, "drop", (4, 0)),  # less than a cell outside
        (-1.5, 0.0, "drop", None),
        (10.5, 0.0, "drop", None),
        (1e30, 0.0, "drop", None),
        (-1.5, 0.0, "clamp", (4, 0)),
        (1e6, -99.0, "clamp", (0, 9)),
    ],
)
def test_where_a_centre_falls(x: float, y: float, outside: str, cell: tuple[int, int] | None) -> None:
    drawing = Drawing(clamp=outside == "clamp")
    found = center_targets([BoxTargets(box(x, y), torch.tensor([0]))], torch.tensor([0]), SMALL, drawing)
    assert found.cell.tolist() == ([] if cell is None else [cell[0] * 10 + cell[1]])
    assert (found.heatmap == 1).nonzero()[:, 2:].tolist() == ([] if cell is None else [list(cell)])


def test_boxes_without_extent_and_too_many_objects_are_not_learnt() -> None:
    boxes = torch.cat([box(3, 0, size=0), box(4, 0), box(5, 0), box(6, 0)])
    targets = [BoxTargets(boxes, torch.tensor([0, 1, 0, 0])), BoxTargets(torch.zeros(0, 9), torch.zeros(0).long())]
    found = center_targets(targets, torch.tensor([0, 1]), SMALL, Drawing(max_objects=3))
    assert found.label.tolist() == [0, 0]  # of class 0 first: one has no extent; the limit leaves class 1 out
    assert found.cell.tolist() == [45, 46]
    assert not found.heatmap[1].any()


def test_unknown_velocities_are_not_learnt() -> None:
    boxes = torch.cat([box(3, 0), box(5, 0)])
    boxes[0, 7:] = torch.nan
    targets = center_targets([BoxTargets(boxes, torch.tensor([0, 0]))], torch.tensor([0]), SMALL, Drawing())
    code = torch.zeros(1, 10, 8, 10, requires_grad=True)
    box_loss(code, targets, [1.0] * 10).backward()
    assert code.grad[0, 8:].flatten(1).nonzero()[:, 1].tolist() == [45, 45]
    without = center_targets([BoxTargets(box(3, 0, columns=7), torch.tensor([0]))], torch.tensor([0]), SMALL, Drawing())
    assert bool(without.code[:, 8:].isnan().all())


def test_box_term_is_divided_as_each_toolbox_does() -> None:
    """RegLossCenterNet of OpenPCDet divides by max(n, 1), that of CenterPoint and mmdetection3d by n + 1e-4."""
    code, label = torch.zeros(1, 8, 8, 10), torch.tensor([0])
    for objects in (1, 2, 3):
        target = BoxTargets(box(3.1, 0, columns=7).repeat(objects, 1), torch.zeros(objects, dtype=torch.int64))
        targets = center_targets([target], label, SMALL, Drawing(velocity=False))
        total = targets.code.abs().double().sum().item()
        assert total > 0
        for count, divisor in (("smoothed", objects + 1e-4), ("at_least_one", objects)):
            assert box_loss(code, targets, [1.0] * 8, count).item() == pytest.approx(total / divisor, rel=1e-6)
    nothing = center_targets(
        [BoxTargets(torch.zeros(0, 7), torch.zeros(0, dtype=torch.int64))], label, SMALL, Drawing()
    )
    assert box_loss(torch.zeros(1, 10, 8, 10), nothing, [1.0] * 10, "at_least_one").item() == 0


def test_two_objects_in_a_cell_count_twice_only_where_asked() -> None:
    target = BoxTargets(torch.cat([box(3.1, 0), box(3.2, 0)]), torch.tensor([0, 0]))
    targets = center_targets([target], torch.tensor([0]), SMALL, Drawing())
    logits = torch.zeros(1, 1, 8, 10)
    cells, objects = heatmap_loss(logits, targets, "cells"), heatmap_loss(logits, targets, "objects")
    positive = -(0.5**2) * torch.tensor(0.5).log()
    close(cells - positive, 2 * (objects - positive), 1e-5)


def test_the_best_class_of_a_cell_alone() -> None:
    outputs = CenterOutputs(
        torch.zeros(1, 2, 8, 10), *(torch.zeros(1, n, 8, 10) for n in (2, 1, 3, 2)), torch.zeros(1, 2, 8, 10)
    )
    outputs.heatmap[:, 1] = 1.0
    for per_cell, count in (("all", 160), ("best", 80)):
        found = candidates([outputs], [(4, 7)], SMALL, CenterDecodeSettings(per_cell=per_cell))
        assert found.boxes.shape == (1, 1, count, 9)
        assert found.there.all()
        assert found.labels[0, 0, :80].tolist() == [7] * 80


def test_boxes_of_exploding_maps_are_numbers() -> None:
    head = CenterHead(4, ("a",), CenterHeadSettings(shared_width=4, width=4, decode={"center_range_m": None}))
    torch.nn.init.constant_(head.tasks[0].outputs["size"][1].bias, 1e4)
    torch.nn.init.constant_(head.tasks[0].outputs["heatmap"][1].bias, 9)
    found = head.decode(head(torch.rand(1, 4, 8, 10)), SMALL)[0]
    assert len(found)
    assert bool(np.isfinite(found.boxes).all())


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([], "targets of another batch; got 0, wanted 1 samples"),
        ([BoxTargets(torch.ones(1, 9), torch.tensor([2]))], r"targets\[0\]: a class that the model does not have"),
    ],
)
def test_targets_that_make_no_sense_are_refused(targets: Any, message: str) -> None:
    head = CenterHead(4, ("a", "b"), CenterHeadSettings(shared_width=4, width=4))
    with pytest.raises(DataError, match=message):
        head.loss(head(torch.rand(1, 4, 8, 10)), targets, SMALL)


def test_tasks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="tasks must have every class once"):
        CenterHead(4, ("a", "b"), CenterHeadSettings(tasks=(("a",), ("a",))))
    with pytest.raises(ValidationError, match="one value for each of 1 tasks"):
        CenterHeadSettings(decode={"nms": "circle"})
