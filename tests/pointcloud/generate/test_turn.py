"""A turn of a scanner that drives: each column from its own place at its own time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointcloud.generate.drives.sweep import mount
from pointcloud.generate.kitti.rig import ego_from_lidar
from pointcloud.generate.streets.materials import WALL
from pointcloud.generate.streets.plan import plan_street
from pointcloud.generate.streets.populations import NUSCENES as PEOPLE_AND_CARS
from pointcloud.generate.streets.scanners import hdl_32e, hdl_64e
from pointcloud.generate.streets.shapes import A, Shape, X, Z, box, join
from pointcloud.generate.streets.sweep import Scene, covered, moved, returns, set_up, shoot, stand
from pointcloud.generate.streets.turn import KITTI, NUSCENES, Turn, driving, standing

FORWARD = np.array([9.0, 0.0, 0.0])  # m/s


def alone(shape: Shape, velocity: tuple[float, float, float]) -> Scene:
    """One thing over a ground that is too low to be seen."""
    ground = set_up(plan_street(np.random.default_rng(0), PEOPLE_AND_CARS)).ground
    low = type(ground)(np.full((400, 400), -1000.0), np.zeros((400, 400), np.uint8), np.array([-50.0, -50.0]))
    count = len(shape.solids)
    return Scene(shape, np.zeros(count, int), np.zeros((1, 3)), np.zeros(1), np.array([velocity], float), low)


def straight_on(seconds: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, 3] = FORWARD * seconds
    return pose


def points_of(turn: Turn, scene: Scene) -> np.ndarray:
    found = returns(hdl_32e(), scene, shoot(hdl_32e(), scene, turn, 0), np.random.default_rng(0))
    return found[:, :3].astype(np.float64)


def test_formats_measure_when_they_say() -> None:
    turn = driving(hdl_64e(), KITTI, straight_on, 0.0)
    ahead = np.cos(turn.azimuths).argmax()
    assert abs(turn.times[ahead]) < 1e-4 and turn.times[-1] == pytest.approx(0.05)
    assert (np.diff(turn.azimuths) > 0).all(), "counter-clockwise"
    turn = driving(hdl_32e(), NUSCENES, straight_on, 0.0)
    assert turn.times[-1] == 0 and turn.times[0] == pytest.approx(-0.05, abs=1e-4)
    assert turn.azimuths[0] == np.pi and (np.diff(turn.azimuths) < 0).all(), "from the left, clockwise"
    np.testing.assert_allclose(turn.velocity, FORWARD, atol=1e-9)
    np.testing.assert_allclose(turn.places()[0], FORWARD * turn.times[0])


def test_a_turn_bends_as_the_car_does() -> None:
    def bend(seconds: float) -> np.ndarray:
        pose, angle = np.eye(4), 0.4 * seconds
        pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        return pose

    turn = driving(hdl_64e(), KITTI, bend, 0.0)
    np.testing.assert_allclose(turn.spin, [0, 0, 0.4], atol=1e-9)
    for column in (0, 700, 2007):
        np.testing.assert_allclose(turn.rotations()[column], bend(turn.times[column])[:3, :3], atol=1e-9)


def test_own_motion_is_taken_out_or_not_and_that_of_others_stays() -> None:
    behind = box((-20.0, 0.0, 0.0), (1.0, 8.0, 6.0), WALL, 0.4)
    turn = driving(hdl_32e(), KITTI, straight_on, 0.0)
    torn = points_of(turn, alone(behind, (0, 0, 0)))
    assert np.median(torn[torn[:, 1] > 0, 0]) == pytest.approx(-19.5 + 9 * 0.05, abs=0.02), "measured first: clockwise"
    assert np.median(torn[torn[:, 1] < 0, 0]) == pytest.approx(-19.5 - 9 * 0.05, abs=0.02)
    turn = turn._replace(compensated=True)
    still = points_of(turn, alone(behind, (0, 0, 0)))
    np.testing.assert_allclose(np.percentile(still[:, 0], [1, 99]), -19.5, atol=0.06)

    behind = box((-20.0, 0.0, 0.0), (1.0, 8.0, 6.0), WALL, 0.4)
    moving = points_of(turn, alone(behind, (10.0, 0, 0)))
    early, late = (np.median(moving[side, 0]) for side in (moving[:, 1] > 0.2, moving[:, 1] < -0.2))
    assert early == pytest.approx(-20.0, abs=0.05) and late == pytest.approx(-19.0, abs=0.05)


def test_what_comes_along_at_ones_own_speed_keeps_its_form() -> None:
    beside = box((0.0, 6.0, 0.0), (4.0, 1.0, 3.0), WALL, 0.4)
    turn = driving(hdl_32e(), NUSCENES, straight_on, 0.0)
    moving, parked = (points_of(turn, alone(beside, tuple(v))) for v in (FORWARD, np.zeros(3)))
    # x of the scanner is forward here: its left is at +y, a quarter of a turn after the cut.
    shift = np.median(moving[:, 0]) - np.median(parked[:, 0])
    assert -9.0 * 0.05 < shift < -9.0 * 0.03


def test_a_column_is_what_a_standing_scanner_there_and_then_would_see() -> None:
    street = plan_street(np.random.default_rng(4), PEOPLE_AND_CARS, trip_s=4.0)
    scene, scanner = moved(street, set_up(street), 1.0), hdl_32e()
    turn = driving(scanner, NUSCENES, lambda seconds: stand(street, 1.0 + seconds) @ mount(), 0.0)
    whole, alike = shoot(scanner, scene, turn, 0), []
    assert np.linalg.norm(turn.velocity) == pytest.approx(street.own_speed, rel=0.2)
    for column in range(0, scanner.turn_steps, 97):
        pose, solids = np.eye(4), scene.shape.solids.copy()
        pose[:3, :3] = turn.rotations()[column]
        pose[:3, 3] = turn.global_from_lidar[:3, 3] + turn.places()[column]
        solids[:, X : Z + 1] += turn.times[column] * scene.velocity[scene.owner]
        then = scene._replace(shape=Shape(solids, scene.shape.faces), velocity=np.zeros_like(scene.velocity))
        one = shoot(scanner, then, standing(pose, turn.azimuths[[column, column - 1]]), 0)
        same = one.hit[0] == whole.hit[column]
        alike.append(same.mean())
        on_ground = same & (one.hit[0] < 0) & np.isfinite(one.depth[0])
        np.testing.assert_allclose(one.depth[0][on_ground], whole.depth[column][on_ground], atol=0.005)
    assert np.mean(alike) > 0.93  # where leaves and windows leave it to chance, chance differs


def test_a_thing_alone_is_covered_by_the_beams_that_meet_it() -> None:
    shape = join([box((12.0, 3.0, 0.0), (4.0, 2.0, 2.0), WALL, 0.4)])
    scene = alone(shape, (-8.0, 0, 0))
    echoes = shoot(hdl_64e(), scene, driving(hdl_64e(), KITTI, straight_on, 0.0), 0)
    mask = covered(echoes, scene, np.arange(1))
    assert mask.sum() > 100 and np.array_equal(mask, echoes.hit == 0)
    assert scene.shape.solids[0, A] == 0  # untouched


def test_a_real_keyframe_has_its_own_motion_taken_out(data_root: Path) -> None:
    path = next((data_root / "nuscenes").glob("n015-*.pcd.bin"), None)
    if path is None:
        pytest.skip("no real keyframe of nuScenes")
    columns = np.fromfile(path, "<f4").reshape(hdl_32e().turn_steps, 32, 5)
    # The level beams: the lowest ones meet the car's own roof.
    level = columns[:, 20:, :3]
    empty = np.linalg.norm(level, axis=2) < 0.5
    number, place = np.nonzero(empty)[0], level[empty]
    times = driving(hdl_32e(), NUSCENES, straight_on, 0.0).times[number]
    velocity = (times @ place) / (times @ times)
    np.testing.assert_allclose(place, times[:, None] * velocity, atol=0.02)
    assert 8.9 < velocity[1] < 9.2 and abs(velocity[0]) < 0.1  # y is ahead
    azimuth = np.unwrap(np.arctan2(columns[:, 20, 1], columns[:, 20, 0])[~empty[:, 0]])
    assert abs(abs(azimuth[0]) - np.pi) < 0.05 and np.median(np.diff(azimuth)) < 0  # from the left, clockwise


def test_kittis_scanner_stands_on_its_car() -> None:
    street = plan_street(np.random.default_rng(1), PEOPLE_AND_CARS)
    turn = driving(hdl_64e(), KITTI, lambda seconds: stand(street, seconds) @ ego_from_lidar(), 0.0)
    np.testing.assert_allclose(turn.global_from_lidar, stand(street, 0.0) @ ego_from_lidar())


def test_a_box_is_drawn_where_the_scanner_saw_the_thing() -> None:
    velocity = np.array([-8.0, 0.0, 0.0])
    for timing, at in ((NUSCENES, (2.0, 12.0, 0.0)), (KITTI, (-9.0, 5.0, 0.0))):
        turn = driving(hdl_32e(), timing, straight_on, 0.0)
        found = points_of(turn, alone(box(at, (1.0, 1.0, 1.0), WALL, 0.4), tuple(velocity)))
        seconds = float(turn.when(np.array([at]))[0])
        world = np.append(np.array(at) + seconds * velocity, 1.0)
        middle = (np.linalg.inv(turn.frame(seconds)) @ world)[:3]
        assert abs(seconds) > 0.02 and len(found) > 30
        assert (np.abs(found - middle) < 0.5 + 0.1).all()


def test_kittis_real_sweeps_have_the_own_motion_in_them(data_root: Path) -> None:
    paths = sorted((data_root / "kitti/training/velodyne").glob("*.bin"))
    if not paths:
        pytest.skip("no real sweep of KITTI")
    scanner = hdl_64e()
    for path in paths:
        xyz = np.fromfile(path, "<f4").reshape(-1, 4)[:, :3].astype(np.float64)
        away, azimuth = np.hypot(xyz[:, 0], xyz[:, 1]), np.arctan2(xyz[:, 1], xyz[:, 0]) % (2 * np.pi)
        ring = np.concatenate([[0], np.cumsum(np.diff(azimuth) < -5)])
        off = np.abs(scanner.heights_m[ring] + np.tan(scanner.elevations[ring]) * away - xyz[:, 2])
        for quarter in range(4):
            there = ((azimuth + np.pi / 4) // (np.pi / 2) % 4 == quarter) & (ring > 30)
            assert np.percentile(off[there], 95) < 0.0015
