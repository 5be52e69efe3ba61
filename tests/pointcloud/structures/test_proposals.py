"""Proposals: their shapes, and those of several models as one."""

from __future__ import annotations

import pytest
import torch

from pointcloud.structures.proposals import Proposals, join_proposals
from vol3d.errors import DataError


def proposals(count: int, classes: int = 3, points: int = 5) -> Proposals:
    return Proposals(torch.rand(count, 7), torch.rand(count, classes), torch.rand(count), torch.rand(points, 3))


def test_those_of_two_models_stand_one_after_the_other() -> None:
    first, second = proposals(4), proposals(2, points=9)
    both = join_proposals([first, second])
    assert torch.equal(both.boxes, torch.cat([first.boxes, second.boxes]))
    assert torch.equal(both.objectness[4:], second.objectness)
    assert both.points is first.points
    assert torch.equal(join_proposals([second]).class_probability, second.class_probability)


def test_no_proposals_are_fine() -> None:
    assert len(join_proposals([proposals(0), proposals(0)]).boxes) == 0


def test_models_of_other_classes_and_no_model_are_refused() -> None:
    with pytest.raises(DataError, match=r"different classes; got \[3, 2\]"):
        join_proposals([proposals(4), proposals(4, classes=2)])
    with pytest.raises(DataError, match="nothing to join"):
        join_proposals([])


@pytest.mark.bad_input
def test_shapes_must_fit() -> None:
    with pytest.raises(DataError, match="do not fit together"):
        Proposals(torch.rand(4, 7), torch.rand(4, 3), torch.rand(3), torch.rand(5, 3))
    with pytest.raises(DataError, match="do not fit together"):
        Proposals(torch.rand(4, 6), torch.rand(4, 3), torch.rand(4), torch.rand(5, 3))
