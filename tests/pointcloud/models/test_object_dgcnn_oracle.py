"""Object DGCNN's head with the original's weights: its numbers, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pointcloud.conventions import boxes_from_mmdet3d_before_1_0
from pointcloud.models.layers.bev_backbones import FpnSettings
from pointcloud.models.object_dgcnn.head import ObjectDgcnnHead, ObjectDgcnnHeadSettings, QueryOutputs
from pointcloud.models.object_dgcnn.loss import encode_targets, matcher
from pointcloud.models.object_dgcnn.released import QUIRKS, object_dgcnn_head_weights, reorder_rows
from pointcloud.structures.box_code import BOX
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models.lidar_oracle import Fixture, close, load
from vol3d.geometry import wrap_yaw

CLASSES = tuple(f"class {i}" for i in range(10))


@pytest.fixture(scope="module")
def fixture(oracle_root: Path) -> Fixture:
    return Fixture(oracle_root, "dgcnn_head_pillar")


@pytest.fixture(scope="module")
def head(fixture: Fixture) -> ObjectDgcnnHead:
    network = ObjectDgcnnHead(ObjectDgcnnHeadSettings(**QUIRKS), CLASSES, FpnSettings(), (-51.2, -51.2, 51.2, 51.2))
    load(network, object_dgcnn_head_weights(fixture.weights()))
    return network


@pytest.fixture(scope="module")
def maps(fixture: Fixture) -> list[Tensor]:
    return [fixture[f"feat{level}"].requires_grad_() for level in range(4)]


@pytest.fixture(scope="module")
def prediction(head: Any, maps: list[Tensor]) -> QueryOutputs:
    return head(maps)


def ours(code: Tensor) -> Tensor:
    """Their box code in our columns."""
    return reorder_rows(code.movedim(-1, 0)).movedim(0, -1)


def stored(fixture: Fixture) -> QueryOutputs:
    """What their network said, as leaves."""
    return QueryOutputs(
        fixture["all_cls_scores"].clone().requires_grad_(), ours(fixture["all_bbox_preds"]).requires_grad_()
    )


def truth(fixture: Fixture, case: str) -> list[BoxTargets]:
    return [
        BoxTargets(boxes_from_mmdet3d_before_1_0(fixture[f"{case}gt_boxes{n}"]), fixture[f"{case}gt_labels{n}"].long())
        for n in (0, 1)
    ]


@pytest.mark.parametrize("layer", range(6))
def test_classes_and_boxes_of_a_layer_are_the_originals(fixture: Fixture, prediction: QueryOutputs, layer: int) -> None:
    atol = 1e-4 if layer == 0 else 1e-3
    close(prediction.class_logits[layer], fixture["all_cls_scores"][layer], atol=atol, rtol=0)
    close(prediction.code[layer], ours(fixture["all_bbox_preds"][layer]), atol=atol, rtol=0)


def test_our_columns_of_a_code_are_the_converted_box(fixture: Fixture) -> None:
    code = fixture["all_bbox_preds"]
    w, l, h = code[..., 2].exp(), code[..., 3].exp(), code[..., 5].exp()  # noqa: E741
    bottom, yaw = code[..., 4] - h / 2, torch.atan2(code[..., 6], code[..., 7])
    rows = torch.stack([code[..., 0], code[..., 1], bottom, w, l, h, yaw, code[..., 8], code[..., 9]], dim=-1)
    wanted, got = boxes_from_mmdet3d_before_1_0(rows), stored(fixture).boxes.detach()
    got[..., 6] = wanted[..., 6] + wrap_yaw(got[..., 6] - wanted[..., 6])
    close(got, wanted, atol=1e-5, rtol=1e-5)


def test_detections_are_the_originals(fixture: Fixture, head: Any) -> None:
    for n, found in enumerate(head.decode(stored(fixture))):
        wanted = boxes_from_mmdet3d_before_1_0(fixture[f"get_bboxes{n}"])
        boxes = torch.from_numpy(found.boxes)
        boxes[:, 6] = wanted[:, 6] + wrap_yaw(boxes[:, 6] - wanted[:, 6])
        close(boxes, wanted, atol=1e-4)
        close(torch.from_numpy(found.scores), fixture[f"decode{n}.scores"], atol=1e-6)
        assert found.labels.tolist() == fixture[f"decode{n}.labels"].tolist()


@pytest.mark.parametrize("case", ["", "one."])
def test_assignments_and_losses_are_the_originals(
    fixture: Fixture, head: Any, prediction: QueryOutputs, case: str
) -> None:
    boxes = truth(fixture, case)
    said_of_boxes = {"class_logits": prediction.class_logits, "box": prediction.code[..., :BOX]}
    matches = matcher(head.settings.loss)(said_of_boxes, encode_targets(boxes))
    assert torch.equal(matches.target_of_queries(300) + 1, fixture[f"{case}assigned_gt_inds"].long())
    for said, rtol in ((stored(fixture), 1e-5), (prediction, 1e-4)):
        terms = head.loss(said, boxes)
        for layer in range(6):
            end, theirs = ("", "") if layer == 5 else (f"/layer{layer}", f"d{layer}.")
            classes, box = (fixture[f"{case}loss.{theirs}loss_{name}"].item() for name in ("cls", "bbox"))
            assert terms[f"class{end}"].item() == pytest.approx(classes, rel=rtol)
            together = terms[f"box{end}"] + terms[f"velocity{end}"]
            assert together.item() == pytest.approx(box, rel=rtol)


@pytest.mark.parametrize("case", ["", "one."])
def test_gradients_of_the_loss_are_the_originals(fixture: Fixture, head: Any, case: str) -> None:
    said = stored(fixture)
    total = torch.stack(list(head.loss(said, truth(fixture, case)).values())).sum()
    at_classes, at_code = torch.autograd.grad(total, (said.class_logits, said.code))
    close(at_classes[:, :, ::6], fixture[f"{case}grad.all_cls_scores"], atol=1e-5)
    close(at_code, ours(fixture[f"{case}grad.all_bbox_preds"]), atol=1e-5)


def test_gradients_at_the_maps_are_the_originals(
    fixture: Fixture, head: Any, prediction: QueryOutputs, maps: list[Tensor]
) -> None:
    total = torch.stack(list(head.loss(prediction, truth(fixture, "")).values())).sum()
    weight = head.decoder[3].graph.first.linear.weight
    *at_maps, at_weight = torch.autograd.grad(total, [*maps, weight])
    for level, gradient in enumerate(at_maps):
        wanted = fixture[f"grad.feat{level}"]
        # The original's own gradients are off by 2e-3 of the largest from those in float64.
        close(gradient[:, ::32], wanted, atol=3e-3 * float(wanted.abs().max()), rtol=1e-2)
    norm = fixture.facts["grad_norms"]["transformer.decoder.layers.3.attentions.0.conv1.0.weight"]
    assert at_weight.norm().item() == pytest.approx(norm, rel=1e-3)
