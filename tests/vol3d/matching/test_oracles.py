"""Matching and set loss against the numbers of the original 3DETR and Object DGCNN."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pointcloud.conventions import boxes_from_three_detr
from vol3d.matching import (
    ClassLoss,
    Cost,
    HungarianMatcher,
    PairLoss,
    SetLoss,
    SetTargets,
    class_probability_cost,
    cross_entropy_loss,
    focal_class_cost,
    giou_cost,
    giou_loss,
    huber_loss,
    l1_cost,
    l1_loss,
    objectness_cost,
    sigmoid_focal_loss,
    softmax_class_loss,
)

THREE_DETR_MATCHER = HungarianMatcher(
    {
        "class": Cost(class_probability_cost, "probability", "label", weight=1.0),
        "objectness": Cost(objectness_cost, "objectness", "label", weight=0.0),
        "center": Cost(l1_cost, "center_normalized", "center", weight=0.0),
        "giou": Cost(giou_cost, "boxes", "boxes", weight=2.0),
    }
)
THREE_DETR_LOSS = SetLoss(
    {
        "loss_sem_cls": ClassLoss(
            partial(softmax_class_loss, background_weight=0.25), "sem_cls_logits", "label", divide_by="weights"
        ),
        "loss_angle_cls": PairLoss(cross_entropy_loss, ("angle_logits",), ("angle_class",), 0.1),
        "loss_angle_reg": PairLoss(huber_loss, ("angle_residual_normalized",), ("angle_class", "angle_residual"), 0.5),
        "loss_center": PairLoss(l1_loss, ("center_normalized",), ("center",), 5.0),
        "loss_size": PairLoss(l1_loss, ("size_normalized",), ("size",), 1.0),
        "loss_giou": PairLoss(giou_loss, ("boxes",), ("boxes",), 1.0),
    }
)
CODE_WEIGHTS = (1.0,) * 8 + (0.2, 0.2)
DGCNN_MATCHER = HungarianMatcher(
    {
        "class": Cost(focal_class_cost, "logits", "label", weight=2.0),
        "box": Cost(lambda code, target: l1_cost(code[..., :8], target[..., :8]), "code", "code", weight=0.25),
    }
)
DGCNN_LOSS = SetLoss(
    {
        "loss_cls": ClassLoss(sigmoid_focal_loss, "logits", "label", divide_by="boxes", weight=2.0),
        "loss_bbox": PairLoss(partial(l1_loss, column_weights=CODE_WEIGHTS), ("code",), ("code",), weight=0.25),
    }
)


@pytest.fixture(scope="module")
def three_detr(oracle_root: Path) -> tuple[dict[str, Tensor], SetTargets, dict[str, Tensor], dict[str, float]]:
    folder = oracle_root / "3detr" / "B_criterion_scannet"
    stored = load_file(folder / "inputs.safetensors")

    def layers(name: str) -> Tensor:
        return torch.stack([stored[f"pred.layer{layer}.{name}"] for layer in range(3)])

    def boxes(centre: Tensor, size: Tensor, angle: Tensor) -> Tensor:
        return boxes_from_three_detr(torch.cat((centre, size, angle[..., None]), dim=-1))

    names = ["sem_cls_logits", "center_normalized", "size_normalized", "angle_logits", "angle_residual_normalized"]
    predictions = {name: layers(name).requires_grad_() for name in names}
    predictions["probability"], predictions["objectness"] = layers("sem_cls_prob"), layers("objectness_prob")
    predictions["boxes"] = boxes(
        layers("center_unnormalized"), layers("size_unnormalized"), layers("angle_continuous")
    ).requires_grad_()
    truth = {key.removeprefix("target.gt_"): value for key, value in stored.items() if key.startswith("target.gt_")}
    fields = {
        "label": truth["box_sem_cls_label"],
        "center": truth["box_centers_normalized"],
        "size": truth["box_sizes_normalized"],
        "angle_class": truth["angle_class_label"],
        "angle_residual": truth["angle_residual_label"] / math.pi,
        "boxes": boxes(truth["box_centers"], truth["box_sizes"], truth["box_angles"]),
    }
    expected = json.loads((folder / "expected_losses.json").read_text())["results"]["nocython"]
    numbers = load_file(folder / "expected_nocython.safetensors")
    return predictions, SetTargets(fields, truth["box_present"].sum(1).long()), numbers, expected


def test_3detr_costs_and_assignments(three_detr):
    predictions, targets, numbers, _ = three_detr
    cost = THREE_DETR_MATCHER.cost(predictions, targets)
    query = THREE_DETR_MATCHER(predictions, targets).query
    assert query.shape == (3, 2, 64)
    for layer in range(3):
        for scene in range(2):
            key = f"layer{layer}.scene{scene}"
            count = int(targets.counts[scene])
            torch.testing.assert_close(cost[layer, scene, :count].T, numbers[f"cost.{key}"], rtol=0, atol=5e-6)
            pairs = dict(
                zip(numbers[f"assign_gt.{key}"].tolist(), numbers[f"assign_query.{key}"].tolist(), strict=True)
            )
            assert query[layer, scene, :count].tolist() == [pairs[target] for target in range(count)]
            assert (query[layer, scene, count:] == -1).all()


def test_3detr_losses_and_gradients(three_detr):
    predictions, targets, numbers, expected = three_detr
    terms = THREE_DETR_LOSS(predictions, targets, THREE_DETR_MATCHER(predictions, targets))
    assert len(terms) == 18
    for name, value in terms.items():
        official = expected["weighted_terms"][name.replace("/layer", "_")]
        assert value.item() == pytest.approx(official, abs=1e-5), name
    total = sum(terms.values())
    assert total.item() == pytest.approx(expected["total_loss"], rel=1e-5)
    for name in ("sem_cls_logits", "center_normalized", "size_normalized", "angle_residual_normalized"):
        (gradient,) = torch.autograd.grad(total, predictions[name], retain_graph=True)
        for layer in range(3):
            torch.testing.assert_close(gradient[layer], numbers[f"grad.layer{layer}.{name}"], rtol=0, atol=1e-6)


def dgcnn_code(boxes: Tensor) -> Tensor:
    """Rows x y z_bottom w l h yaw vx vy as the head's code cx cy log w log l cz log h sin cos vx vy."""
    x, y, bottom, w, l, h, yaw, vx, vy = boxes.float().unbind(-1)  # noqa: E741
    return torch.stack((x, y, w.log(), l.log(), bottom + h / 2, h.log(), yaw.sin(), yaw.cos(), vx, vy), dim=-1)


@pytest.mark.parametrize("case", ["", "one."])
def test_object_dgcnn(oracle_root: Path, case):
    stored = load_file(oracle_root / "lidar" / "dgcnn_head_pillar.safetensors")
    samples = [
        {"label": stored[f"{case}gt_labels{n}"].long(), "code": dgcnn_code(stored[f"{case}gt_boxes{n}"])}
        for n in (0, 1)
    ]
    targets = SetTargets.pad(samples)
    predictions = {
        "logits": stored["all_cls_scores"].requires_grad_(),
        "code": stored["all_bbox_preds"].requires_grad_(),
    }
    matches = DGCNN_MATCHER(predictions, targets)
    assert torch.equal(matches.target_of_queries(300) + 1, stored[f"{case}assigned_gt_inds"].long())
    terms = DGCNN_LOSS(predictions, targets, matches)
    for name, value in terms.items():
        kind, _, layer = name.partition("/layer")
        official = stored[f"{case}loss.d{layer}.{kind}" if layer else f"{case}loss.{kind}"]
        assert value.item() == pytest.approx(official.item(), rel=1e-4), name
    sum(terms.values()).backward()
    official = stored[f"{case}grad.all_bbox_preds"]
    torch.testing.assert_close(predictions["code"].grad, official, rtol=0, atol=1e-5)
    official = stored[f"{case}grad.all_cls_scores"]
    torch.testing.assert_close(predictions["logits"].grad[:, :, ::6], official, rtol=0, atol=1e-5)
    if not case:
        cost = DGCNN_MATCHER.cost(predictions, targets)[0, 0, : len(samples[0]["label"])].T
        torch.testing.assert_close(cost, stored["cost_cls.l0.n0"] + stored["cost_reg.l0.n0"], rtol=1e-5, atol=1e-4)
