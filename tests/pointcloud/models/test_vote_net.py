"""VoteNet and BoxNet: what `test_room_detectors` does not ask of every detector; terms, settings, the parts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from pointcloud.models.layers.pointnet2 import PointNet2Settings
from pointcloud.models.layers.proposal_head import (
    SMALLEST_EDGE_M,
    ProposalHead,
    ProposalOutputs,
    decode_proposals,
    mean_sizes,
)
from pointcloud.models.layers.set_abstraction import SetAbstractionSettings
from pointcloud.models.vote_net.model import BoxNetSettings, VoteNetSettings, Voting
from pointcloud.structures.class_sizes import SCANNET, SUN_RGBD
from tests.pointcloud.models.small import TABLE_3, VOTE_NET, build, scene, scenes
from tests.reference.points import farthest_points


@pytest.fixture(params=sorted(VOTE_NET))
def settings(request: pytest.FixtureRequest) -> Any:
    return VOTE_NET[request.param]


def test_every_layer_has_every_term(settings: Any) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (200, 3), (90, 2))
    terms = model.loss(model(clouds), targets)
    assert ("vote" in terms) == (settings.name == "votenet")
    assert sum("/layer0" in name for name in terms) == (7 if settings.decoder == "transformer" else 0)


# --- scenes of all kinds --------------------------------------------------------------------------------------------


def test_votes_are_in_float32_under_autocast(settings: Any) -> None:
    clouds, _ = scenes(settings, (200, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert build(settings)(clouds).places.dtype == torch.float32


def test_more_boxes_than_proposals_train(settings: Any) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (600, 30))
    assert sum(model.loss(model(clouds), targets).values()).isfinite()


# --- bad input ------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("at", ["votes", "seeds"])
@pytest.mark.parametrize("kind", ["votenet", "row 3"])
def test_proposals_gather_at_the_farthest_votes_or_at_votes_of_the_farthest_seeds(kind: str, at: str) -> None:
    settings = VOTE_NET[kind].model_copy(update={"proposals_at": at})
    clouds, _ = scenes(settings, (200, 3), (90, 2))
    found = build(settings).eval()(clouds)
    for places, seeds, votes in zip(found.places, found.seeds, found.votes, strict=True):
        picks = farthest_points((votes if at == "votes" else seeds).detach().numpy(), len(places))
        torch.testing.assert_close(places, votes[picks])


def test_interpolation_weighs_by_the_power_of_the_settings() -> None:
    settings = VOTE_NET["votenet"]
    clouds, _ = scenes(settings, (200, 3))
    networks = [
        build(settings.model_copy(update={"pointnet2": settings.pointnet2.model_copy(update={"power": power})}))
        for power in (1, 2)
    ]
    assert [[step.power for step in network.encoder.up] for network in networks] == [[1, 1], [2, 2]]
    one, two = (network.eval()(clouds).votes for network in networks)
    assert (one - two).abs().max() > 1e-3
    with pytest.raises(ValidationError, match="power"):
        PointNet2Settings(power=3)


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


@pytest.mark.parametrize("row", sorted(TABLE_3))
def test_a_row_of_table_3_learns_one_room(row: str) -> None:
    model = build(TABLE_3[row])
    cloud, targets = scene(300, 3, seed=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(60):
        loss = sum(model.loss(model([cloud]), [targets]).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10]), losses


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
    # Steps round differently from processor to processor.
    torch.testing.assert_close(sure[away.indices, 3:6], targets.boxes[:, 3:6], rtol=0, atol=0.2)
