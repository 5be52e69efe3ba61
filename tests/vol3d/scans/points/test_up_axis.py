"""The axis up and the unit: right, or said to be assumed, for rooms and drives however they are turned and scaled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.vol3d.scans.points.maker import room
from vol3d.scans import read_points
from vol3d.scans.points.length_unit import find_unit
from vol3d.scans.points.up_axis import find_up, turn_matrix, turn_up

UPS = ("x", "-x", "y", "-y", "z", "-z")
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}


def laid(points: np.ndarray, up: str, units: str = "m") -> np.ndarray:
    """A scan with z up, in metres, as a file with another axis up and another unit has it."""
    return points @ turn_matrix(up) / METRES[units]


@pytest.mark.parametrize("up", UPS)
def test_turns_are_rotations_that_bring_the_axis_up(up: str) -> None:
    axis = np.zeros(3)
    axis["xyz".index(up[-1])] = -1 if up[0] == "-" else 1
    assert np.array_equal(turn_up(axis[None], up), [[0, 0, 1]])
    assert np.linalg.det(turn_matrix(up)) == 1
    points = np.random.default_rng(0).normal(size=(9, 3))
    assert np.allclose(turn_up(points, up), points @ turn_matrix(up).T, rtol=0, atol=0)
    assert np.array_equal(turn_up(laid(points, up), up), points)


@given(
    st.integers(0, 1000), st.floats(3, 9), st.floats(3, 7), st.floats(2.3, 3.2), st.floats(0, 6.3),
    st.sampled_from(UPS), st.sampled_from(tuple(METRES)),
)  # fmt: skip
@example(0, 5.0, 4.0, 2.5, 0.0, "y", "mm")
@hypothesis_settings(max_examples=40)
def test_a_room_in_any_axes_and_unit_comes_back_or_is_said_to_be_assumed(
    seed: int, length: float, width: float, height: float, angle: float, up: str, units: str
) -> None:
    points = room(np.random.default_rng(seed), (length, width, height), 3000)
    cos, sin = np.cos(angle), np.sin(angle)
    points = points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    stored = laid(points, up, units)
    unit = find_unit(stored)
    found = find_up(stored, unit.metres)
    assert unit.metres == METRES[units] if unit.found else unit.metres == 1
    assert found.axis == up if found.found else found.axis == "z"


@pytest.mark.parametrize("up", ["y", "-y", "z"])
@pytest.mark.parametrize("units", METRES)
def test_a_usual_room_is_turned_and_scaled(tmp_path: Path, up: str, units: str) -> None:
    points = room(np.random.default_rng(3), (6, 5, 2.6))
    np.save(tmp_path / "a.npy", laid(points, up, units))
    cloud = read_points(tmp_path / "a.npy")
    assert np.allclose(cloud.xyz, points, atol=1e-5)
    assert "fits a size of" in str(cloud.notes[0]) and "--units" in str(cloud.notes[0])
    assert str(cloud.notes[1]) == f"{up} is up: the floor was found across it; override with --up"


def test_what_the_points_do_not_tell_is_assumed_aloud(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for extent, unit in ((1e-3, "assumed"), (700.0, "assumed"), (5.0, "taken as metres")):
        np.save(tmp_path / "a.npy", rng.random((3000, 3)) * extent)
        cloud = read_points(tmp_path / "a.npy")
        assert unit in str(cloud.notes[0]) and cloud.xyz[:, 0].max() == pytest.approx(extent, rel=0.01)
        assert "z was assumed to be up" in str(cloud.notes[1])


def test_a_room_higher_than_rooms_are_may_be_in_feet(tmp_path: Path) -> None:
    points = room(np.random.default_rng(3), (6, 5, 2.7))
    for metres, found in ((1.0, True), (0.3048, False)):
        unit = find_unit(points / metres)
        assert (unit.metres, unit.found) == (1.0, found)
    street = np.random.default_rng(0).random((3000, 3)) * (80, 60, 9)
    assert find_unit(street).found


def test_one_wall_seen_from_near_is_not_taken_for_a_floor() -> None:
    rng = np.random.default_rng(0)
    wall = np.concatenate((rng.random((8000, 3)) * (2.2, 0.02, 1.9) + (0, 2, 0), rng.random((800, 3)) * (2.2, 0.7, 1)))
    assert not find_up(wall).found
    for up in UPS:
        assert find_up(laid(wall, up)).axis == "z"


def test_map_coordinates_are_never_scaled() -> None:
    tile = np.random.default_rng(0).random((5000, 3)) * (900, 800, 250) + (500_000, 5_400_000, 300)
    assert find_unit(tile).metres == 1


def test_real_scans_in_all_axes(data_root: Path) -> None:
    right = 0
    for name, columns in (("scannet/scene0000_00.bin", 6), ("kitti/000008.bin", 4), ("nuscenes/ten_sweeps.bin", 5)):
        points = np.fromfile(data_root / name, np.float32).reshape(-1, columns)[:, :3].astype(np.float64)
        for up in UPS:
            found = find_up(laid(points[::5], up))
            assert found.axis == up if found.found else found.axis == "z"
            right += found.found
    assert right == 18
