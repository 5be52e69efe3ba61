"""Object DGCNN's head: shapes, refinement, loss, detections with and without suppression, faults."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.layers.bev_backbones import FpnSettings
from pointcloud.models.object_dgcnn.head import ObjectDgcnnHead, ObjectDgcnnHeadSettings
from pointcloud.models.object_dgcnn.loss import ObjectDgcnnLossSettings
from pointcloud.structures.targets import BoxTargets
from vol3d.errors import DataError
from vol3d.geometry import iou_bev

CLASSES = ("car", "bus")
SMALL = ObjectDgcnnHeadSettings(
    heads=2,
    points=2,
    encoder_layers=1,
    decoder_layers=2,
    ffn=16,
    queries=6,
    neighbour_count=3,
)


def head(**changes: object) -> Any:
    torch.manual_seed(0)
    maps = FpnSettings(levels=2, width=16)
    return ObjectDgcnnHead(SMALL.model_copy(update=changes), CLASSES, maps, (-8.0, -4.0, 8.0, 4.0))


def maps(batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(batch, 16, size, 2 * size, generator=generator) for size in (4, 2)]


def targets(*counts: int, columns: int = 9) -> list[BoxTargets]:
    generator = torch.Generator().manual_seed(2)
    found = []
    for count in counts:
        boxes = torch.rand(count, columns, generator=generator) + 0.5
        found.append(BoxTargets(boxes, torch.arange(count) % len(CLASSES)))
    return found


def test_every_layer_says_a_class_and_a_box_of_every_query() -> None:
    prediction = head()(maps())
    assert prediction.class_logits.shape == (2, 2, 6, 2)
    assert prediction.boxes.shape == (2, 2, 6, 9)
    x, y = prediction.boxes[..., 0], prediction.boxes[..., 1]
    assert x.abs().max() <= 8 and y.abs().max() <= 4


def test_one_sample_gives_the_same_alone_as_in_a_batch() -> None:
    network = head().eval()
    alone, together = network([x[1:] for x in maps()]), network(maps())
    torch.testing.assert_close(alone.code[:, 0], together.code[:, 1])


def test_boxes_without_velocity_have_seven_columns() -> None:
    network = head(velocity=False).eval()
    prediction = network(maps())
    assert prediction.boxes.shape[-1] == 7
    assert network.decode(prediction)[0].boxes.shape[1] == 7
    assert set(network.loss(prediction, targets(2, 1))) == {"class", "box", "class/layer0", "box/layer0"}


def test_a_layer_starts_where_the_one_before_it_ended() -> None:
    network = head().eval()
    for box_head in network.box_heads:
        torch.nn.init.zeros_(box_head[-1].weight)
    torch.nn.init.zeros_(network.box_heads[0][-1].bias)
    network.box_heads[1][-1].bias.data[:2] = torch.tensor([1.0, -1.0])
    first, second = network(maps()).code[..., :2] / torch.tensor([16.0, 8.0]) + 0.5
    torch.testing.assert_close(second.logit(), first.logit() + torch.tensor([1.0, -1.0]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("encoder_layers", [0, 1])
def test_the_loss_reaches_every_weight_that_can_learn(encoder_layers: int) -> None:
    network = head(encoder_layers=encoder_layers)
    for name, weight in network.named_parameters():
        if "attention.offsets" in name or "attention.weights" in name:  # they start at zero, deaf to positions
            torch.nn.init.normal_(weight)
    terms = network.loss(network(maps()), targets(3, 0))
    assert set(terms) == {f"{name}{layer}" for name in ("class", "box", "velocity") for layer in ("", "/layer0")}
    torch.stack(list(terms.values())).sum().backward()
    learnt = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert ("level_embedding" in learnt) == (encoder_layers > 0)
    silent = [name for name, p in learnt.items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_mixed_precision_ends_at_the_heads() -> None:
    network = head().eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = network(maps())
        terms = network.loss(prediction, targets(2, 1))
    assert prediction.code.dtype == prediction.class_logits.dtype == terms["box"].dtype == torch.float32
    torch.testing.assert_close(prediction.class_logits, network(maps()).class_logits, atol=0.2, rtol=0.05)


def test_a_batch_without_boxes_teaches_the_background_only() -> None:
    network = head()
    terms = network.loss(network(maps()), targets(0, 0))
    assert terms["box"].item() == 0 and terms["velocity"].item() == 0 and terms["class"].item() > 0
    torch.stack(list(terms.values())).sum().backward()


def test_an_unknown_velocity_is_left_out_and_the_released_code_leaves_out_the_box() -> None:
    network = head().eval()
    prediction, (known,) = network(maps(1)), targets(1)
    unknown = BoxTargets(known.boxes.clone(), known.labels)
    unknown.boxes[:, 7:] = torch.nan
    terms = network.loss(prediction, [unknown])
    assert terms["velocity"].item() == 0
    assert terms["box"].item() == pytest.approx(network.loss(prediction, [known])["box"].item())
    without = BoxTargets(known.boxes[:, :7], known.labels)
    assert {name: t.item() for name, t in network.loss(prediction, [without]).items()} == {
        name: t.item() for name, t in terms.items()
    }
    network.settings = SMALL.model_copy(update={"loss": ObjectDgcnnLossSettings(drop_unknown_velocity=True)})
    assert network.loss(prediction, [unknown])["box"].item() == 0
    assert network.loss(prediction, [known])["box"].item() > 0


def test_detections_are_the_surest_pairs_of_query_and_class() -> None:
    network = head(max_detections=7).eval()
    prediction = network(maps())
    found = network.decode(prediction)[1]
    probability = prediction.class_logits[-1, 1].sigmoid()
    assert found.scores.tolist() == pytest.approx(probability.flatten().sort(descending=True).values[:7].tolist())
    query = int(probability.flatten().argmax()) // 2
    assert found.boxes[0].tolist() == pytest.approx(prediction.boxes[-1, 1, query].tolist())
    assert found.names()[0] == CLASSES[int(probability.flatten().argmax()) % 2]


def test_detections_far_above_are_left_out() -> None:
    network = head(max_detections=100).eval()
    prediction = network(maps(1))
    prediction.code.data[-1, 0, 0, 2] = 11.0
    assert len(network.decode(prediction)[0]) == 2 * 5


def test_suppression_is_a_switch() -> None:
    network = head().eval()
    prediction = network(maps(1))
    prediction.code.data[:] = prediction.code.data[:, :, :1]  # every query says the same box
    assert len(network.decode(prediction)[0]) == 12
    network.settings = SMALL.model_copy(update={"nms_iou": 0.2})
    found = network.decode(prediction)[0]
    assert sorted(found.labels.tolist()) == [0, 1]
    boxes = torch.from_numpy(found.boxes)
    assert iou_bev(boxes, boxes)[0, 1] > 0.99  # of different classes


def test_what_is_returned_does_not_depend_on_training() -> None:
    network = head().train()
    trained = network(maps())
    evaluated = network.eval()(maps())
    assert trained.code.shape == evaluated.code.shape and type(trained) is type(evaluated)
    assert len(network.train().decode(evaluated)[0]) == len(network.eval().decode(evaluated)[0]) == 12


def test_other_maps_are_refused() -> None:
    with pytest.raises(DataError, match="another number of feature maps"):
        head()(maps()[:1])
    with pytest.raises(DataError, match="not such a feature map"):
        head()([x[:, :8] for x in maps()])


def test_more_boxes_than_queries_and_unknown_classes_are_refused() -> None:
    network = head()
    prediction = network(maps(1))
    with pytest.raises(DataError, match="more targets than queries"):
        network.loss(prediction, targets(7))
    with pytest.raises(DataError, match="a class that the model does not have"):
        network.loss(prediction, [BoxTargets(targets(1)[0].boxes, torch.tensor([2]))])


@pytest.mark.parametrize("wrong", [{"width": 18}, {"nms_iou": 2}, {"neighbours": "some"}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ObjectDgcnnHeadSettings(**wrong)
