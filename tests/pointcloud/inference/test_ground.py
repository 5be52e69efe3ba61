"""The ground of a sweep: found wherever it lies, compared with the training's, and shifted to it if asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointcloud.inference.ground import choice_of, find_ground, ground_notes, ground_shift, raised, shift_note
from tests.reference.ground import ground_height
from vol3d.engine.seen import SeenRange
from vol3d.errors import DataError, UsageError
from vol3d.scans.points.cloud import PointCloud

TRAINED = SeenRange(low=-1.9, high=-1.7, unit="m")


def street(seed: int = 0, ground_m: float = -1.8, slope: float = 0.0, points: int = 4000) -> np.ndarray:
    """A road with some roughness, boxes that stand on it, and a wall along it."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-20, 20, (points, 2))
    z = ground_m + slope * xy[:, 0] + rng.normal(0, 0.02, points)
    standing = rng.random(points) < 0.2
    z[standing] += rng.uniform(0, 1.6, standing.sum())
    wall = np.stack([rng.uniform(-20, 20, points), np.full(points, 9.0), ground_m + rng.uniform(0, 6, points)], axis=1)
    return np.concatenate([np.column_stack([xy, z]), wall]).astype(np.float32)


@pytest.mark.parametrize("ground_m", [-1.8, 0.0, 0.7, 100.0])
@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_the_ground_is_found_wherever_it_lies(ground_m: float, slope: float) -> None:
    found = find_ground(street(1, ground_m, slope))
    assert found is not None and found.height_m == pytest.approx(ground_m, abs=0.1) and found.is_below


@pytest.mark.parametrize("seed", range(3))
def test_as_the_slow_twin_finds_it_in_any_order(seed: int) -> None:
    xyz = street(seed, slope=0.03 * seed)
    found, turned = find_ground(xyz), find_ground(np.random.default_rng(9).permutation(xyz))
    assert found is not None and found == turned and found.height_m == pytest.approx(ground_height(xyz), abs=1e-9)


@pytest.mark.parametrize("points", [0, 1, 3000])
def test_without_a_ground_none_is_found_and_that_is_noted(points: int) -> None:
    xyz = np.random.default_rng(0).uniform(-15, 15, (points, 3)).astype(np.float32)
    assert find_ground(xyz) is None and ground_height(xyz) is None
    (note,) = ground_notes(xyz, TRAINED)
    assert note.code == "ground-not-found" and "-1.90 to -1.70 m" in str(note)


def test_a_ground_as_in_training_is_not_noted() -> None:
    assert ground_notes(street(), TRAINED) == () == ground_notes(street(ground_m=-2.05), TRAINED)


@pytest.mark.parametrize("ground_m", [0.0, -0.54, -3.0])
def test_a_ground_elsewhere_is_noted_with_both_numbers(ground_m: float) -> None:
    (note,) = ground_notes(street(ground_m=ground_m), TRAINED)
    assert (note.code, note.setting) == ("ground-unlike-training", "ground") and "--ground auto" in str(note)
    assert note.numbers["found"] == pytest.approx(ground_m, abs=0.05)
    assert (note.numbers["low"], note.numbers["high"]) == (-1.9, -1.7)


@pytest.mark.parametrize("ground_m", [-1.8, 0.0])
def test_a_scanner_that_hangs_is_noted(ground_m: float) -> None:
    (note,) = ground_notes(street(ground_m=ground_m) * np.float32([1, -1, -1]), TRAINED)
    assert (note.code, note.setting, note.value) == ("upside-down", "up", "-z") and "--up -z" in str(note)
    assert note.numbers["found"] == pytest.approx(-ground_m, abs=0.05)


def test_the_shift_brings_the_ground_to_the_training() -> None:
    cloud = PointCloud(street(ground_m=0.3))
    shift = ground_shift(cloud, "auto", TRAINED)
    assert shift == pytest.approx(-2.1, abs=0.05) and ground_notes(raised(cloud, shift).xyz, TRAINED) == ()
    assert ground_shift(cloud, 0.3, TRAINED) == pytest.approx(-2.1) and ground_shift(cloud, None, None) == 0
    assert raised(cloud, 0.0) is cloud
    text = "the ground, stated at 0.30 m, was shifted to -1.80 m, where the model was trained with it"
    assert str(shift_note(-2.1, TRAINED, 0.3)) == text


def test_a_stated_height_is_that_in_the_file_whatever_origin_was_taken_off() -> None:
    cloud = PointCloud(street(ground_m=0.3), origin=np.array([5000.0, 0, 120]))
    assert ground_shift(cloud, 120.3, TRAINED) == pytest.approx(-2.1)


def test_what_cannot_be_shifted_is_refused() -> None:
    with pytest.raises(DataError, match=r"a\.bin: no ground was found.*--ground -1\.7"):
        ground_shift(PointCloud(np.zeros((5, 3), np.float32), source=Path("a.bin")), "auto", TRAINED)
    with pytest.raises(DataError, match=r"upside down.*--up -z"):
        ground_shift(PointCloud(street() * np.float32([1, -1, -1])), "auto", TRAINED)
    with pytest.raises(UsageError, match="not known"):
        ground_shift(PointCloud(street()), "auto", None)


def test_the_choice_is_auto_or_a_height() -> None:
    assert choice_of("auto") == "auto" and choice_of("-1.7") == -1.7 and choice_of(0) == 0
    for wrong in ("floor", "nan", "inf", ""):
        with pytest.raises(UsageError, match="--ground"):
            choice_of(wrong)


@given(raised_m=st.integers(-5000, 5000).map(lambda mm: mm / 1000), seed=st.integers(0, 3))
def test_a_sweep_that_lies_higher_has_its_ground_higher_by_just_as_much(raised_m: float, seed: int) -> None:
    xyz = np.round(street(seed, slope=0.02), 3)  # scanners write whole millimetres
    here, there = find_ground(xyz), find_ground(xyz + np.float32([0, 0, raised_m]))
    assert here is not None and there is not None
    assert there.height_m - here.height_m == pytest.approx(raised_m, abs=1e-9) and there.above == here.above
