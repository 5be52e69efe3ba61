"""Every LiDAR detector through one test: the contract, clouds of all kinds, bad input, saved weights, training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pointcloud.structures.detector import LidarDetector
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models.small_lidar import CLASSES, MODELS, drive
from vol3d.errors import DataError

NO_BOXES = BoxTargets(torch.zeros(0, 9), torch.zeros(0, dtype=torch.int64))


def build(settings: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return LidarDetector.of(settings.build(CLASSES))  # what the task asks before it scores and predicts


@pytest.fixture(params=sorted(MODELS))
def settings(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]


def maps(prediction: Any) -> tuple[Tensor, ...]:
    """What the head saw."""
    return getattr(prediction, "maps", None) or (prediction.bev,)


def without_gradient(model: nn.Module) -> list[str]:
    return [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]


def test_forward_loss_backward_decode(settings: Any) -> None:
    model = build(settings)
    (first, one), (second, two) = drive(4), drive(3, seed=1, columns=7)
    prediction = model([first, second])
    terms = model.loss(prediction, [one, two])
    assert all(term.ndim == 0 and bool(term.isfinite()) and term > 0 for term in terms.values())
    sum(terms.values()).backward()
    assert without_gradient(model) == []
    found = model.decode(prediction)
    assert [detections.class_names for detections in found] == [CLASSES, CLASSES]
    assert prediction.left_out == (0, 0)


def test_the_cells_of_the_map_tile_the_range(settings: Any) -> None:
    prediction = build(settings)([drive(1)[0]])
    if not hasattr(prediction, "grid"):
        pytest.skip("queries, not the cells of a map, become boxes")
    grid, low, high = prediction.grid, settings.voxels.point_range_m[:2], settings.voxels.point_range_m[3:5]
    assert grid.shape == tuple(prediction.bev.shape[2:])
    corners = grid.to_metres(torch.tensor([[0.0, 0.0], [grid.shape[1], grid.shape[0]]]))
    torch.testing.assert_close(corners, torch.tensor([low, high]))


def test_saved_weights_give_the_same_boxes(settings: Any, tmp_path: Any) -> None:
    model, other = build(settings).eval(), build(settings, seed=1).eval()
    torch.save(model.state_dict(), tmp_path / "a.pt")
    other.load_state_dict(torch.load(tmp_path / "a.pt", weights_only=True))
    clouds = [drive(3)[0]]
    for one, two in zip(model.decode(model(clouds)), other.decode(other(clouds)), strict=True):
        assert np.array_equal(one.boxes, two.boxes) and np.array_equal(one.scores, two.scores)


def test_what_is_returned_does_not_depend_on_the_mode(settings: Any) -> None:
    model = build(settings)
    cloud, targets = drive(3)
    trained, evaluated = model.train()([cloud, cloud]), model.eval()([cloud, cloud])
    assert set(model.loss(trained, [targets] * 2)) == set(model.loss(evaluated, [targets] * 2))
    assert [x.shape for x in maps(trained)] == [x.shape for x in maps(evaluated)]


def test_a_cloud_is_the_same_alone_and_in_a_batch(settings: Any) -> None:
    model = build(settings).eval()
    clouds = [drive(4)[0], torch.zeros(0, 4), drive(2, seed=3)[0]]
    together = maps(model(clouds))
    for index, cloud in enumerate(clouds):
        for alone, batched in zip(maps(model([cloud])), together, strict=True):
            torch.testing.assert_close(alone[0], batched[index], rtol=1e-4, atol=1e-5)


def test_samples_without_points_or_boxes_train(settings: Any) -> None:
    cloud, targets = drive(3)
    nothing, far = torch.zeros(0, 4), torch.full((5, 4), 1e9)
    for clouds, truth in (
        ([nothing], [NO_BOXES]),
        ([far], [targets]),
        ([cloud, nothing], [targets, NO_BOXES]),
        ([far, cloud], [targets, NO_BOXES]),
    ):
        model = build(settings)
        prediction = model(clouds)
        sum(model.loss(prediction, truth).values()).backward()
        assert without_gradient(model) == []
        assert len(model.decode(prediction)) == len(clouds)


def test_bfloat16_autocast_trains(settings: Any) -> None:
    model = build(settings)
    cloud, targets = drive(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = model([cloud, cloud])
        terms = model.loss(prediction, [targets, targets])
    assert {term.dtype for term in terms.values()} == {torch.float32}
    sum(terms.values()).backward()
    assert without_gradient(model) == []
    assert len(model.decode(prediction)) == 2
    exact = model.loss(model([cloud, cloud]), [targets, targets])
    assert sum(terms.values()).item() == pytest.approx(sum(exact.values()).item(), rel=0.01)


@pytest.mark.parametrize(
    ("clouds", "message"),
    [
        ([], "not a list of clouds"),
        ([torch.rand(9, 5)], "wrong columns"),
        ([torch.rand(9, 4), torch.full((1, 4), torch.nan)], r"clouds\[1\]\[0\]: values that are not finite"),
    ],
)
def test_clouds_that_are_none_are_refused(settings: Any, clouds: list[Tensor], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(settings)(clouds)


def test_targets_that_make_no_sense_are_refused(settings: Any) -> None:
    model = build(settings)
    cloud, _ = drive(1)
    with pytest.raises(DataError, match="a class that the model does not have"):
        model.loss(model([cloud]), [BoxTargets(torch.ones(1, 9), torch.tensor([2]))])
    with pytest.raises(DataError, match="targets of another batch"):
        model.loss(model([cloud]), [NO_BOXES, NO_BOXES])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [(3, 0.0, "a box has no size"), (5, -1.0, "a size is negative"), (0, torch.nan, "a value is not finite")],
)
def test_boxes_that_cannot_be_learnt_are_refused(settings: Any, column: int, value: float, message: str) -> None:
    model = build(settings)
    cloud, targets = drive(2)
    targets.boxes[1, column] = value
    with pytest.raises(DataError, match=rf"targets\[0\]\.boxes.*{message}"):
        model.loss(model([cloud]), [targets])


def test_boxes_far_away_of_any_size_and_without_velocity_leave_the_loss_finite(settings: Any) -> None:
    model = build(settings)
    cloud, targets = drive(4)
    targets.boxes[0, :3], targets.boxes[1, 3:6], targets.boxes[2, 3:6] = 1e8, 1e5, 1e-4
    targets.boxes[:, 7:] = torch.nan
    sum(model.loss(model([cloud]), [targets]).values()).backward()
    assert without_gradient(model) == []


def test_a_small_network_learns_one_drive(settings: Any) -> None:
    model = build(settings)
    cloud, targets = drive(4, seed=2)
    optimizer, learnt = torch.optim.AdamW(model.parameters(), lr=1e-2), 0
    model.train()  # one scene: its own statistics
    for step in range(1, 241):  # how many it takes depends on rounding
        loss = sum(model.loss(model([cloud]), [targets]).values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        if step % 15 == 0:
            learnt = 0 if unlike(model, cloud, targets) else learnt + 1
            if learnt == 2:  # and stays so
                break
    assert unlike(model, cloud, targets) == []


@torch.no_grad()
def unlike(model: Any, cloud: torch.Tensor, targets: BoxTargets) -> list[str]:
    """In what the four surest boxes are not the four objects."""
    found = model.decode(model([cloud]))[0]
    sure = found.select(np.argsort(-found.scores)[:4])
    if len(sure) < 4:
        return ["number"]
    away = torch.cdist(torch.from_numpy(sure.boxes[:, :2]), targets.boxes[:, :2])
    nearest = away.min(dim=1).indices
    turned = torch.from_numpy(sure.boxes[:, 6]) - targets.boxes[nearest, 6]
    right = {
        "scores": bool((sure.scores > 0.5).all()),
        "places": bool((away.min(dim=0).values < 0.3).all()),
        "labels": torch.equal(targets.labels[nearest], torch.from_numpy(sure.labels)),
        "yaws": bool((turned.cos() > 0.9).all()),
    }
    return [name for name, holds in right.items() if not holds]
