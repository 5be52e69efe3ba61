"""Sweeps taken together: against what mmdetection3d 0.17 made of real ones, and under rotation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from pointcloud.structures.sweeps import Sweep, accumulate
from tests.reference.sweeps import slow_accumulate
from vol3d.files import read_json


@pytest.mark.parametrize(("case", "close_m"), [("real", 1.0), ("real_keep_close", 0.0), ("paired", 1.0)])
def test_real_sweeps_lie_where_the_original_put_them(oracle_root: Path, case: str, close_m: float) -> None:
    arrays = load_file(oracle_root / "lidar/multisweep_mmdet3d.safetensors")
    facts = read_json(oracle_root / "lidar/multisweep_mmdet3d.json")
    sweeps = []
    for number, info in enumerate(facts["sweeps"]):
        motion = np.eye(4)
        motion[:3, :3], motion[:3, 3] = info["sensor2lidar_rotation"], info["sensor2lidar_translation"]
        points = arrays[f"{'paired' if case == 'paired' else 'real'}.sweep_points{number}"]
        seconds = facts["cases"][f"{case}."]["timestamp_s"] - info["timestamp"] / 1e6
        sweeps.append(Sweep(points, motion, seconds))
    wanted = arrays[f"{case}.out"]
    got = accumulate(arrays[f"{case}.key_points"], sweeps, close_m)[:, [0, 1, 2, 3, 5]]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=2e-7, atol=1e-6)  # a unit in the last place


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-5, 5), st.integers(0, 9))
def test_a_still_point_stays_where_it_is_while_the_scanner_turns(
    yaw: float, key_yaw: float, shift: float, n: int
) -> None:
    world = np.random.default_rng(n).uniform(20, 30, (n, 3))
    poses = [pose(key_yaw, [0, 0, 0]), pose(yaw, [shift, 1, 0.2])]
    seen = [(world - one[:3, 3]) @ one[:3, :3] for one in poses]
    key, sweep = (np.hstack([points, np.full((n, 1), 7.0)]).astype(np.float32) for points in seen)
    table = accumulate(key, [Sweep(sweep, np.linalg.inv(poses[0]) @ poses[1], 0.25)])
    np.testing.assert_allclose(table[:n, :3], table[n:, :3], atol=1e-4)
    assert (table[:, 3] == 7).all() and (table[:n, 4] == 0).all() and (table[n:, 4] == 0.25).all()


def test_the_car_itself_is_left_out_of_earlier_sweeps_only() -> None:
    car = np.array([[0.5, -0.5, -1, 1], [0.5, 1.0, -1, 2]], np.float32)
    table = accumulate(car, [Sweep(car, np.eye(4), 0.1)])
    assert table[:, 3].tolist() == [1, 2, 2]
    assert len(accumulate(car[:0], [])) == 0


@pytest.mark.parametrize("sizes", [(40, [30, 0, 50]), (0, [20]), (5, [])])
def test_the_compiled_loop_equals_its_slow_twin(sizes: tuple[int, list[int]]) -> None:
    rng = np.random.default_rng(0)
    count, others = sizes
    key, *rest = (rng.normal(0, 3, (n, 5)).astype(np.float32) for n in (count, *others))
    sweeps = [Sweep(points, pose(rng.uniform(-3, 3), [400.0, 1100, 1]), 0.05 * n) for n, points in enumerate(rest)]
    wanted = slow_accumulate(key, [(one.points, one.key_from_sweep, one.seconds) for one in sweeps], 1.0)
    np.testing.assert_allclose(accumulate(key, sweeps), wanted, rtol=2e-7)
    if len(rest) > 1:
        assert len(wanted) < count + sum(others)  # some were close


def test_sweeps_of_other_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="sweeps must have 5 columns"):
        accumulate(np.zeros((2, 5), np.float32), [Sweep(np.zeros((3, 6), np.float32), np.eye(4), 0.1)])


def pose(yaw: float, place: list[float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    matrix[:3, 3] = place
    return matrix
