"""VoteNet and BoxNet as detectors: the contract, scenes of all kinds, bad input, training, the parts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pointcloud.inference.postprocess import postprocess
from pointcloud.models.layers.pointnet2 import PointNet2Settings
from pointcloud.models.layers.set_abstraction import SetAbstractionSettings
from pointcloud.models.vote_net.model import BoxNetSettings, VoteNet, VoteNetSettings, Voting
from pointcloud.models.vote_net.proposal_head import (
    SMALLEST_EDGE_M,
    ProposalHead,
    ProposalOutputs,
    decode_proposals,
    mean_sizes,
)
from pointcloud.models.vote_net.transformer_parts import TransformerPartsSettings
from pointcloud.structures.class_sizes import SCANNET, SUN_RGBD
from pointcloud.structures.features import width
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models.small import CLASSES, LEVELS, scene
from vol3d.errors import DataError

SIZES: dict[str, Any] = {
    "pointnet2": PointNet2Settings(levels=LEVELS, up_widths=(32,)),
    "aggregation": SetAbstractionSettings(points=8, radius_m=0.4, neighbours=8, widths=(32, 32)),
    "transformer": TransformerPartsSettings(
        aggregation=SetAbstractionSettings(points=32, radius_m=0.4, neighbours=8, widths=(16, 32)),
        width=32,
        encoder_layers=2,
        encoder_ffn=32,
        decoder_layers=2,
        decoder_ffn=32,
    ),
}
MODELS = {
    "votenet": VoteNetSettings(**SIZES),
    "boxnet": BoxNetSettings(**SIZES),
    "turning": VoteNetSettings(**SIZES, angle_bins=12, features=("rgb", "height")),
    "transformer encoder": VoteNetSettings(**SIZES, encoder="transformer", features=()),
    "transformer decoder": BoxNetSettings(**SIZES, decoder="transformer"),
    "both": VoteNetSettings(**SIZES, encoder="transformer", decoder="transformer"),
}
NO_BOXES = BoxTargets(torch.zeros(0, 7), torch.zeros(0, dtype=torch.int64))


def build(settings: Any, seed: int = 0) -> VoteNet:
    torch.manual_seed(seed)
    return settings.build(CLASSES)


def scenes(settings: Any, *sizes: tuple[int, int]) -> tuple[list[Tensor], list[BoxTargets]]:
    made = [
        scene(points, boxes, columns=width(settings.features), turn=settings.angle_bins > 1, seed=seed)
        for seed, (points, boxes) in enumerate(sizes)
    ]
    return [cloud for cloud, _ in made], [targets for _, targets in made]


@pytest.fixture(params=sorted(MODELS))
def settings(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]


# --- the contract ---------------------------------------------------------------------------------------------------


def test_forward_loss_backward_decode(settings: Any) -> None:
    model = build(settings)
    layers = 2 if settings.decoder == "transformer" else 1
    clouds, targets = scenes(settings, (200, 3), (90, 2))
    prediction = model(clouds)
    assert prediction.boxes.shape == (layers, 2, 8, 7)
    assert prediction.class_probability.shape == (layers, 2, 8, 3)
    terms = model.loss(prediction, targets)
    assert ("vote" in terms) == (settings.name == "votenet")
    assert sum("/layer0" in name for name in terms) == (7 if layers == 2 else 0)
    sum(terms.values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())
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
        assert not scan.boxes.requires_grad
        torch.testing.assert_close(scan.class_probability.sum(1), torch.ones(8))
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


def test_bfloat16_autocast_trains(settings: Any) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (200, 3), (90, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = model(clouds)
        terms = model.loss(prediction, targets)
    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert prediction.boxes.dtype == prediction.places.dtype == torch.float32
    sum(terms.values()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


# --- scenes of all kinds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(0,), (0, 0), (3, 0)])
def test_scenes_without_boxes(settings: Any, counts: tuple[int, ...]) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, *((150, 3) for _ in counts))
    targets = [target if count else NO_BOXES for target, count in zip(targets, counts, strict=True)]
    terms = model.loss(model(clouds), targets)
    if not any(counts):
        assert {name.partition("/")[0] for name, term in terms.items() if term != 0} == {"objectness"}
    sum(terms.values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_more_boxes_than_proposals_train(settings: Any) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (600, 30))
    assert sum(model.loss(model(clouds), targets).values()).isfinite()


@pytest.mark.parametrize("points", [1, 2, 5, 31])
def test_fewer_points_than_seeds_are_repeated(settings: Any, points: int) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (points, 1), (100, 1))
    prediction = model(clouds)
    sum(model.loss(prediction, targets).values()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())
    assert {tuple(xyz) for xyz in prediction.seeds[0].tolist()} <= {tuple(xyz) for xyz in clouds[0][:, :3].tolist()}


def test_equal_points(settings: Any) -> None:
    model = build(settings)
    cloud = torch.full((50, 3 + width(settings.features)), 2.5)
    target = BoxTargets(torch.tensor([[2.5, 2.5, 2.5, 1, 1, 1, 0]]), torch.tensor([0]))
    prediction = model([cloud])
    assert bool(prediction.boxes.isfinite().all())
    sum(model.loss(prediction, [target]).values()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_kilometres_away(settings: Any) -> None:
    model = build(settings).eval()
    clouds, _ = scenes(settings, (100, 2))
    far = clouds[0].clone()
    far[:, :3] = (far[:, :3] * 1000).round() + 5000
    assert bool(model([far]).boxes.isfinite().all())
    assert [len(found) for found in model.decode(model([far]))] == [8]


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clouds", "message"),
    [
        ([], "not a list of clouds"),
        ([torch.rand(9, 4), torch.rand(0, 4)], r"clouds\[1\]: no points"),
        ([torch.rand(9, 3)], r"wrong columns; got \(9, 3\), wanted \(N, 4\): x y z, height"),
        ([torch.rand(9)], "wrong columns"),
        ([torch.rand(9, 4).long()], "clouds"),
        (
            [torch.rand(9, 4), torch.rand(9, 4).index_fill(0, torch.tensor([4]), torch.nan)],
            r"clouds\[1\]\[4\]: .*1 of 9",
        ),
        ([torch.rand(9, 4).index_fill(0, torch.tensor([2, 5]), torch.inf)], r"clouds\[0\]\[2\]: .*2 of 9"),
    ],
)
def test_clouds_that_are_none_are_refused(clouds: list[Tensor], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(MODELS["votenet"])(clouds)


def test_targets_that_make_no_sense_are_refused(settings: Any) -> None:
    model = build(settings)
    clouds, _ = scenes(settings, (60, 1))
    with pytest.raises(DataError, match="a class that the model does not have"):
        model.loss(model(clouds), [BoxTargets(torch.ones(1, 7), torch.tensor([3]))])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aggregation": {"points": 1025}}, "picked from 1024 seeds, got 1025"),
        ({"encoder": "transformer", "aggregation": {"points": 2049}}, "picked from 2048 seeds"),
        ({"sizes_m": {"chair": (1, 1, 0)}}, "sizes_m must be positive"),
        ({"transformer": {"heads": 5}}, "multiple of heads"),
        ({"transformer": {"width": 64}}, "aggregation.widths must end with width 64"),
        ({"name": "boxnet"}, "name"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        VoteNetSettings(**change)


# --- the parts ------------------------------------------------------------------------------------------------------


def test_sizes_of_the_networks_are_those_of_their_layers() -> None:
    """Counted by hand from the papers' lists of layers; linear maps before a norm have no bias."""

    def shared(*widths: int) -> int:
        return sum(a * b + 2 * b for a, b in pairwise(widths))

    down = shared(4, 64, 64, 128) + shared(131, 128, 128, 256) + 2 * shared(259, 128, 128, 256)
    up = 2 * shared(512, 256, 256)
    voting = shared(256, 256, 256) + 257 * 259
    outputs = 2 + 3 + 2 * 1 + 4 * 18 + 18
    head = shared(259, 128, 128, 128) + shared(128, 128, 128) + 129 * outputs
    names = tuple(SCANNET)
    count = [sum(p.numel() for p in kind().build(names).parameters()) for kind in (VoteNetSettings, BoxNetSettings)]
    assert count == [down + up + voting + head, down + up + head]


def test_a_vote_starts_at_its_seed_and_has_features_of_length_one() -> None:
    voting = Voting(16)
    torch.nn.init.zeros_(voting.offsets[2].weight)
    bias = torch.zeros(19).index_fill(0, torch.tensor([2]), 0.5)
    voting.offsets[2].bias.data = bias
    xyz, features = torch.rand(2, 5, 3), torch.rand(2, 5, 16)
    votes, changed = voting(xyz, features)
    torch.testing.assert_close(votes, xyz + torch.tensor([0.0, 0.0, 0.5]))
    torch.testing.assert_close(changed, features / features.norm(dim=2, keepdim=True))


def test_proposals_are_decoded_by_the_likeliest_size_and_angle() -> None:
    outputs = ProposalOutputs(*(torch.zeros_like(said) for said in ProposalHead(8, 2, 4)(torch.rand(1, 1, 3, 8))))
    outputs.center[..., 0] = 0.5
    outputs.angle_logits[..., 1] = 1  # a quarter turn clockwise
    outputs.angle_residual[..., 1] = 0.5  # and half of half a bin more
    outputs.size_logits[..., 1] = 1
    outputs.size_residual[..., 1, :] = torch.tensor([1.0, 0.0, -2.0])
    boxes = decode_proposals(outputs, torch.ones(1, 3, 3), torch.tensor([[9.0, 9, 9], [1, 2, 3]]))
    wanted = torch.tensor([1.5, 1, 1, 2, 2, SMALLEST_EDGE_M, -(torch.pi / 2 + torch.pi / 8)])
    torch.testing.assert_close(boxes, wanted.expand(1, 1, 3, 7))


def test_mean_sizes_are_given_or_published_or_none() -> None:
    names = ("chair", "bathtub", "lorry", "crate")
    sizes = mean_sizes(names, {"crate": (1.0, 2.0, 3.0)}, turned=False)
    torch.testing.assert_close(sizes, torch.tensor([SCANNET["chair"], SCANNET["bathtub"], (1, 1, 1), (1, 2, 3)]))
    assert mean_sizes(names, {}, turned=True)[1].tolist() == pytest.approx(SUN_RGBD["bathtub"])


@pytest.mark.parametrize(("kind", "turn", "steps"), [(VoteNetSettings, True, 120), (BoxNetSettings, False, 60)])
def test_a_small_network_learns_one_scene(kind: Any, turn: bool, steps: int) -> None:
    levels = tuple(
        SetAbstractionSettings(points=points, radius_m=radius, neighbours=8, widths=(16, 32))
        for points, radius in ((96, 0.3), (64, 0.6), (24, 1.2), (8, 2.4))
    )
    sizes = {
        "pointnet2": PointNet2Settings(levels=levels, up_widths=(32,)),
        "aggregation": SetAbstractionSettings(points=48, radius_m=0.4, neighbours=8, widths=(32, 32)),
    }
    model = build(kind(**sizes, angle_bins=12 if turn else 1))
    cloud, targets = scene(500, 3, turn=turn, columns=1, seed=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(steps):
        prediction = model([cloud])
        loss = sum(model.loss(prediction, [targets]).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    # Every object has a proposal that says so. Proposals at 0.3 to 0.6 m from all are free to say anything.
    sure = prediction.boxes[-1, 0, prediction.objectness[-1, 0] > 0.5].detach()
    away = torch.cdist(sure[:, :3], targets.boxes[:, :3]).min(dim=0)
    assert away.values.max().item() < 0.2
    torch.testing.assert_close(sure[away.indices, 3:6], targets.boxes[:, 3:6], rtol=0, atol=0.15)
