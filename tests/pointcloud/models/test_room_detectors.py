"""Every detector for rooms through one test: the contract, scenes of all kinds, bad input, saved weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pointcloud.inference.postprocess import postprocess
from pointcloud.models.h3d_net.model import H3DNet
from pointcloud.models.three_detr.model import ThreeDetr
from pointcloud.structures.detector import RoomDetector
from pointcloud.structures.features import width
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models import small, small_lidar
from tests.pointcloud.models.small import CLASSES, MODELS, NO_BOXES, build, scenes
from vol3d import catalog
from vol3d.errors import DataError


@pytest.fixture(params=sorted(MODELS))
def settings(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]


def layers(model: Any) -> int:
    """That predict each: of the decoder, aggregation of votes is one; H3DNet's proposals and its refinement."""
    return 2 if isinstance(model, (ThreeDetr, H3DNet)) or model.settings.decoder == "transformer" else 1


def without_gradient(model: torch.nn.Module) -> list[str]:
    return [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]


def test_the_small_models_are_all_of_the_catalogue() -> None:
    tested = {settings.name for settings in (*small.MODELS.values(), *small_lidar.MODELS.values())}
    assert tested == {name for name, entry in catalog.MODELS.items() if entry.task in ("detection", "lidar")}


# --- the contract ---------------------------------------------------------------------------------------------------


def test_forward_loss_backward_decode(settings: Any) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (200, 3), (90, 2))
    prediction = model(clouds)
    assert isinstance(model, RoomDetector)
    assert prediction.boxes.shape == (layers(model), 2, 8, 7)
    assert prediction.class_probability.shape == (layers(model), 2, 8, 3)
    sum(model.loss(prediction, targets).values()).backward()
    assert without_gradient(model) == []
    found = model.decode(prediction)
    assert [len(boxes) for boxes in found] == [8, 8]
    assert found[0].class_names == CLASSES
    probability, objectness = prediction.class_probability[-1, 1], prediction.objectness[-1, 1]
    best = (probability * objectness[:, None]).max(dim=1)
    torch.testing.assert_close(torch.from_numpy(found[1].scores), best.values.detach())
    assert found[1].labels.tolist() == best.indices.tolist()


def test_proposals_hold_what_postprocessing_needs(settings: Any) -> None:
    model = build(settings).eval()
    clouds, _ = scenes(settings, (200, 3), (90, 2))
    for scan, cloud in zip(model.proposals(model(clouds)), clouds, strict=True):
        assert torch.equal(scan.points, cloud[:, :3])
        assert scan.boxes.shape == (8, 7)
        assert not scan.boxes.requires_grad
        whole = scan.objectness if isinstance(model, ThreeDetr) else torch.ones(8)
        torch.testing.assert_close(scan.class_probability.sum(1), whole)
        assert len(postprocess(scan, CLASSES)) > 0


def test_saved_weights_give_the_same_boxes(settings: Any, tmp_path: Any) -> None:
    model = build(settings).eval()
    clouds, _ = scenes(settings, (150, 2))
    torch.save(model.state_dict(), tmp_path / "a.pt")
    other = build(settings, seed=1).eval()
    other.load_state_dict(torch.load(tmp_path / "a.pt", weights_only=True))
    assert torch.equal(model(clouds).boxes, other(clouds).boxes)


def test_a_scan_is_the_same_alone_and_in_a_batch(settings: Any) -> None:
    model = build(settings).eval()
    clouds, _ = scenes(settings, (200, 3), (90, 2), (20, 1))
    together = model(clouds)
    for index, cloud in enumerate(clouds):
        torch.testing.assert_close(model([cloud]).boxes[:, 0], together.boxes[:, index], rtol=1e-4, atol=1e-5)


def test_what_is_returned_does_not_depend_on_the_mode(settings: Any) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (120, 2), (90, 2))
    trained, evaluated = model.train()(clouds), model.eval()(clouds)
    assert trained.boxes.shape == evaluated.boxes.shape
    assert set(model.loss(trained, targets)) == set(model.loss(evaluated, targets))


def test_bfloat16_autocast_trains_and_boxes_are_float32(settings: Any) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (200, 3), (90, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = model(clouds)
        terms = model.loss(prediction, targets)
    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert prediction.boxes.dtype == torch.float32
    sum(terms.values()).backward()
    assert without_gradient(model) == []

    model.eval()  # no dropout
    exact, rough = model(clouds), prediction
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(clouds)
    wanted, found = (sum(model.loss(one, targets).values()).item() for one in (exact, rough))
    assert found == pytest.approx(wanted, rel=0.01)


# --- scenes of all kinds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(0,), (0, 0), (3, 0)])
def test_scenes_without_boxes(settings: Any, counts: tuple[int, ...]) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, *((150, 3) for _ in counts))
    targets = [target if count else NO_BOXES for target, count in zip(targets, counts, strict=True)]
    terms = model.loss(model(clouds), targets)
    if not any(counts):
        background = {"class"} if isinstance(model, ThreeDetr) else {"objectness"}
        background |= {"exists", "match", "same_class"} if isinstance(model, H3DNet) else set()
        assert {name.partition("/")[0] for name, term in terms.items() if term != 0} == background
    sum(terms.values()).backward()
    assert without_gradient(model) == []


@pytest.mark.parametrize("points", [1, 2, 5, 31])
def test_fewer_points_than_tokens_are_repeated(settings: Any, points: int) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (points, 1), (100, 1))
    prediction = model(clouds)
    sum(model.loss(prediction, targets).values()).backward()
    assert without_gradient(model) == []
    seen = prediction.query_xyz if isinstance(model, ThreeDetr) else prediction.seeds
    assert {tuple(xyz) for xyz in seen[0].tolist()} <= {tuple(xyz) for xyz in clouds[0][:, :3].tolist()}


def test_equal_points(settings: Any) -> None:
    model = build(settings)
    cloud = torch.full((50, 3 + width(settings.features)), 2.5)
    target = BoxTargets(torch.tensor([[2.5, 2.5, 2.5, 1, 1, 1, 0]]), torch.tensor([0]))
    prediction = model([cloud])
    assert bool(prediction.boxes.isfinite().all())
    sum(model.loss(prediction, [target]).values()).backward()
    assert without_gradient(model) == []


def test_kilometres_away(settings: Any) -> None:
    model = build(settings).eval()
    clouds, _ = scenes(settings, (100, 2))
    far = clouds[0].clone()
    far[:, :3] = (far[:, :3] * 1000).round() + 5000
    prediction = model([far])
    assert bool(prediction.boxes.isfinite().all())
    assert [len(found) for found in model.decode(prediction)] == [8]


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cloud: [], "not a list of clouds"),
        (lambda cloud: [cloud, cloud[:0]], r"clouds\[1\]: no points"),
        (lambda cloud: [torch.cat([cloud, cloud[:, :1]], dim=1)], r"wrong columns; got .*, wanted \(N, \d\): x y z"),
        (lambda cloud: [cloud[:, :2]], "wrong columns"),
        (lambda cloud: [cloud[0]], "wrong columns"),
        (lambda cloud: [cloud.long()], "clouds"),
        (lambda cloud: [cloud, cloud.index_fill(0, torch.tensor([4]), torch.nan)], r"clouds\[1\]\[4\]: .*1 of 9"),
        (lambda cloud: [cloud.index_fill(0, torch.tensor([2, 5]), torch.inf)], r"clouds\[0\]\[2\]: .*2 of 9"),
    ],
)
def test_clouds_that_are_none_are_refused(settings: Any, change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(settings)(change(torch.rand(9, 3 + width(settings.features))))


def targets(box: list[float], label: int) -> list[BoxTargets]:
    return [BoxTargets(torch.tensor([box], dtype=torch.float32), torch.tensor([label]))]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (targets([0.5] * 6 + [0], 3), r"does not have; got 3 to 3, wanted 0 to 2"),
        (targets([0.5] * 6 + [0], -1), "a class that the model does not have"),
        (targets([0, 0, torch.nan, 1, 1, 1, 0], 0), "not finite"),
        (targets([0, 0, 0, 1, 0, 1, 0], 0), "a box has no size"),
        (targets([0.5] * 6 + [0], 0) * 2, "targets of another batch"),
    ],
)
def test_targets_that_make_no_sense_are_refused(settings: Any, wrong: list[BoxTargets], message: str) -> None:
    model = build(settings)
    clouds, _ = scenes(settings, (60, 1))
    with pytest.raises(DataError, match=message):
        model.loss(model(clouds), wrong)


def test_boxes_that_turn_need_a_model_whose_boxes_do(settings: Any) -> None:
    model = build(settings)
    clouds, _ = scenes(settings, (60, 1))
    turned = targets([0.5] * 7, 0)
    if settings.angle_bins > 1:
        assert sum(model.loss(model(clouds), turned).values()).isfinite()
        return
    with pytest.raises(DataError, match="boxes turn"):
        model.loss(model(clouds), turned)


def test_features_are_columns_behind_the_place() -> None:
    settings: Any = MODELS["coloured"]
    cloud: Tensor = scenes(settings, (60, 1))[0][0]
    model = build(settings).eval()
    other = cloud + torch.tensor([0.0, 0, 0, 1, 1, 1, 1])
    assert not torch.allclose(model([cloud]).boxes, model([other]).boxes)
