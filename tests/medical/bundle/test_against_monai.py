"""Whole bundles: the same mask as MONAI's own objects give, whatever the bundle does on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medical.bundle.document import read_bundle
from medical.bundle.network import Planewise, build_network, load_weights
from medical.bundle.predict import predict, prepare, window_settings
from medical.bundle.workflow import read_workflow
from tests.medical.bundle import maker
from tests.medical.bundle.maker import (
    ARGMAX,
    CROP,
    INVERT,
    LOAD,
    ORIENT,
    SAVE,
    SCALE,
    SIGMOID,
    SOFTMAX,
    SPACE,
    THRESHOLD,
    WINDOWS,
    by_monai,
    config,
    write_bundle,
    write_scan,
)
from vol3d.scans.read import read_volume


def ours(root: Path, scan: Path, entries: dict[str, Any] | None = None) -> np.ndarray:
    """Labels (channels, i, j, k) before they are joined to one mask."""
    workflow = read_workflow(read_bundle(root, overrides=entries))
    network, _ = build_network(workflow.network)
    load_weights(network, workflow.weights)
    if workflow.inferer.plane is not None:
        network = Planewise(network, workflow.inferer.plane)
    volume, device = read_volume(scan), torch.device("cpu")
    ready = prepare(workflow, volume)
    window = window_settings(workflow, ready.image.shape[1:], device)
    return predict(workflow, [network], volume, ready, window, device)[0].numpy()


def compare(tmp_path: Path, doc: dict[str, Any], channels: int = 1, unclear: float = 0.0, seed: int = 0) -> np.ndarray:
    """Runs both; `unclear` is the share of voxels that may differ, where a rounding error decides."""
    root, scan = write_bundle(tmp_path / "bundle", doc, seed=seed), write_scan(tmp_path / "scan.nii.gz", channels)
    wanted, affine = by_monai(root, scan)
    found = ours(root, scan)
    assert found.shape == wanted.shape and np.allclose(affine, read_volume(scan).affine, atol=1e-5)
    assert (found != wanted).mean() <= unclear
    assert len(np.unique(wanted)) > 1, "a test of nothing but background"
    return found


PRE = {
    "as in the zoo": [*LOAD, ORIENT, SPACE, SCALE, CROP],
    "no geometry": [*LOAD, SCALE],
    "spacing by its other name": [*LOAD, {**SPACE, "mode": "trilinear"}, SCALE],
    "crop before spacing": [*LOAD, SCALE, CROP, ORIENT, SPACE],
    "cropped within the edges, divisible": [
        *LOAD,
        ORIENT,
        SCALE,
        {**CROP, "margin": [1, 2, 3], "allow_smaller": True, "k_divisible": 4},
    ],
    "LPS, z-score": [
        *LOAD,
        {**ORIENT, "axcodes": "LPS"},
        SPACE,
        {"_target_": "NormalizeIntensityd", "keys": ["image"], "nonzero": True, "channel_wise": True},
    ],
    "percentiles, padded, flipped": [
        *LOAD,
        {
            "_target_": "ScaleIntensityRangePercentilesd",
            "keys": "image",
            "lower": 1,
            "upper": 99,
            "b_min": 0,
            "b_max": 1,
        },
        {"_target_": "SpatialPadd", "keys": "image", "spatial_size": [36, 36, 36]},
        {"_target_": "Flipd", "keys": "image", "spatial_axis": 1},
    ],
    "turned, cut to a size": [
        *LOAD,
        {"_target_": "Rotate90d", "keys": "image", "k": 1, "spatial_axes": [0, 2]},
        SCALE,
        {"_target_": "ResizeWithPadOrCropd", "keys": "image", "spatial_size": [20, 20, 40]},
    ],
    "stretched": [
        *LOAD,
        SCALE,
        {"_target_": "Resized", "keys": "image", "spatial_size": [24, 24, 24], "mode": "trilinear"},
    ],
    "stretched linearly, a copy": [
        *LOAD,
        {"_target_": "CopyItemsd", "keys": "image", "names": "raw"},
        {"_target_": "SelectItemsd", "keys": ["image"]},
        SCALE,
        {"_target_": "Resized", "keys": "image", "spatial_size": [24, 24, 24], "mode": "bilinear"},
    ],
    "stretched by areas": [*LOAD, SCALE, {"_target_": "Resized", "keys": "image", "spatial_size": [20, 24, 24]}],
    "spacing kept within bounds": [
        *LOAD,
        {**SPACE, "min_pixdim": [1.0, 1.0, 1.0], "max_pixdim": [1.2, 1.2, 1.2]},
        SCALE,
    ],
    "two spacings, zeros outside": [*LOAD, {**SPACE, "padding_mode": "zeros", "scale_extent": True}, SCALE, SPACE],
    "a lambda and a selection by one": [
        *LOAD,
        SCALE,
        {**CROP, "select_fn": "$lambda x: x > 0.4"},
        {"_target_": "Lambdad", "keys": "image", "func": "$lambda x: x * 2 - 0.5"},
    ],
}


@pytest.mark.parametrize("pre", PRE.values(), ids=PRE.keys())
def test_preprocessing_and_its_way_back(tmp_path: Path, pre: list[dict[str, Any]]) -> None:
    compare(tmp_path, config(pre), unclear=2e-4)


POST = {
    "classes": [SOFTMAX, INVERT, ARGMAX, SAVE],
    "logits go back": [INVERT, ARGMAX, SAVE],
    "the nearest values go back": [SOFTMAX, {**INVERT, "nearest_interp": True}, ARGMAX, SAVE],
    "overlapping outputs": [SIGMOID, INVERT, THRESHOLD, SAVE],
    "labels go back": [SOFTMAX, ARGMAX, {**INVERT, "nearest_interp": True}, SAVE],
    "a lambda of outputs": [
        SIGMOID,
        INVERT,
        THRESHOLD,
        {
            "_target_": "Lambdad",
            "keys": "pred",
            "func": "$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))",
        },
        SAVE,
    ],
    "rounded outputs": [SIGMOID, INVERT, {**THRESHOLD, "threshold": None, "rounding": "torchrounding"}, SAVE],
    "one-hot and plain again": [SOFTMAX, INVERT, {**ARGMAX, "to_onehot": 3}, ARGMAX, SAVE],
    "other numbers": [
        SOFTMAX,
        INVERT,
        ARGMAX,
        {"_target_": "MapLabelValued", "keys": "pred", "orig_labels": [1, 2], "target_labels": [2, 300]},
        SAVE,
    ],
    "chosen labels, holes": [
        SOFTMAX,
        INVERT,
        ARGMAX,
        {"_target_": "LabelFilterd", "keys": "pred", "applied_labels": [1, 2]},
        {"_target_": "FillHolesd", "keys": "pred"},
        SAVE,
    ],
}


@pytest.mark.parametrize("post", POST.values(), ids=POST.keys())
def test_postprocessing(tmp_path: Path, post: list[dict[str, Any]]) -> None:
    compare(tmp_path, config(post=post), unclear=2e-4 if INVERT in post else 2e-3)


INFERERS = {
    "gaussian": {**WINDOWS, "mode": "gaussian"},
    "replicated": {**WINDOWS, "padding_mode": "replicate", "roi_size": [40, 16, 16]},
    "filled": {**WINDOWS, "cval": 0.7, "roi_size": [40, 16, 48]},
    "own size": {**WINDOWS, "roi_size": [16, -1, 16], "overlap": 0.25},
    "whole": {"_target_": "SimpleInferer"},
}


@pytest.mark.parametrize("inferer", INFERERS.values(), ids=INFERERS.keys())
def test_windows(tmp_path: Path, inferer: dict[str, Any]) -> None:
    even = {"_target_": "DivisiblePadd", "keys": "image", "k": 8}
    compare(tmp_path, config([*LOAD, ORIENT, SPACE, SCALE, even], inferer=inferer), unclear=2e-4)


def test_slices(tmp_path: Path) -> None:
    network = {**maker.UNET, "spatial_dims": 2}
    inferer = {"_target_": "SliceInferer", "roi_size": [16, 16], "spatial_dim": 2, "overlap": 0.25}
    compare(tmp_path, config(network=network, inferer=inferer), unclear=2e-4)


NETWORKS: dict[str, dict[str, Any]] = {
    "SegResNet": {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
    "BasicUNet": {"features": [4, 4, 8, 8, 8, 4]},
    "AttentionUnet": {"spatial_dims": 3, "channels": [4, 8], "strides": [2]},
    "VNet": {"spatial_dims": 3},
    "DynUNet": {
        "spatial_dims": 3,
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [4, 8, 8],
    },
    "UNETR": {"img_size": [32, 32, 32], "hidden_size": 24, "mlp_dim": 32, "num_heads": 4, "feature_size": 4},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(tmp_path: Path, name: str) -> None:
    network = {"_target_": name, "in_channels": 1, "out_channels": 3, **NETWORKS[name]}
    inferer = {**WINDOWS, "roi_size": [32, 32, 32], "overlap": 0.25}
    seed = 8 if name == "DynUNet" else 0  # others of it give nothing but background
    compare(tmp_path, config(network=network, inferer=inferer), unclear=1e-3, seed=seed)


def test_several_channels(tmp_path: Path) -> None:
    pre: list[dict[str, Any]] = [
        *LOAD,
        {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True, "channel_wise": True},
        SPACE,
    ]
    compare(tmp_path, config(pre, network={**maker.UNET, "in_channels": 2}), channels=2, unclear=2e-4)


def test_entries_may_be_replaced(tmp_path: Path) -> None:
    doc = config(
        [*LOAD, ORIENT, {**SPACE, "pixdim": "@pixdim"}, SCALE],
        pixdim="$[1.5, 1.5, 1.5] if @displayable_configs#highres else [3.0, 3.0, 3.0]",
        displayable_configs={"highres": True},
    )
    root, scan = write_bundle(tmp_path / "bundle", doc), write_scan(tmp_path / "scan.nii.gz")
    entries = {"displayable_configs#highres": False}
    wanted, _ = by_monai(root, scan, entries)
    assert (ours(root, scan, entries) != wanted).mean() < 2e-4
    assert (ours(root, scan) != wanted).mean() > 0.01
