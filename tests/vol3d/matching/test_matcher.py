"""Matcher and set loss on small synthetic sets: values, gradients, empty samples, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.reference import matching as reference
from tests.vol3d.geometry.samples import random_boxes
from vol3d.errors import DataError, UsageError
from vol3d.geometry import giou_3d
from vol3d.matching import (
    ClassLoss,
    Cost,
    HungarianMatcher,
    PairLoss,
    SetLoss,
    SetTargets,
    center_distance_cost,
    class_probability_cost,
    cross_entropy_cost,
    focal_class_cost,
    giou_cost,
    l1_cost,
    l1_loss,
    objectness_cost,
    sigmoid_focal_loss,
    softmax_class_loss,
)


def made_up(counts: list[int], layers: int, queries: int = 12) -> tuple[dict[str, Tensor], SetTargets]:
    generator = torch.Generator().manual_seed(3)
    samples = [
        {"boxes": random_boxes(count, 100 + count).float(), "label": torch.randint(0, 4, (count,), generator=generator)}
        for count in counts
    ]
    shape = (layers, len(counts), queries)
    predictions = {
        "boxes": torch.stack([random_boxes(queries, seed).float() for seed in range(layers * len(counts))]).reshape(
            *shape, 7
        ),
        "logits": torch.randn(*shape, 4, generator=generator),
    }
    return predictions, SetTargets.pad(samples)


L1_MATCHER = HungarianMatcher({"box": Cost(l1_cost, "boxes", "boxes")})


def test_costs_by_hand():
    labels = torch.tensor([[1, 0]])
    probability = torch.tensor([[[0.1, 0.9], [0.6, 0.4], [0.5, 0.5]]])
    torch.testing.assert_close(
        class_probability_cost(probability, labels), torch.tensor([[[-0.9, -0.4, -0.5], [-0.1, -0.6, -0.5]]])
    )
    assert objectness_cost(torch.tensor([[0.1, 0.2, 0.3]]), labels).tolist()[0][1] == pytest.approx([-0.1, -0.2, -0.3])
    points = torch.tensor([[[0.0, 0, 0], [3, 4, 0]]])
    origin = torch.zeros(1, 1, 3)
    assert l1_cost(points, origin).tolist() == [[[0, 7]]]
    assert center_distance_cost(points, origin).tolist() == [[[0, 5]]]
    sure = focal_class_cost(torch.tensor([[[20.0, -20], [-20, 20]]]), torch.tensor([[0]]))
    assert sure[0, 0, 0] < -5 and sure[0, 0, 1] > 4
    teacher = torch.tensor([[[0.0, 1.0]]])
    entropy = cross_entropy_cost(probability.log(), teacher)
    torch.testing.assert_close(entropy, -probability[:, None, :, 1].log())


def test_giou_cost_with_layers():
    predictions, targets = made_up([3, 2], layers=2)
    cost = giou_cost(predictions["boxes"], targets.fields["boxes"])
    assert cost.shape == (2, 2, 3, 12)
    expected = -giou_3d(targets.fields["boxes"][1], predictions["boxes"][1, 1])
    torch.testing.assert_close(cost[1, 1], expected)


def test_all_layers_and_samples_at_once_equal_one_at_a_time():
    predictions, targets = made_up([5, 0, 3], layers=2)
    query = L1_MATCHER(predictions, targets).query
    for layer in range(2):
        for sample, count in enumerate(targets.counts.tolist()):
            cost = L1_MATCHER.cost(predictions, targets)[layer, sample, :count]
            assert query[layer, sample, :count].tolist() == reference.assign(cost)[1].tolist()
            assert (query[layer, sample, count:] == -1).all()


def test_set_loss_equals_the_twin_in_value_and_gradient():
    predictions, targets = made_up([5, 0, 3], layers=1)
    boxes = predictions["boxes"][0].clone().requires_grad_()
    matches = L1_MATCHER({"boxes": boxes}, targets)
    terms = SetLoss({"box": PairLoss(l1_loss, ("boxes",), ("boxes",))})({"boxes": boxes}, targets, matches)
    pairs = [[(int(query), index) for index, query in enumerate(row.tolist()) if query >= 0] for row in matches.query]
    truth = [targets.fields["boxes"][i, :count] for i, count in enumerate(targets.counts.tolist())]
    expected = reference.l1_set_loss(boxes, truth, pairs)
    torch.testing.assert_close(terms["box"], expected)
    ours, theirs = (torch.autograd.grad(value, boxes, retain_graph=True)[0] for value in (terms["box"], expected))
    torch.testing.assert_close(ours, theirs)


def test_queries_know_their_targets_and_classes():
    predictions, targets = made_up([4, 2], layers=2)
    matches = L1_MATCHER(predictions, targets)
    owner = matches.target_of_queries(12)
    assert (owner >= 0).sum((-1, -2)).tolist() == [6, 6]
    for sample, count in enumerate([4, 2]):
        for target in range(count):
            assert owner[1, sample, matches.query[1, sample, target]] == target
    taken = matches.take(predictions["boxes"])
    assert torch.equal(taken[1, 0, 2], predictions["boxes"][1, 0, matches.query[1, 0, 2]])


@pytest.mark.parametrize("counts", [[0, 0], [1]])
def test_no_targets_and_one_target(counts):
    predictions, targets = made_up(counts, layers=2)
    predictions = {name: value.requires_grad_() for name, value in predictions.items()}
    matches = L1_MATCHER(predictions, targets)
    loss = SetLoss(
        {
            "class": ClassLoss(sigmoid_focal_loss, "logits", "label", divide_by="boxes"),
            "box": PairLoss(l1_loss, ("boxes",), ("boxes",)),
        }
    )
    terms = loss(predictions, targets, matches)
    assert list(terms) == ["class", "class/layer0", "box", "box/layer0"]
    assert (terms["box"] > 0) == (sum(counts) > 0)
    sum(terms.values()).backward()
    assert all(value.grad.isfinite().all() for value in predictions.values())


def test_unknown_targets_leave_their_pair_out():
    predictions, targets = made_up([3], layers=1)
    boxes = predictions["boxes"][0].clone().requires_grad_()
    matches = L1_MATCHER({"boxes": boxes}, targets)
    targets.fields["boxes"][0, 1, 3] = math.nan
    terms = SetLoss({"box": PairLoss(l1_loss, ("boxes",), ("boxes",))})({"boxes": boxes}, targets, matches)
    (gradient,) = torch.autograd.grad(terms["box"], boxes)
    assert terms["box"].isfinite()
    assert (gradient[0].abs().sum(-1) > 0).nonzero()[:, 0].tolist() == sorted(matches.query[0, [0, 2]].tolist())


def test_background_weight():
    logits = torch.tensor([[[2.0, 0, 0], [0, 0, 3]]])
    values, weights = softmax_class_loss(logits, torch.tensor([[0, -1]]), background_weight=0.1)
    expected = torch.nn.functional.cross_entropy(logits[0], torch.tensor([0, 2]), weight=torch.tensor([1.0, 1, 0.1]))
    torch.testing.assert_close(values.sum() / weights.sum(), expected)


def test_faults_name_layer_sample_and_term():
    predictions, targets = made_up([3, 2], layers=2)
    predictions["logits"][1, 0, 4] = math.nan
    matcher = HungarianMatcher(
        {"class": Cost(focal_class_cost, "logits", "label"), "box": Cost(l1_cost, "boxes", "boxes")}
    )
    with pytest.raises(DataError, match=r"costs\[1, 0\], 3 x 12 targets x queries: matching failed.*values: class\."):
        matcher(predictions, targets)


def test_wrong_names_and_sizes_are_refused():
    predictions, targets = made_up([3], layers=1, queries=2)
    with pytest.raises(DataError, match="targets: more targets than queries; got 3, wanted 2 at most"):
        L1_MATCHER(predictions, targets)
    with pytest.raises(UsageError, match="cost 'box': no such prediction; got box, wanted boxes, logits"):
        HungarianMatcher({"box": Cost(l1_cost, "box", "boxes")})(predictions, targets)
    with pytest.raises(UsageError, match="cost 'box': no such target field; got size, wanted boxes, label"):
        HungarianMatcher({"box": Cost(l1_cost, "boxes", "size")})(predictions, targets)
    with pytest.raises(UsageError, match="costs: no cost to match by"):
        HungarianMatcher({"box": Cost(l1_cost, "boxes", "boxes", weight=0.0)})(predictions, targets)
    predictions, targets = made_up([3], layers=1)
    matches = L1_MATCHER(predictions, targets)
    with pytest.raises(UsageError, match="loss 'size': no such field; got size, wanted boxes, label"):
        SetLoss({"size": PairLoss(l1_loss, ("boxes",), ("size",))})(predictions, targets, matches)
    with pytest.raises(DataError, match=r"column_weights: wrong number of weights; got 2, wanted 7, one per column"):
        l1_loss(predictions["boxes"], predictions["boxes"], column_weights=(1.0, 2.0))
    with pytest.raises(DataError, match=r"matches: matches of other targets; got \(1, 1, 3\), wanted"):
        SetLoss({})(predictions, made_up([3, 1], layers=1)[1], matches)


def test_targets_must_fit_together():
    with pytest.raises(DataError, match=r"sample 1: targets do not fit together; got \{'label': 2\}"):
        SetTargets.pad([{"label": torch.zeros(1), "box": torch.zeros(1, 7)}, {"label": torch.zeros(2)}])
    with pytest.raises(DataError, match="label: targets do not fit together"):
        SetTargets({"label": torch.zeros(2, 3)}, torch.tensor([1]))
    with pytest.raises(DataError, match=r"counts: wrong counts; got \[4\], wanted 0 to 3"):
        SetTargets({"label": torch.zeros(1, 3)}, torch.tensor([4]))
