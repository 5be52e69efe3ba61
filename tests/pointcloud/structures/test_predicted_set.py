"""What detectors say, in terms that two of them can be compared in."""

from __future__ import annotations

import torch

from pointcloud.structures.predicted_set import PredictedSet, softmax_log_odds


def test_log_odds_of_a_softmax_are_its_probabilities() -> None:
    logits = torch.randn(3, 5, 4) * 3
    torch.testing.assert_close(softmax_log_odds(logits).sigmoid(), logits.softmax(-1)[..., :-1])


def test_log_odds_of_sure_answers_stay_finite() -> None:
    logits = torch.tensor([[1000.0, 0, -1000], [0, 0, 1000]], requires_grad=True)
    odds = softmax_log_odds(logits)
    assert odds.tolist() == [[1000.0, -1000], [-1000, -1000]]
    odds.sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_one_layer_of_a_set_and_the_set_without_history() -> None:
    whole = PredictedSet(torch.randn(3, 2, 5, 4, requires_grad=True), torch.randn(3, 2, 5, 8), torch.randn(3, 2, 5, 2))
    last = whole.layers(-1)
    assert whole.velocity is not None and last.velocity is not None
    assert torch.equal(last.log_odds, whole.log_odds[2])
    assert torch.equal(last.velocity, whole.velocity[2])
    assert not whole.detach().log_odds.requires_grad
    assert PredictedSet(whole.log_odds, whole.box).layers(0).velocity is None


def test_the_likelihood_of_no_object_is_that_of_no_to_every_class() -> None:
    odds = torch.tensor([[[2.0, -1.0]]])
    independent = PredictedSet(odds, torch.zeros(1, 1, 8)).log_likelihood().exp()
    p = odds.sigmoid()[0, 0]
    torch.testing.assert_close(independent[0, 0], torch.stack([p[0], p[1], (1 - p[0]) * (1 - p[1])]))


def test_some_queries_of_a_set() -> None:
    whole = PredictedSet(torch.randn(2, 5, 4), torch.randn(2, 5, 8), None, torch.randn(2, 5))
    few = whole.queries(torch.tensor([[4, 1], [0, 0]]))
    assert torch.equal(few.box[0], whole.box[0, [4, 1]]) and few.velocity is None
    assert few.log_no_object is not None and whole.log_no_object is not None
    assert torch.equal(few.log_no_object[1], whole.log_no_object[1, [0, 0]])
