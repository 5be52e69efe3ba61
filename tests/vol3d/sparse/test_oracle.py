"""The encoder of the original Object DGCNN on a real nuScenes cloud: the numbers that mmdet3d and spconv gave."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.vol3d.sparse.second_encoder import Encoder
from vol3d.sparse import SparseTensor, state_from_spconv

NAME = "lidar/sparse_encoder_nusc_dgcnn"
STEP = 23  # every 23rd active site is stored
CLOSE = {"atol": 2e-4, "rtol": 1e-4}  # the oracle's own


@pytest.fixture(scope="module")
def oracle(oracle_root: Path) -> dict[str, Tensor]:
    return load_file(oracle_root / f"{NAME}.safetensors")


@pytest.fixture(scope="module")
def facts(oracle_root: Path) -> dict:
    return json.loads((oracle_root / f"{NAME}.json").read_text())


@pytest.fixture(scope="module")
def encoder(oracle: dict[str, Tensor]) -> Encoder:
    prefix = "sd.pts_middle_encoder."
    state = {key.removeprefix(prefix): value.float() for key, value in oracle.items() if key.startswith(prefix)}
    counts = {key for key in Encoder().state_dict() if key.endswith("num_batches_tracked")}
    model = Encoder()
    missing, unexpected = model.load_state_dict(state_from_spconv(model, state, 2), strict=False)
    assert set(missing) <= counts and not unexpected
    return model.eval()


def cloud(oracle: dict[str, Tensor]) -> SparseTensor:
    coordinates = torch.nn.functional.pad(oracle["coors"].int(), (1, 0))
    return SparseTensor(coordinates, oracle["voxel_feat"], (41, 1024, 1024), 1)


def test_every_stage(backend: str, oracle: dict[str, Tensor], facts: dict, encoder: Encoder) -> None:
    with torch.no_grad():
        stages = encoder(cloud(oracle))
    for name, wanted in facts["stages"].items():
        x = stages[name]
        assert (len(x), list(x.spatial_shape), x.channels) == (
            wanted["num_active"],
            wanted["spatial_shape"],
            wanted["channels"],
        )
        assert torch.equal(x.coordinates[::STEP], oracle[f"stage.{name}.indices"].int())
        torch.testing.assert_close(x.features[::STEP], oracle[f"stage.{name}.features"], **CLOSE)
        assert float(x.features.double().sum()) == pytest.approx(wanted["sum"], rel=1e-6)


def test_birds_eye_view(backend: str, oracle: dict[str, Tensor], facts: dict, encoder: Encoder) -> None:
    """Within the oracle's tolerance plus its own distance from float64, which its README states."""
    with torch.no_grad():
        bev = encoder.bev(cloud(oracle))
    close = {"atol": 2e-4 + facts["ref_fp64_maxabs"], "rtol": 1e-4}
    assert bev.shape == (1, 256, 128, 128)
    torch.testing.assert_close(bev[:, :, ::8, ::8], oracle["bev.sample"], **close)
    torch.testing.assert_close(bev[:, :, 56:72, 52:76], oracle["bev.crop"], **close)
    torch.testing.assert_close(bev.double().sum((0, 2, 3)), oracle["bev.chan_sum"], atol=0.05, rtol=1e-5)


def test_as_close_to_float64_as_the_oracle(oracle: dict[str, Tensor], facts: dict, encoder: Encoder) -> None:
    x = cloud(oracle)
    with torch.no_grad():
        bev = encoder.bev(x)
        exact = copy.deepcopy(encoder).double().bev(x.with_features(x.features.double()))
    assert float((bev - exact).abs().max()) <= facts["ref_fp64_maxabs"]


def test_batch_of_two(backend: str, oracle: dict[str, Tensor], encoder: Encoder) -> None:
    x = SparseTensor(oracle["tiny.coors"], oracle["tiny.feat"].float(), (41, 48, 40), 2)
    with torch.no_grad():
        torch.testing.assert_close(encoder.bev(x), oracle["tiny.bev"], **CLOSE)
