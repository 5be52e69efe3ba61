"""Released 3DETR weights: the slow twin's numbers for all four networks, strict and safe reading."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import vol3d
from pointcloud.conventions import boxes_to_three_detr
from pointcloud.models.layers.set_abstraction import SetAbstractionSettings
from pointcloud.models.three_detr import released as three_detr_released
from pointcloud.models.three_detr.model import ThreeDetrMaskedSettings
from pointcloud.models.three_detr.released import RELEASED, Released, load, our_names
from tests.pointcloud.models import official
from tests.reference import three_detr as twin
from vol3d.errors import CheckpointError, UsageError

NAMES = sorted(RELEASED)
PARAMETERS = {
    "3detr-scannet": 7_305_691,
    "3detr-m-scannet": 7_438_555,
    "3detr-sunrgbd": 7_309_289,
    "3detr-m-sunrgbd": 7_442_153,
}


def small(released: Released) -> Released:
    """The same network, narrow and with few tokens."""
    change: dict[str, Any] = {
        "aggregation": SetAbstractionSettings(points=64, widths=(8, 16, 32)),
        "width": 32,
        "encoder_ffn": 16,
        "queries": 16,
        "decoder_layers": 3,
        "decoder_ffn": 24,
    }
    if isinstance(released.settings, ThreeDetrMaskedSettings):
        change["interim"] = SetAbstractionSettings(points=32, radius_m=0.4, neighbours=32, widths=(32, 32, 32))
    return replace(released, settings=type(released.settings)(**{**dict(released.settings), **change}))


@pytest.fixture(params=NAMES)
def released(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Released]:
    entry = small(RELEASED[request.param])
    monkeypatch.setitem(three_detr_released.RELEASED, request.param, entry)
    return request.param, entry


def save_pth(path: Path, released: Released, weights: dict[str, Tensor], **parts: Any) -> Path:
    """A file as the authors write them."""
    arguments = argparse.Namespace(**official.options(released))
    document = {"model": weights, "optimizer": {"state": {}}, "epoch": 1079, "args": arguments, "best_val_metrics": {}}
    torch.save({**document, **parts}, path)
    return path


def room(points: int, seed: int) -> Tensor:
    """Points on the floor and two walls, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    cloud = torch.rand(points, 3, generator=generator) * torch.tensor([2.0, 1.5, 1.0])
    for axis in range(3):
        cloud[axis::4, axis] *= 0.02
    return cloud


@pytest.mark.parametrize("name", NAMES)
def test_parameter_counts_of_the_released_networks(name: str) -> None:
    with torch.device("meta"):
        model = RELEASED[name].settings.build(RELEASED[name].class_names)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


def test_names_are_those_of_the_oracles_weights(oracle_root: Path) -> None:
    stored = load_file(oracle_root / "3detr" / "A_3detr_scannet" / "weights_fp16.safetensors")
    expected = dict(official.shapes(RELEASED["3detr-scannet"].settings, 18, 0))
    assert {name: tuple(tensor.shape) for name, tensor in stored.items()} == expected


def test_boxes_are_those_of_the_slow_twin(tmp_path: Path, released: tuple[str, Released]) -> None:
    name, entry = released
    sizes, classes = entry.settings, len(entry.class_names)
    weights = official.weights(sizes, classes, seed=3)
    model = vol3d.load_released(name, save_pth(tmp_path / "a.pth", entry, weights))
    clouds = [room(400, 1), room(300, 2) + 3]
    with torch.no_grad():
        prediction = model(clouds)
    boxes = boxes_to_three_detr(prediction.boxes)
    masked = isinstance(sizes, ThreeDetrMaskedSettings)
    for scene, cloud in enumerate(clouds):
        expected = twin.three_detr(weights, cloud, masked, sizes.aggregation.points, sizes.queries, sizes.heads)
        assert len(expected) == len(boxes) == 3
        for layer, wanted in enumerate(expected):
            close = {"rtol": 0, "atol": 3e-4}
            torch.testing.assert_close(prediction.outputs.class_logits[layer, scene], wanted["logits"], **close)
            torch.testing.assert_close(boxes[layer, scene, :, :3], wanted["center"], **close)
            torch.testing.assert_close(boxes[layer, scene, :, 3:6], wanted["size"], **close)
            torch.testing.assert_close(boxes[layer, scene, :, 6].cos(), wanted["angle"].cos(), **close)
            torch.testing.assert_close(boxes[layer, scene, :, 6].sin(), wanted["angle"].sin(), **close)
            assert wanted["logits"].std(dim=0).mean() > 0.05  # queries differ, or this would test nothing


def test_released_masks_and_quirks_are_on() -> None:
    for name, entry in RELEASED.items():
        assert entry.settings.skip_near_origin
        assert entry.settings.loss.intersection == "3detr"
        assert entry.settings.loss.rotation_switch
        assert isinstance(entry.settings, ThreeDetrMaskedSettings) == ("-m-" in name)
        if isinstance(entry.settings, ThreeDetrMaskedSettings):
            assert entry.settings.mask_radii_m == (0.16, 0.64, 1.44)


def test_halves_in_safetensors_are_read_too(tmp_path: Path, released: tuple[str, Released]) -> None:
    name, entry = released
    weights = official.weights(entry.settings, len(entry.class_names))
    halves = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    save_file(halves, tmp_path / "a.safetensors")
    model = load(name, tmp_path / "a.safetensors", {"queries": 5})
    assert not model.training
    assert model([room(100, 0)]).boxes.shape == (3, 1, 5, 7)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w.pop("decoder.norm.bias"), "1 missing: decoder.norm.bias"),
        (lambda w: w.update({"pre_encoder.extra": torch.zeros(1)}), "1 unexpected: pre_encoder.extra"),
        (lambda w: w.update({"decoder.norm.bias": torch.zeros(5)}), r"decoder.norm.bias \(5,\) for \(32,\)"),
        (lambda w: w.update({"decoder.norm.bias": 5}), "wanted `model`: names and tensors"),
    ],
)
def test_reading_is_strict(tmp_path: Path, released: tuple[str, Released], spoil: Any, message: str) -> None:
    name, entry = released
    weights: dict[str, Any] = official.weights(entry.settings, len(entry.class_names))
    spoil(weights)
    with pytest.raises(CheckpointError, match=message):
        load(name, save_pth(tmp_path / "a.pth", entry, weights))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"args": {"dec_nlayers": 6}}, "other options than .*; got dec_nlayers 6, wanted dec_nlayers 3"),
        ({"args": argparse.Namespace(dataset_name="kitti")}, "got dataset_name kitti"),
        ({"args": "--nqueries 16"}, "not a 3DETR checkpoint"),
        ({"scheduler": 1}, "it holds more; got scheduler"),
        ({"model": [1, 2]}, "names and tensors"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, released: tuple[str, Released], parts: Any, message: str) -> None:
    name, entry = released
    weights = official.weights(entry.settings, len(entry.class_names))
    with pytest.raises(CheckpointError, match=message):
        load(name, save_pth(tmp_path / "a.pth", entry, weights, **parts))


def test_the_masked_network_is_not_taken_for_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {name: small(RELEASED[name]) for name in NAMES}
    monkeypatch.setattr(three_detr_released, "RELEASED", entries)
    path = save_pth(tmp_path / "a.pth", entries["3detr-m-scannet"], {})
    with pytest.raises(CheckpointError, match="got enc_type masked, wanted enc_type vanilla"):
        load("3detr-scannet", path)


class Evil:
    """A pickle of it makes a folder when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("evil",)


@pytest.mark.parametrize("payload", [Evil(), Path("a")])
def test_code_in_the_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, payload: Any) -> None:
    monkeypatch.chdir(tmp_path)
    entry = RELEASED["3detr-scannet"]
    path = save_pth(tmp_path / "a.pth", entry, {}, args=argparse.Namespace(**official.options(entry, extra=payload)))
    with pytest.raises(CheckpointError, match="refused"):
        vol3d.load_released("3detr-scannet", path)
    assert not (tmp_path / "evil").exists()


def test_settings_that_the_name_tells_are_refused(tmp_path: Path) -> None:
    path = save_pth(tmp_path / "a.pth", RELEASED["3detr-scannet"], {})
    with pytest.raises(CheckpointError, match="queries alone"):
        load("3detr-scannet", path, {"width": 128})
    with pytest.raises(CheckpointError, match="settings that cannot be"):
        load("3detr-scannet", path, {"queries": 4096})
    with pytest.raises(UsageError, match="3detr-scannet"):
        vol3d.load_released("3detr-scanet", path)


def test_unknown_names_stay() -> None:
    odd = ["encoder_to_decoder_projection.layers.2.weight", "mlp_heads.center_head.layers.3.bias", "foo"]
    assert all("unknown" in name or name == "foo" for name in our_names(dict.fromkeys(odd, torch.zeros(1))))
