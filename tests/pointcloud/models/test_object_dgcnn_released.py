"""Names of the released head, strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pointcloud.models.layers.bev_backbones import FpnSettings
from pointcloud.models.object_dgcnn.head import ObjectDgcnnHead, ObjectDgcnnHeadSettings
from pointcloud.models.object_dgcnn.released import object_dgcnn_head_weights, reorder_rows
from tests.pointcloud.models.lidar_oracle import Fixture
from vol3d.checkpoint import load_strictly
from vol3d.errors import CheckpointError


@pytest.fixture(scope="module")
def theirs(oracle_root: Path) -> dict[str, torch.Tensor]:
    weights = Fixture(oracle_root, "dgcnn_head_pillar").weights()
    counters = {name.replace("running_mean", "num_batches_tracked") for name in weights if "running_mean" in name}
    return {**weights, **dict.fromkeys(counters, torch.tensor(7))}


def test_every_tensor_is_used_and_none_is_missing(theirs) -> None:
    head = published_head()
    load_strictly(head, object_dgcnn_head_weights(theirs), "here")
    assert len(head.state_dict()) == len(theirs)
    assert int(head.decoder[0].graph.second.norm.get_buffer("num_batches_tracked")) == 7


def published_head() -> Any:
    area_m = (-51.2, -51.2, 51.2, 51.2)
    return ObjectDgcnnHead(ObjectDgcnnHeadSettings(), tuple("abcdefghij"), FpnSettings(), area_m)


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_a_tensor_too_many_or_too_few_is_told(theirs, change: str) -> None:
    head = published_head()
    if change == "missing":
        wrong = {name: tensor for name, tensor in theirs.items() if name != "cls_branches.3.4.bias"}
    else:
        wrong = {**theirs, "transformer.decoder.layers.0.attentions.0.conv3.0.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=f"{change}.*(class_heads.3.4.bias|conv3)"):
        load_strictly(head, object_dgcnn_head_weights(wrong), "here")


def test_rows_go_to_our_columns_with_their_signs() -> None:
    rows = torch.arange(10.0) + 1
    assert reorder_rows(rows).tolist() == [1, 2, 5, 4, 3, 6, -8, -7, 9, 10]


def test_a_head_without_velocities_has_its_rows_reordered_too() -> None:
    found = object_dgcnn_head_weights({"reg_branches.0.4.bias": torch.arange(8.0)})
    assert found["box_heads.0.4.bias"].tolist() == [0, 1, 4, 3, 2, 5, -7, -6]
