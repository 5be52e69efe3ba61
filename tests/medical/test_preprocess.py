"""Preparation of scans: orientation, spacing, intensities and the box, with every voxel still at its place."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from medical.preprocess import (
    ClippedZScore,
    PreprocessSettings,
    Unscaled,
    Window,
    ZScore,
    foreground_box,
    prepare,
    prepare_labels,
)
from tests.medical.synthetic import blobs, ras_affine
from vol3d.errors import DataError
from vol3d.scans.volumes.grid import reorient
from vol3d.scans.volumes.volume import Grid, Volume

CODES = ["".join(p) for t in itertools.product("RL", "AP", "SI") for p in itertools.permutations(t)]


def scan(spacing: tuple[float, float, float] = (1, 1, 1), tilt: float = 0.0) -> tuple[Volume, Volume]:
    image, label = blobs()
    grid = Grid((20, 24, 16), ras_affine(spacing, tilt_deg=tilt))
    return Volume(image, grid), Volume(label[None], grid)


@pytest.mark.parametrize("code", CODES[::5])
def test_any_orientation_gives_the_same(code: str) -> None:
    image, label = scan((0.8, 1.1, 2.5), tilt=10)
    settings = PreprocessSettings(spacing_mm=(1.0, 1.5, 2.0), intensity=ZScore(), crop_foreground=False)
    wanted = prepare(image, settings)
    got = prepare(reorient(image, code), settings)
    assert got.grid.same_place(wanted.grid)
    np.testing.assert_allclose(got.array, wanted.array, atol=1e-4)
    labels = [prepare_labels(reorient(label, turn), wanted.grid).array for turn in ("RAS", code)]
    np.testing.assert_array_equal(*labels)
    assert got.grid.spacing_mm == pytest.approx((1.0, 1.5, 2.0), rel=0.05)


def test_intensities() -> None:
    image, _ = scan()
    before = image.array.copy()
    scaled = prepare(image, PreprocessSettings(intensity=ZScore())).array
    assert scaled.dtype == np.float32
    assert abs(scaled.mean()) < 1e-5 and scaled.std() == pytest.approx(1, abs=1e-5)
    window = prepare(image, PreprocessSettings(intensity=Window(low=90, high=140))).array
    np.testing.assert_allclose(window, np.clip((before - 90) / 50, 0, 1), atol=1e-6)
    scale = ClippedZScore(low=90, high=140, mean=110, std=8)
    clipped = prepare(image, PreprocessSettings(intensity=scale)).array
    np.testing.assert_allclose(clipped, (np.clip(before, 90, 140) - 110) / 8, atol=1e-5)
    cut, whole = (PreprocessSettings(intensity=scale, crop_foreground=crop) for crop in (True, False))
    assert (
        prepare(image, cut).grid.shape
        == prepare(image, PreprocessSettings(intensity=Window(low=90, high=140), crop_foreground=True)).grid.shape
    )
    assert prepare(image, whole).grid.shape == image.grid.shape
    np.testing.assert_array_equal(prepare(image, PreprocessSettings(intensity=Unscaled())).array, before)
    np.testing.assert_array_equal(image.array, before)


def test_nonzero_zscore_leaves_zeros_alone_and_channels_apart() -> None:
    array = np.stack([np.zeros((6, 6, 6)), np.zeros((6, 6, 6))]).astype(np.float32)
    rng = np.random.default_rng(0)
    array[0, 2:4], array[1, 1:5] = rng.normal(500, 20, (2, 6, 6)), rng.normal(-3, 2, (4, 6, 6))
    scaled = prepare(
        Volume(array, Grid((6, 6, 6), np.eye(4))), PreprocessSettings(intensity=ZScore(nonzero=True))
    ).array
    for channel, raw in zip(scaled, array, strict=True):
        assert not channel[raw == 0].any()
        assert abs(channel[raw != 0].mean()) < 1e-5 and channel[raw != 0].std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_scan_becomes_zeros(value: float) -> None:
    volume = Volume(np.full((1, 4, 4, 4), value, np.float32), Grid((4, 4, 4), np.eye(4)))
    for nonzero in (False, True):
        assert not prepare(volume, PreprocessSettings(intensity=ZScore(nonzero=nonzero))).array.any()


def test_crop_keeps_the_place() -> None:
    array = np.full((1, 10, 12, 14), -1000.0, np.float32)
    array[0, 2:5, 3:9, 4:6] = 40.0
    volume = Volume(array, Grid((10, 12, 14), ras_affine((2, 1, 3), tilt_deg=20)))
    ready = prepare(volume, PreprocessSettings(intensity=Window(low=-175, high=250), crop_foreground=True))
    assert ready.grid.shape == (3, 6, 2) and ready.array.min() > 0
    np.testing.assert_allclose(ready.affine[:3, 3], (volume.affine @ [2, 3, 4, 1])[:3])
    labels = Volume((array > 0).astype(np.uint8), volume.grid)
    assert prepare_labels(labels, ready.grid).array.all()
    empty = Volume(np.full_like(array, -1000.0), volume.grid)
    whole = prepare(empty, PreprocessSettings(intensity=Window(low=-175, high=250), crop_foreground=True))
    assert whole.grid.shape == (10, 12, 14)


def test_foreground_of_any_channel() -> None:
    array = np.zeros((2, 5, 5, 5), np.float32)
    assert foreground_box(array, None) is None
    array[0, 1, 1, 1], array[1, 3, 2, 1] = -1, 1
    assert foreground_box(array, None) == ((1, 1, 1), (4, 3, 2))
    assert foreground_box(array, 0.0) == ((3, 2, 1), (4, 3, 2))


def test_bad_input_is_named() -> None:
    array = np.zeros((1, 3, 3, 3), np.float32)
    array[0, 1, 1, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        prepare(Volume(array, Grid((3, 3, 3), np.eye(4))), PreprocessSettings())
    turned = Grid((3, 3, 3), ras_affine(tilt_deg=20))
    with pytest.raises(DataError, match="turned against each other"):
        prepare_labels(Volume(np.zeros((1, 3, 3, 3), np.uint8), turned), Grid((3, 3, 3), ras_affine()))
    for bad in (
        {"orientation": "RAR"},
        {"spacing_mm": (1, 0, 1)},
        {"intensity": {"name": "window", "low": 2, "high": 1}},
        {"intensity": {"name": "clipped_zscore", "low": 2, "high": 1, "mean": 0, "std": 1}},
        {"intensity": {"name": "clipped_zscore", "low": 1, "high": 2, "mean": 0, "std": 0}},
    ):
        with pytest.raises(ValidationError, match=next(iter(bad))):
            PreprocessSettings(**bad)
