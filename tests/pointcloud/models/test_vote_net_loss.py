"""VoteNet's losses against their slow twins, in value and gradient; scenes without objects; bad targets."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.layers.proposal_head import ProposalOutputs
from pointcloud.models.layers.proposal_loss import (
    Assignment,
    VoteLossSettings,
    assign_by_distance,
    assign_by_membership,
    center_loss,
    proposal_losses,
    vote_loss,
)
from pointcloud.structures.targets import BoxTargets, check_targets
from tests.reference import vote_net as slow
from vol3d.errors import DataError

CLASSES, BINS = 3, 12
ONES = VoteLossSettings(
    vote=1, objectness=1, center=1, angle_bin=1, angle_residual=1, size_class=1, size_residual=1, classes=1
)
NO_BOXES = BoxTargets(torch.zeros(0, 7), torch.zeros(0, dtype=torch.int64))


@pytest.fixture(params=[(4, 2), (3, 0), (0, 0), (1,)], ids=str)
def targets(request: pytest.FixtureRequest) -> list[BoxTargets]:
    torch.manual_seed(1)
    made = []
    for count in request.param:
        boxes = torch.cat(
            [torch.rand(count, 3) * 2, 0.5 + torch.rand(count, 3), (torch.rand(count, 1) - 0.5) * 6], dim=1
        )
        made.append(BoxTargets(boxes, torch.arange(count) % CLASSES))
    return made


def tables(targets: list[BoxTargets]) -> list[Tensor]:
    return [target.boxes for target in targets]


def said(scenes: int, proposals: int) -> ProposalOutputs:
    widths = ((2,), (3,), (BINS,), (BINS,), (CLASSES,), (CLASSES, 3), (CLASSES,))
    return ProposalOutputs(*(torch.randn(scenes, proposals, *width, requires_grad=True) for width in widths))


def same(got: Tensor, wanted: Tensor, leaves: list[Tensor]) -> None:
    torch.testing.assert_close(got, wanted)
    one, other = (torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True) for value in (got, wanted))
    for leaf, a, b in zip(leaves, one, other, strict=True):
        zero = torch.zeros_like(leaf)
        torch.testing.assert_close(zero if a is None else a, zero if b is None else b)


def test_vote_loss_is_that_of_its_twin(targets: list[BoxTargets]) -> None:
    seeds = torch.rand(len(targets), 60, 3) * 2
    votes = (seeds + 0.3 * torch.randn_like(seeds)).requires_grad_()
    same(vote_loss(seeds, votes, targets), slow.vote_loss(seeds, votes, tables(targets)), [votes])


def test_a_seed_in_two_boxes_votes_for_the_nearer_of_the_two() -> None:
    target = BoxTargets(
        torch.tensor([[0.0, 0, 0, 2, 2, 2, 0], [1.0, 0, 0, 2, 2, 2, 0], [0.6, 0, 0, 0.1, 2, 2, 0]]), torch.arange(3)
    )
    seed, vote = torch.tensor([[[0.4, 0.0, 0.0]]]), torch.tensor([[[0.65, 0.0, 0.1]]])
    # The third centre is nearer to the vote, but its box does not hold the seed.
    assert float(vote_loss(seed, vote, [target])) == pytest.approx(0.45)


def test_center_loss_is_that_of_its_twin(targets: list[BoxTargets]) -> None:
    centers = (torch.rand(len(targets), 9, 3) * 2).requires_grad_()
    positive = (torch.arange(9) % 3 == 0).expand(len(targets), -1)
    same(center_loss(centers, positive, targets), slow.center_loss(centers, positive, tables(targets)), [centers])


def test_every_term_is_that_of_its_twin(targets: list[BoxTargets]) -> None:
    places, outputs, mean_sizes = (
        torch.rand(len(targets), 40, 3) * 2,
        said(len(targets), 40),
        torch.rand(CLASSES, 3) + 0.3,
    )
    assignment = assign_by_distance(places, targets, 0.4, 0.8)
    centers = places + outputs.center
    terms = proposal_losses(outputs, centers, assignment, targets, mean_sizes, ONES)
    assert bool(assignment.positive.any()) == any(len(target.boxes) for target in targets)
    rows = [
        slow.box_terms(
            {name: getattr(outputs, name)[i, q] for name in outputs._fields},
            assignment.boxes[i, q],
            int(assignment.labels[i, q]),
            mean_sizes,
        )
        for i, q in assignment.positive.nonzero().tolist()
    ]
    nothing = sum(value.sum() for value in outputs) * 0
    for name in ("angle_bin", "angle_residual", "size_class", "size_residual", "class"):
        same(terms[name], sum(row[name] for row in rows) / max(len(rows), 1) + nothing, list(outputs))
    same(terms["center"], slow.center_loss(centers, assignment.positive, tables(targets)), [outputs.center])


def test_objectness_counts_what_is_near_or_far_with_weights() -> None:
    target = BoxTargets(torch.tensor([[0.0, 0, 0, 1, 1, 1, 0]]), torch.tensor([0]))
    places = torch.tensor([[[0.2, 0, 0], [0.5, 0, 0], [0.7, 0, 0], [9.0, 0, 0]]])
    outputs = said(1, 4)
    assignment = assign_by_distance(places, [target], 0.3, 0.6)
    assert assignment.positive.tolist() == [[True, False, False, False]]
    assert assignment.counted.tolist() == [[True, False, True, True]]
    rows = [slow.entropy(outputs.objectness[0, q], int(q == 0)) for q in range(4)]
    wanted = (0.8 * rows[0] + 0.2 * rows[2] + 0.2 * rows[3]) / 3
    terms = proposal_losses(outputs, places + outputs.center, assignment, [target], torch.ones(CLASSES, 3), ONES)
    same(terms["objectness"], wanted, [outputs.objectness])


def test_proposals_belong_to_the_nearest_object(targets: list[BoxTargets]) -> None:
    places = torch.rand(len(targets), 25, 3) * 2
    for assignment in (assign_by_distance(places, targets, 0.4, 0.8), assign_by_membership(places, targets)):
        for i, target in enumerate(targets):
            for q in range(25) if len(target.boxes) else ():
                nearest = (target.boxes[:, :3] - places[i, q]).norm(dim=1).argmin()
                assert torch.equal(assignment.boxes[i, q], target.boxes[nearest])
                assert assignment.labels[i, q] == target.labels[nearest]


def test_boxnet_asks_whether_a_seed_is_in_a_box(targets: list[BoxTargets]) -> None:
    places = torch.rand(len(targets), 25, 3) * 2
    assignment = assign_by_membership(places, targets)
    wanted = [
        [any(slow.holds(box, place) for box in target.boxes) for place in xyz]
        for xyz, target in zip(places, targets, strict=True)
    ]
    assert assignment.positive.tolist() == wanted
    assert bool(assignment.counted.all())


def test_far_from_all_is_what_a_scene_without_objects_says() -> None:
    places, outputs = torch.rand(1, 6, 3), said(1, 6)
    for assignment in (assign_by_distance(places, [NO_BOXES], 0.3, 0.6), assign_by_membership(places, [NO_BOXES])):
        assert not bool(assignment.positive.any()) and bool(assignment.counted.all())
        terms = proposal_losses(outputs, places + outputs.center, assignment, [NO_BOXES], torch.ones(CLASSES, 3), ONES)
        assert {name for name, term in terms.items() if term != 0} == {"objectness"}


def test_weights_multiply_their_terms() -> None:
    target = BoxTargets(torch.tensor([[0.0, 0, 0, 1, 1, 1, 0]]), torch.tensor([0]))
    places, outputs = torch.zeros(1, 4, 3), said(1, 4)
    assignment = Assignment(*assign_by_membership(places, [target]))
    plain, weighted = (
        proposal_losses(outputs, places + outputs.center, assignment, [target], torch.ones(CLASSES, 3), settings)
        for settings in (ONES, VoteLossSettings())
    )
    factors = {"objectness": 5, "center": 10, "angle_bin": 1, "angle_residual": 10, "size_class": 1}
    for name, factor in (factors | {"size_residual": 10, "class": 1}).items():
        torch.testing.assert_close(weighted[name], factor * plain[name])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (BoxTargets(torch.ones(1, 7), torch.tensor([3])), r"targets\[0\]: .*does not have; got 3 to 3, wanted 0 to 2"),
        (BoxTargets(torch.ones(1, 7), torch.tensor([-1])), "a class that the model does not have"),
        (BoxTargets(torch.ones(1, 7), torch.tensor([0])), "boxes turn"),
        (BoxTargets(torch.tensor([[0, 0, torch.nan, 1, 1, 1, 0]]), torch.tensor([0])), "not finite"),
        (BoxTargets(torch.tensor([[0.0, 0, 0, 1, -1, 1, 0]]), torch.tensor([0])), "a size is negative"),
    ],
)
def test_targets_that_make_no_sense_are_refused(target: BoxTargets, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_targets([target], 1, CLASSES, turning=False)


def test_near_is_nearer_than_far() -> None:
    with pytest.raises(ValidationError, match="near_m must not be above far_m"):
        VoteLossSettings(near_m=0.7)
