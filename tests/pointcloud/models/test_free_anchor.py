"""FreeAnchor's loss against a slow twin, its parts by hand, nothing to match, settings that cannot be."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.anchors.anchors import AnchorSettings, decode_offsets
from pointcloud.models.anchors.free_anchor import (
    FreeAnchorHead,
    FreeAnchorHeadSettings,
    FreeAnchorSettings,
    log_mean_max,
    placed,
    precision_loss,
)
from pointcloud.models.anchors.head import AnchorOutputs, flat
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets
from tests.reference import free_anchor as slow

GRIDS = (MapGrid((0.0, -4.0), (0.5, 0.5), 4, (4, 5)), MapGrid((0.0, -4.0), (0.5, 0.5), 8, (2, 2)))
# No two of these overlap an object alike: which of two equal anchors enters a bag is nobody's business.
ANCHORS = {
    "long": AnchorSettings(size_m=(3.9, 1.6, 1.5), z_m=-1.0, yaws=(0.0, math.pi / 2)),
    "small": AnchorSettings(size_m=(0.9, 0.7, 1.7), z_m=-0.6, yaws=(0.0,)),
}
SETTINGS = FreeAnchorHeadSettings(
    anchors=ANCHORS, placement="centres", scales=(1.0, 1.7), velocity=True, bag=4, boxes=0.8, velocities=0.25
)


def some_targets(count: int, seed: int = 0) -> BoxTargets:
    generator = torch.Generator().manual_seed(seed)
    place = torch.rand(count, 2, generator=generator) * torch.tensor([8.0, 6.0]) - torch.tensor([-1.0, 3.0])
    labels = torch.arange(count) % 2
    size = torch.tensor([[3.9, 1.6, 1.5], [0.9, 0.7, 1.7]])[labels] * (0.8 + 0.4 * torch.rand(count, 3))
    yaw = (torch.rand(count, 1, generator=generator) - 0.5) * 6
    return BoxTargets(torch.cat([place, -torch.ones(count, 1), size, yaw, torch.rand(count, 2)], dim=1), labels)


def some_outputs(head: FreeAnchorHead, samples: int, seed: int = 0) -> AnchorOutputs:
    generator = torch.Generator().manual_seed(seed)
    count = len(flat(head.anchors(GRIDS)))
    widths, scales = (2, 9, 2), (1.0, 0.3, 1.0)
    return AnchorOutputs(
        *(
            (scale * torch.randn(samples, count, w, generator=generator)).requires_grad_()
            for w, scale in zip(widths, scales, strict=True)
        )
    )


@pytest.mark.parametrize("counts", [(1,), (3,), (0, 4)])
def test_the_loss_is_that_of_the_slow_twin_in_value_and_gradient(counts: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    head = FreeAnchorHead(4, ("car", "pedestrian"), SETTINGS)
    anchors, outputs = flat(head.anchors(GRIDS)), some_outputs(head, len(counts))
    targets = [some_targets(count, seed=count) for count in counts]
    terms = head.loss(outputs, targets, GRIDS)
    recall, precision = torch.zeros(()), torch.zeros(())
    for logits, offsets, directions, target in zip(*outputs, targets, strict=True):
        found = slow.loss(
            logits, offsets, directions, anchors, decode_offsets(offsets, anchors).detach(), target.boxes,
            target.labels, bag=4, threshold=0.5, begin=SETTINGS.direction_from, weights=(0.8, 0.2, 0.25, 1 / 9),
        )  # fmt: skip
        recall, precision = recall + found[0], precision + found[1]
    objects = sum(counts)
    wanted = {"recall": 0.5 * recall / objects, "precision": 0.5 * precision / (4 * objects)}
    for name, value in wanted.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(sum(t.values()), outputs) for t in (terms, wanted)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_a_batch_without_objects_learns_that_all_is_background() -> None:
    head = FreeAnchorHead(4, ("car", "pedestrian"), SETTINGS)
    outputs = some_outputs(head, 2)
    terms = head.loss(outputs, [some_targets(0)] * 2, GRIDS)
    assert terms["recall"].item() == 0
    p = outputs.classes.sigmoid()
    torch.testing.assert_close(terms["precision"], (0.5 / 4) * (-(p**2) * (1 - p).log()).sum())
    sum(terms.values()).backward()
    assert all(bool(x.grad.isfinite().all()) for x in outputs)


@given(st.lists(st.floats(1e-4, 0.999), min_size=1, max_size=9))
def test_mean_max_lies_between_the_mean_and_the_maximum(values: list[float]) -> None:
    p = torch.tensor([values], dtype=torch.float64)
    found = float(log_mean_max(p.log()).exp())
    assert found == pytest.approx(float((p / (1 - p)).sum() / (1 / (1 - p)).sum()), rel=1e-6)
    assert float(p.mean()) - 1e-9 <= found <= float(p.max()) + 1e-9


def test_mean_max_of_likelihoods_that_are_no_float32_numbers_has_a_gradient() -> None:
    logarithms = torch.tensor([[-1e3, -1e3 - math.log(3)], [0.0, -1e8], [-1e8, -1e9]], requires_grad=True)
    found = log_mean_max(logarithms)
    torch.testing.assert_close(found[:2], torch.tensor([-1e3 + math.log(2 / 3), 0.0]), rtol=1e-4, atol=1e-4)
    found.sum().backward()
    assert bool(logarithms.grad.isfinite().all())


def test_the_chance_of_a_place_by_hand() -> None:
    iou = torch.tensor([[0.9, 0.2, 0.6], [0.7, 0.55, 0.8], [0.4, 0.1, 0.0]])
    found = placed(iou, torch.tensor([0, 1, 0]), 3, 0.5)
    first = [max(1.0, 0.1 / 0.3), 0.0, 0.0]
    second = [max(0.2 / 0.4, 1.0), 1.0, 0.0]
    torch.testing.assert_close(found, torch.tensor([first, second, [0.0, 0.0, 0.0]]))
    assert placed(iou[:, :0], torch.zeros(0, dtype=torch.int64), 2, 0.5).tolist() == [[0.0, 0.0]] * 3
    assert not bool(placed(torch.full((2, 1), 0.3), torch.tensor([1]), 2, 0.5).any())  # nobody is near enough


def test_a_sure_mistake_costs_more_than_focal_loss_lets_an_unsure_one() -> None:
    p = torch.tensor([[0.0, 0.5, 1.0]])
    found: Tensor = precision_loss(p, 2.0)
    assert found[0, :2].tolist() == pytest.approx([0.0, 0.25 * math.log(2)]) and bool(found.isfinite().all())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"per": "batch"}, "neither classes nor per"),
        ({"classes": 2.0}, "neither classes nor per"),
        ({"anchors": {"a": AnchorSettings(size_m=(1, 1, 1), z_m=0, positive=0.5)}}, "have no thresholds"),
        ({"shared": False}, "shared"),
        ({"bag": 0}, "bag"),
    ],
)
def test_settings_of_another_loss_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FreeAnchorHeadSettings(**changes)


def test_the_published_network_has_its_size() -> None:
    with torch.device("meta"):
        model = FreeAnchorSettings().build(("car", "pedestrian"))
    assert model.head.offsets.weight.shape == (8 * 7, 256, 1, 1) and model.settings.strides == (2, 4, 8)
