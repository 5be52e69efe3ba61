"""H3DNet: what `test_room_detectors` does not ask of every detector; faces and edges, their points, terms, learning."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.h3d_net.loss import PrimitiveLossSettings, primitive_losses
from pointcloud.models.h3d_net.model import H3DNetSettings
from pointcloud.models.h3d_net.primitives import FAR_M, Primitives
from pointcloud.models.h3d_net.refinement import faces_and_edges
from pointcloud.models.h3d_net.targets import PrimitiveTargets, PrimitiveTargetSettings, primitive_targets
from pointcloud.models.layers.pointnet2 import PointNet2, farthest_of_levels
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models.small import H3D_NET, NO_BOXES, VOTE_SIZES, build, scene, scenes
from tests.reference import h3d_net as slow

RULES: dict[str, Any] = {"face_m": 0.1, "face_points": 8, "face_variance": 0.001, "edge_m": 0.15, "edge_points": 3}


def shell(box: list[float], points: int, seed: int = 0) -> Tensor:
    """Points on the faces of a box and a little inside."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(points, 3, generator=generator) - 0.5
    side = torch.randint(0, 6, (points,), generator=generator)
    for face in range(6):
        unit[side == face, face // 2] = face % 2 - 0.5
    x, y, z, length, width, height, yaw = box
    a, b, c = (unit * 0.98 * torch.tensor([length, width, height])).unbind(1)
    cos, sin = math.cos(yaw), math.sin(yaw)
    return torch.stack([x + a * cos - b * sin, y + a * sin + b * cos, z + c], dim=1)


# --- faces and edges ------------------------------------------------------------------------------------------------


def test_faces_and_edges_are_those_of_the_twin() -> None:
    boxes = torch.tensor([[1.0, 2, 3, 4, 2, 1, 0], [0.5, -1, 0, 1, 2, 3, 0.7], [0, 0, 0, 1, 1, 1, -2.5]])
    wanted = torch.tensor([slow.faces_and_edges(box) for box in boxes.tolist()])
    torch.testing.assert_close(faces_and_edges(boxes), wanted)
    torch.testing.assert_close(faces_and_edges(boxes[:1, None])[0, 0], wanted[0])
    assert faces_and_edges(boxes[:0]).shape == (0, 18, 3)


@pytest.mark.parametrize("yaw", [0.0, 0.6, -2.0])
def test_points_on_faces_and_edges_are_those_of_the_twin(yaw: float) -> None:
    boxes = [[0.0, 0, 0.5, 1.2, 0.8, 1.0, yaw], [0.7, 0.2, 0.5, 0.8, 0.8, 0.9, yaw], [5.0, 5, 5, 1, 1, 1, yaw]]
    points = torch.cat([shell(boxes[0], 150), shell(boxes[1], 90, seed=1), torch.rand(30, 3) + 2])
    target = BoxTargets(torch.tensor(boxes), torch.tensor([1, 2, 0]))
    found = primitive_targets(points, target, PrimitiveTargetSettings(**RULES))
    twins = slow.primitive_targets(points, target.boxes, target.labels, **RULES)
    for kind, twin in zip(found, twins, strict=True):
        assert kind.exists.tolist() == [one is not None for one in twin]
        assert 20 < int(kind.exists.sum()) < 240
        for row, one in enumerate(twin):
            if one is not None:
                centre, lengths, label = one
                torch.testing.assert_close(kind.centers[row], torch.tensor(centre))
                torch.testing.assert_close(kind.sizes[row], torch.tensor(lengths))
                assert kind.labels[row] == label


@pytest.mark.parametrize("points", [0, 1, 40])
def test_no_objects_and_few_points_have_no_primitives(points: int) -> None:
    cloud = torch.rand(points, 3)
    one = BoxTargets(torch.tensor([[0.5, 0.5, 0.5, 2, 2, 2, 0]]), torch.tensor([0]))
    for target in (NO_BOXES, one):
        for kind, lengths in zip(primitive_targets(cloud, target, PrimitiveTargetSettings()), (2, 1, 0), strict=True):
            assert kind.sizes.shape == (points, lengths)
            assert not kind.exists[:10].any()


def test_a_full_box_has_no_flat_face() -> None:
    box = [0.0, 0, 0, 1, 1, 1, 0]
    cloud = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    rules = PrimitiveTargetSettings(face_m=0.6, face_variance=0.02)
    horizontal, upright, _ = primitive_targets(cloud, BoxTargets(torch.tensor([box]), torch.tensor([0])), rules)
    assert not horizontal.exists.any() and not upright.exists.any()


# --- primitives -----------------------------------------------------------------------------------------------------


def test_seeds_without_a_primitive_are_out_of_reach() -> None:
    logits, centers = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]]), torch.rand(1, 3, 3)
    kind = Primitives(logits, centers, centers, centers[..., :0], logits, logits)
    torch.testing.assert_close(
        kind.reachable() - centers, torch.tensor([0.0, FAR_M, FAR_M])[None, :, None].expand(1, 3, 3)
    )


def test_terms_of_primitives() -> None:
    predicted = Primitives(
        torch.tensor([[[0.0, 0.0], [0.0, 0.0]]]),
        torch.tensor([[[1.0, 1, 1], [9, 9, 9]]]),
        torch.tensor([[[0.0, 0, 0.5], [9, 9, 9]]]),
        torch.tensor([[[1.0, 2.0], [9, 9]]]),
        torch.zeros(1, 2, 4),
        torch.zeros(1, 2, 8),
    )
    wanted = PrimitiveTargets(
        torch.tensor([[True, False]]), torch.zeros(1, 2, 3), torch.ones(1, 2, 2), torch.zeros(1, 2, dtype=torch.int64)
    )
    terms = primitive_losses(predicted, wanted, PrimitiveLossSettings(), factor=2)
    exists = 30 * math.log(2) * (0.6 + 0.4) / 2
    assert {name: round(float(term), 5) for name, term in terms.items()} == {
        "exists": round(exists, 5),
        "vote": 30.0,
        "center": 0.5,
        "class": round(2 * math.log(4), 5),
        "size": 0.5,
    }


def test_towers_sample_once_and_see_what_one_backbone_sees() -> None:
    settings = VOTE_SIZES["pointnet2"]
    backbone = PointNet2(0, settings).eval()
    xyz = scene(200, 2)[0][None]
    kept = farthest_of_levels(xyz, settings)
    alone, given = backbone(xyz), backbone(xyz, kept=kept)
    assert all(torch.equal(a, b) for a, b in zip(alone, given, strict=True))
    assert [len(picks[0]) for picks in kept] == [level.points for level in settings.levels]


def test_only_the_place_of_a_proposal_learns_from_the_refinement() -> None:
    model = build(H3D_NET["h3dnet"])
    clouds, _ = scenes(model.settings, (200, 3))
    prediction = model(clouds)
    prediction.refined.matches.sum().backward()
    gradient = model.head.says.weight.grad
    assert bool((gradient[2:5] != 0).any()) and not bool(gradient[5:].any())


def test_class_and_mean_size_are_the_proposals() -> None:
    model = build(H3D_NET["h3dnet turning"]).eval()
    clouds, _ = scenes(model.settings, (200, 3))
    with torch.no_grad():
        model.refinement.head.says.weight.zero_()
        model.refinement.head.says.bias.zero_()
        prediction = model(clouds)
    assert torch.equal(prediction.class_probability[0], prediction.class_probability[1])
    best = prediction.outputs.size_logits.argmax(-1)
    torch.testing.assert_close(prediction.boxes[1, ..., 3:6], model.get_buffer("mean_sizes")[best])
    torch.testing.assert_close(prediction.boxes[1, ..., :3], prediction.places)
    assert bool((prediction.objectness[1] == 0.5).all())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aggregation": {"points": 4000}}, "proposals are picked from 24 seeds, got 4000"),
        ({"sizes_m": {"chair": (1, 0, 1)}}, "sizes_m must be positive"),
        ({"towers": 0}, "towers"),
        ({"matching": {"widths": ()}}, "widths"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        H3DNetSettings.model_validate({**H3D_NET["h3dnet"].model_dump(), **change})


def test_it_learns_a_scene() -> None:
    model = build(H3D_NET["h3dnet"])
    clouds, targets = scenes(model.settings, (400, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = sum(model.loss(model(clouds), targets).values())
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
