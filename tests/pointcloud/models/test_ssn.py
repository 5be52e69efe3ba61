"""SSN's grouping heads: whose map an anchor lies on, the loss against a slow twin, groups that cannot be."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.anchors.anchors import AnchorSettings, encode_offsets
from pointcloud.models.anchors.head import AnchorOutputs, flat
from pointcloud.models.anchors.ssn import ShapeGroupSettings, SsnHead, SsnHeadSettings, SsnSettings
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets
from tests.reference import anchors as slow

GRID = MapGrid((0.0, -4.0), (0.5, 0.5), 2, (8, 10))
CLASSES = ("car", "pedestrian", "van")
ANCHORS = {
    "car": AnchorSettings(size_m=(3.9, 1.6, 1.5), z_m=-1.0),
    "pedestrian": AnchorSettings(size_m=(0.8, 0.6, 1.7), z_m=-0.6, positive=0.5, negative=0.35, claim=True),
    "van": AnchorSettings(size_m=(5.1, 1.9, 2.1), z_m=-0.8),
}
GROUPS = (
    ShapeGroupSettings(classes=("pedestrian",), widths=(6,), strides=(1,)),
    ShapeGroupSettings(classes=("van", "car"), widths=(6, 8), strides=(2, 1)),
)
SETTINGS = SsnHeadSettings(anchors=ANCHORS, groups=GROUPS, per="batch")


def a_head() -> SsnHead:
    torch.manual_seed(0)
    return SsnHead(4, CLASSES, SETTINGS)


def test_every_group_has_the_anchors_of_its_classes_on_its_own_map() -> None:
    head = a_head()
    fine, coarse = head.anchors([GRID])
    assert fine.shape == (8, 10, 2, 7) and coarse.shape == (4, 5, 4, 7)
    assert fine[0, 0, 0].tolist() == pytest.approx([0.5, -3.5, -0.6, 0.8, 0.6, 1.7, 0.0])
    assert coarse[3, 4, 0].tolist() == pytest.approx([9.0, 3.0, -0.8, 5.1, 1.9, 2.1, 0.0])
    assert coarse[0, 0, 3].tolist() == pytest.approx([1.0, -3.0, -1.0, 3.9, 1.6, 1.5, math.pi / 2])
    outputs = head([torch.randn(2, 4, 8, 10)])
    assert [tuple(x.shape) for x in outputs] == [(2, 240, 3), (2, 240, 7), (2, 240, 2)]


def slow_loss(outputs: AnchorOutputs, targets: list[BoxTargets], anchors: Tensor, owner: list[str]) -> Tensor:
    """Class, box and direction: class by class and anchor by anchor."""
    sums, positives = torch.zeros(3), 0
    for logits, offsets, directions, target in zip(*outputs, targets, strict=True):
        for name, rule in ANCHORS.items():
            rows = [n for n, one in enumerate(owner) if one == name]
            boxes = target.boxes[target.labels == CLASSES.index(name)]
            found = slow.matches(anchors[rows], boxes, rule.positive, rule.negative) if len(boxes) else [-1] * len(rows)
            for n, k in zip(rows, found, strict=True):
                if k is None:
                    continue
                p = logits[n].sigmoid()
                terms = 0.75 * p**2 * -(1 - p).log()
                if k >= 0:
                    at = CLASSES.index(name)
                    terms = torch.cat([terms[:at], (0.25 * (1 - p[at]) ** 2 * -p[at].log())[None], terms[at + 1 :]])
                sums = sums + torch.stack([terms.sum(), terms.new_zeros(()), terms.new_zeros(())])
                if k >= 0:
                    positives += 1
                    away = offsets[n] - encode_offsets(boxes[k], anchors[n])
                    away = torch.cat([away[:6], away[6:].sin()])
                    box = F.smooth_l1_loss(away, torch.zeros(7), beta=1 / 9, reduction="sum")
                    side = int((float(boxes[k, 6]) - math.pi / 4) % (2 * math.pi) >= math.pi)
                    turned = -F.log_softmax(directions[n], dim=0)[side]
                    sums = sums + torch.stack([box.new_zeros(()), 2 * box, 0.2 * turned])
    return sums / max(positives, 1)


@pytest.mark.parametrize("counts", [(0,), (1,), (3, 0, 2)])
def test_the_loss_is_that_of_the_slow_twin_in_value_and_gradient(counts: tuple[int, ...]) -> None:
    head = a_head()
    levels = head.anchors([GRID])
    generator = torch.Generator().manual_seed(sum(counts))
    outputs = AnchorOutputs(
        *(torch.randn(len(counts), 240, n, generator=generator).requires_grad_() for n in (3, 7, 2))
    )
    targets = []
    for count in counts:
        labels = torch.arange(count) % 3
        size = torch.tensor([ANCHORS[CLASSES[n]].size_m for n in labels.tolist()]).view(-1, 3)
        place = torch.rand(count, 2, generator=generator) * torch.tensor([8.0, 6.0]) - torch.tensor([-1.0, 3.0])
        yaw = (torch.rand(count, 1, generator=generator) - 0.5) * 6
        targets.append(BoxTargets(torch.cat([place, -torch.ones(count, 1), size * 1.1, yaw], dim=1), labels))
    owner = ["pedestrian"] * 160 + ["van", "van", "car", "car"] * 20
    found = torch.stack([*head.loss(outputs, targets, [GRID]).values()])
    wanted = slow_loss(outputs, targets, flat(levels), owner)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    ours, theirs = (torch.autograd.grad(x.sum(), outputs, allow_unused=True) for x in (found, wanted))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": GROUPS[:1]}, "in exactly one group"),
        ({"groups": (*GROUPS, GROUPS[0])}, "in exactly one group"),
        ({"groups": ()}, "groups"),
        ({"shared": True}, "shared"),
    ],
)
def test_groups_that_do_not_divide_the_classes_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SsnHeadSettings(anchors=ANCHORS, **({"groups": GROUPS} | changes))


def test_convolutions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValidationError, match="as many positive numbers"):
        ShapeGroupSettings(classes=("car",), widths=(64,), strides=(1, 1))
    with pytest.raises(ValidationError, match="must be multiples of 12"):
        wide = ShapeGroupSettings(classes=("car", "van"), widths=(8, 8), strides=(3, 2))
        SsnSettings(head=SsnHeadSettings(anchors=ANCHORS, groups=(GROUPS[0], wide)))


def test_the_published_network_has_its_size() -> None:
    with torch.device("meta"):
        model = SsnSettings(head=SsnHeadSettings(velocity=True)).build(tuple(SsnHeadSettings().anchors))
    assert [group.offsets.weight.shape[0] for group in model.head.groups] == [36, 18, 36, 18, 72]
    assert [group.classes.weight.shape[0] for group in model.head.groups] == [40, 20, 40, 20, 80]
