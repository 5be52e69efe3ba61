"""Where encoders look: rows that sum to 1, within the masks, at points of the cloud; and models that cannot show it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.pointcloud.models.small import MASKED, PLAIN, POINTNET, TABLE_3, VOTE_NET, build, scene
from vol3d.errors import UsageError

ENCODERS = {"3detr": PLAIN, "3detr-m": MASKED, "row 3": TABLE_3["row 3"], "row 4": TABLE_3["row 4"]}


@pytest.mark.parametrize("name", ENCODERS)
def test_the_weights_of_the_nearest_encoded_point_sum_to_one(name: str) -> None:
    model, (cloud, _) = build(ENCODERS[name]).eval(), scene(300, 2)
    place = torch.tensor([1.0, 1.0, 0.3])
    found = model.attention(cloud, place)
    assert found.weights.sum() == pytest.approx(1, abs=1e-5) and found.weights.min() >= 0 and found.heads == 4
    assert len(found.xyz) == len(found.weights) == (16 if name == "3detr-m" else 32)
    away = np.linalg.norm(found.xyz - place.numpy(), axis=1)
    assert away.argmin() == found.start
    to_cloud = np.linalg.norm(found.xyz[:, None] - cloud[None, :, :3].numpy(), axis=2)
    assert to_cloud.min(axis=1).max() < 1e-6


def test_the_weights_are_those_that_the_forward_pass_uses() -> None:
    model, (cloud, _) = build(PLAIN).eval(), scene(300, 2)
    seen: list[torch.Tensor] = []
    last = model.encoder.layers[-1]
    hook = last.attention.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model([cloud])
    hook.remove()
    found = model.attention(cloud, cloud[0, :3])
    weights = last.attention.weights(seen[0], seen[0]).mean(dim=1)[0]  # of all tokens, in their order
    rows = [row for row in weights if np.allclose(np.sort(row.detach().numpy()), np.sort(found.weights), atol=1e-6)]
    assert len(rows) >= 1


def test_masked_layers_look_no_farther_than_their_radius() -> None:
    model, (cloud, _) = build(MASKED).eval(), scene(300, 2)
    found = model.attention(cloud, torch.tensor([1.0, 1.0, 0.3]))
    away = np.linalg.norm(found.xyz - found.xyz[found.start], axis=1)
    assert (found.weights[away > MASKED.mask_radii_m[-1] + 1e-5] == 0).all() and (away > 1.3).any()


def test_points_that_are_encoded_twice_count_once() -> None:
    model, cloud = build(PLAIN).eval(), scene(300, 2)[0][:9]
    found = model.attention(cloud, cloud[4, :3])
    assert len(found.xyz) == 9 and found.weights.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found.xyz[found.start], cloud[4, :3].numpy())
    one = model.attention(cloud[:1], torch.zeros(3))
    assert one.weights.tolist() == pytest.approx([1.0])


@pytest.mark.parametrize("settings", [POINTNET, VOTE_NET["votenet"], PLAIN.model_copy(update={"encoder_layers": 0})])
@pytest.mark.bad_input
def test_an_encoder_without_attention_is_refused(settings: Any) -> None:
    cloud, _ = scene(200, 2, columns=len(settings.features))
    with pytest.raises(UsageError, match="no attention can be shown: its encoder"):
        build(settings).eval().attention(cloud, torch.zeros(3))
