"""Generated streets: beams against slow twins, bodies within their boxes, ground, windows, leaves, scanners."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointcloud.generate.streets import scenery
from pointcloud.generate.streets.cast import THROUGH_GLASS, cast, cast_ground
from pointcloud.generate.streets.materials import GLASS, LEAF, MATERIALS, PAINT, WALL, strength
from pointcloud.generate.streets.plan import plan_street
from pointcloud.generate.streets.plot import STYLES
from pointcloud.generate.streets.populations import KITTI, NUSCENES, Population
from pointcloud.generate.streets.road import CELL, REACH, Profile, lay_ground, lay_road
from pointcloud.generate.streets.scanners import SCANNERS, directions, find_scanner, hdl_32e, hdl_64e, two_vlp_32c
from pointcloud.generate.streets.shapes import KIND, Shape, ball, box, cone, convex, join, placed, prism
from pointcloud.generate.streets.sweep import covered, moved, returns, set_up, shoot, stand
from pointcloud.generate.streets.turn import standing
from tests.reference.beams import first_inside, inside

FLAT = Profile((4.0, 4.0), 0.0, (2.0, 2.0), (0.0, 0.0), True, (0.0, 0.0))


def beams(columns: int = 90, low: float = -30, high: float = 30, rings: int = 31) -> np.ndarray:
    azimuths = 0.01 + np.arange(columns) * 2 * np.pi / columns
    return directions(azimuths, np.deg2rad(np.linspace(low, high, rings)))


def meet(shape: Shape, rays: np.ndarray, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Depth, hit, material, cosine and window of rays from the origin."""
    size = rays.shape[:2]
    depth, window, cosine = np.full(size, np.inf), np.full(size, np.inf), np.zeros(size)
    hit, material = np.full(size, -1, np.int32), np.zeros(size, np.int32)
    azimuths, still = (0.01, 2 * np.pi / len(rays), 0.06), np.zeros((len(shape.solids), 4))
    cast(
        rays, np.zeros_like(rays), azimuths, shape.solids, shape.faces, still, np.zeros(len(rays)), seed,
        depth, hit, material, cosine, window,
    )  # fmt: skip
    return depth, hit, material, cosine, window


SOLIDS = {
    "box": box((4.0, 1.0, 0.3), (2.0, 1.0, 1.5), WALL, 0.3, yaw=0.7),
    "prism": placed(prism([(*at, PAINT) for at in ((-2, 0), (2, 0), (1.5, 0.8), (-1, 1.4))], 0.8, 0.3, PAINT, 0.2, 0.3),
                    (5.0, -2.0, -1.0), 0.5),
    "ball": ball((-4.0, 2.0, 0.5), (1.5, 0.8, 1.0), LEAF, 0.3),
    "cone": cone((3.0, -3.0, -1.0), (0.9, 0.4), 2.5, WALL, 0.3),
}  # fmt: skip


@pytest.mark.parametrize("name", SOLIDS)
def test_beams_meet_a_solid_where_walking_along_them_does(name: str) -> None:
    shape, rays = SOLIDS[name], beams(columns=45, rings=21)
    depth, hit, _, cosine, _ = meet(shape, rays)
    met = 0
    for column in range(len(rays)):
        for ring in range(rays.shape[1]):
            expected = first_inside(shape.solids[0], shape.faces, rays[column, ring], 10.0, 0.004)
            if name == "cone" and np.isfinite(expected) and not -0.99 < expected * rays[column, ring, 2] < 1.49:
                continue  # open above and below
            found = depth[column, ring]
            if np.isfinite(found) and np.isfinite(expected):
                met += 1
                assert 0 <= expected - found < 0.005 and hit[column, ring] == 0 and 0 <= cosine[column, ring] <= 1
            else:  # a corner that was stepped over
                at = found * rays[column, ring] if np.isfinite(found) else None
                assert at is None or not inside(shape.solids[0], shape.faces, at[None] * 1.004)[0]
                assert not np.isfinite(expected)
    assert met > 10


def test_nothing_is_met_where_there_is_nothing() -> None:
    depth, hit, *_ = meet(join([]), beams())
    assert np.isinf(depth).all() and (hit == -1).all()
    depth, hit, *_ = meet(box((3, 0, 0), (1, 1, 1), WALL, 0.3), beams(columns=1, rings=1, low=0))
    assert depth.shape == (1, 1) and depth[0, 0] == pytest.approx(2.5, abs=0.01) and hit[0, 0] == 0


def test_the_nearer_of_two_is_met() -> None:
    both = join([box((8, 0, 0), (1, 9, 9), WALL, 0.3), box((4, 0, 0), (1, 2, 2), PAINT, 0.3)])
    depth, hit, material, *_ = meet(both, beams(columns=360, rings=1, low=0))
    assert hit[0, 0] == 1 and material[0, 0] == PAINT and depth[0, 0] == pytest.approx(3.5, abs=0.01)
    assert {0, 1} <= set(hit.ravel().tolist())


def test_leaves_let_as_much_through_as_their_density_says() -> None:
    rays = beams(columns=4000, rings=21, low=-5, high=5)
    shell = box((6, 0, 0), (2.0, 8.0, 8.0), LEAF, 0.3, density=0.7)
    depth, *_ = meet(shell, rays)
    ahead = np.abs(np.arctan2(rays[..., 1], rays[..., 0])) < 0.3
    long = 2.0 / rays[ahead][:, 0]
    assert np.isinf(depth[ahead]).mean() == pytest.approx(np.exp(-0.7 * long).mean(), abs=0.02)
    x = (depth[ahead] * rays[ahead][:, 0])[np.isfinite(depth[ahead])]
    assert x.min() >= 5 and x.max() <= 7 and np.median(x) < 6


def test_most_beams_pass_a_window_and_meet_what_is_behind() -> None:
    cabin = join([box((6, 0, 0), (2, 4, 2), GLASS, 0.3), box((6, 0, 0), (0.2, 4, 2), WALL, 0.3)])
    rays = beams(columns=2000, rings=21, low=-5, high=5)
    depth, hit, material, _, window = meet(cabin, rays)
    ahead = np.abs(np.arctan2(rays[..., 1], rays[..., 0])) < 0.2
    passed = hit[ahead] == 1
    assert passed.mean() == pytest.approx(THROUGH_GLASS, abs=0.02)
    assert (material[ahead][~passed] == GLASS).all() and (window[ahead][passed] < depth[ahead][passed]).all()
    assert np.isinf(window[ahead][~passed]).all()
    other = meet(cabin, rays, seed=1)
    assert (other[1] != hit).any() and np.array_equal(meet(cabin, rays)[1], hit)


KINDS = [(population, kind) for population in (KITTI, NUSCENES) for kind in population.sizes]


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10_000), speed=st.sampled_from([0.0, 5.0]))
def test_bodies_fill_their_boxes_and_stay_in_them(kind: tuple[Population, str], seed: int, speed: float) -> None:
    thing = kind[0].make({kind[1]: 1.0}, 0, 0, np.random.default_rng(seed), 0.0, speed)
    rays = beams(columns=720, low=-20, high=30, rings=201)
    at = np.array([12.0, 0.0, -1.7])
    depth = meet(placed(thing.shape, at, 0.0), rays)[0]
    met = np.isfinite(depth)
    xyz = depth[met][:, None] * rays[met] - at
    half = np.array(thing.size) / 2
    slack = 0.17 if kind[1] in ("Car", "Van", "car") else 0.06  # mirrors
    assert len(xyz) > 12 and xyz[:, 2].min() > -0.02 and xyz[:, 2].max() < thing.size[2] + 0.06
    assert (np.abs(xyz[:, 0]) < half[0] + 0.12).all() and (np.abs(xyz[:, 1]) < half[1] + slack).all()
    # A low load may hide the cab.
    assert xyz[:, 0].min() < -half[0] + 0.6 * half[0] and xyz[:, 2].max() > 0.5 * thing.size[2]


@pytest.mark.parametrize(("population", "kind"), KINDS, ids=[kind for _, kind in KINDS])
def test_sizes_have_the_means_of_the_labels(population: Population, kind: str) -> None:
    rng, sizes = np.random.default_rng(0), population.sizes[kind]
    drawn = np.array([sizes.draw(rng) for _ in range(3000)])
    np.testing.assert_allclose(drawn.mean(axis=0), sizes.mean, rtol=0.06)
    assert (drawn >= sizes.low).all() and (drawn <= sizes.high).all()


def test_the_box_of_a_cycle_holds_who_rides_it() -> None:
    rng = np.random.default_rng(0)
    for kind in ("bicycle", "motorcycle"):
        ridden = [NUSCENES.make({kind: 1.0}, 0, 0, rng, speed=4.5).size[2] for _ in range(100)]
        alone = [NUSCENES.make({kind: 1.0}, 0, 0, rng).size[2] for _ in range(100)]
        assert np.mean(ridden) > 1.6 and np.mean(ridden) > np.mean(alone) + 0.15


@pytest.mark.parametrize("build", [*scenery.SMALL, *scenery.UPRIGHT])
def test_what_stands_at_the_kerb_is_met(build) -> None:
    for seed in range(3):
        shape = placed(build(np.random.default_rng(seed)), (5.0, 0, -1.7), 0.0)
        assert (meet(shape, beams(columns=720))[1] >= 0).any()
        assert set(shape.solids[:, KIND]) <= {0, 1, 2}


def test_beams_meet_the_ground_where_its_raster_is() -> None:
    rng = np.random.default_rng(3)
    profile = Profile((4.0, 5.0), 0.12, (2.0, 2.0), (0.1, -0.05), True, (20.0, 3.0))
    ground = lay_ground(lay_road(profile, rng), rng)
    rays, eye = (
        beams(columns=40, low=-28, high=-0.5, rings=30),
        np.array([0, 0, float(ground.height(np.zeros(2))) + 1.7]),
    )
    depth, cosine = np.empty(rays.shape[:2]), np.empty(rays.shape[:2])
    cast_ground(rays, np.zeros_like(rays), ground.heights - eye[2], ground.corner - eye[:2], CELL, 80.0, depth, cosine)
    found = np.isfinite(depth)
    at = eye + depth[found][:, None] * rays[found]
    assert found.mean() > 0.6 and np.abs(at[:, 2] - ground.height(at[:, :2])).max() < 0.01
    along = np.arange(0.5, 80, 0.02)
    for column, ring in [(3, 4), (10, 20), (25, 28), (39, 12)]:
        places = eye + along[:, None] * rays[column, ring]
        below = places[:, 2] < ground.height(places[:, :2])
        expected = along[below.argmax()] if below.any() else np.inf
        assert depth[column, ring] == pytest.approx(expected, abs=0.25)
    assert ((cosine[found] >= 0) & (cosine[found] <= 1)).all()


def test_the_kerb_is_a_step_and_a_crossing_has_none() -> None:
    rng = np.random.default_rng(0)
    profile = Profile((4.0, 4.0), 0.12, (2.0, 2.0), (0.0, 0.0), True, (30.0, 4.0))
    road = lay_road(profile, np.random.default_rng(5))
    ground = lay_ground(road, rng)

    def rise(along: float) -> float:
        low, high = (ground.height(road.place(along, left)[0]) for left in (3.4, 4.6))
        return float(high - low)

    assert rise(5.0) == pytest.approx(0.12, abs=0.05) and abs(rise(30.0)) < 0.06
    assert ground.heights.shape == (round(2 * REACH / CELL) + 1,) * 2


def test_streets_hold_what_they_should_and_nothing_overlaps() -> None:
    streets = [plan_street(np.random.default_rng(seed), KITTI) for seed in range(5)]
    named = [thing.category for street in streets for thing in street.things]
    assert {"Car", "Van", "Pedestrian", "Cyclist", ""} <= set(named) and named.count("Car") > 30
    for street in streets:
        cars = [one for one in street.things if one.category in ("Car", "Van", "Truck")]
        for number, one in enumerate(cars):
            assert np.hypot(one.along, one.left - street.own_left) > 1.5  # not in the scanner's car
            for other in cars[:number]:
                assert np.hypot(one.along - other.along, one.left - other.left) > 1.4
    assert sum(share for share, _ in STYLES.values()) == pytest.approx(1)


def test_a_dark_or_far_surface_gives_less() -> None:
    rng, many = np.random.default_rng(0), 4000
    for number in MATERIALS:
        facing, grazing = (strength(np.full(many, number), np.full(many, 0.3), np.full(many, c), rng) for c in (1, 0.1))
        assert facing.mean() == pytest.approx(0.3, rel=0.05) and grazing.mean() < facing.mean() + 0.01
    street, scanner = plan_street(np.random.default_rng(1), KITTI), hdl_64e()
    pose, scene = stand(street, 0.0), set_up(street)
    pose[:3, 3] += 1.73 * pose[:3, 2]
    echoes = shoot(scanner, scene, standing(pose, np.arange(scanner.turn_steps) * scanner.step), 0)
    points = returns(scanner, scene, echoes, rng)
    assert 80_000 < len(points) <= echoes.depth.size and points[:, 3].min() >= 0 and points[:, 3].max() <= 1
    far = np.linalg.norm(points[:, :3], axis=1) > 45
    assert points[far, 3].mean() < 0.5 * points[~far, 3].mean()
    assert not covered(echoes, scene, np.zeros(0, np.int64)).any()


def test_the_table_of_the_hdl_64e_is_that_of_real_sweeps(data_root: Path) -> None:
    path = data_root / "kitti_real/velodyne_full/000068.xz"
    if not path.is_file():
        pytest.skip(f"no real sweep at {path}")
    raw = lzma.decompress(path.read_bytes())
    xyz = np.frombuffer(raw, "<i4", 3 * (len(raw) // 13)).reshape(3, -1).cumsum(1, dtype=np.int32).T / 1000.0
    scanner, away = hdl_64e(), np.hypot(xyz[:, 0], xyz[:, 1])
    azimuth = np.arctan2(xyz[:, 1], xyz[:, 0]) % (2 * np.pi)
    ring = np.concatenate([[0], np.cumsum(np.diff(azimuth) < -5)])  # a ring after the other, each once around
    assert ring.max() == 63
    cone_z = scanner.heights_m[ring] + np.tan(scanner.elevations[ring]) * away
    assert np.median(np.abs(cone_z - xyz[:, 2])) < 0.002 and np.percentile(np.abs(cone_z - xyz[:, 2]), 99) < 0.012


def test_the_beams_of_the_hdl_32e_are_those_of_a_real_keyframe(data_root: Path) -> None:
    path = next((data_root / "nuscenes").glob("n015-*.pcd.bin"), None)
    if path is None:
        pytest.skip("no real keyframe of nuScenes")
    points = np.fromfile(path, "<f4").reshape(-1, 5)
    up = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    measured = [np.median(up[points[:, 4] == ring]) for ring in range(32)]
    np.testing.assert_allclose(np.degrees(hdl_32e().elevations), measured, atol=0.1)
    assert len(points) == 32 * hdl_32e().turn_steps


def test_every_scanner_sees_a_street() -> None:
    street = plan_street(np.random.default_rng(2), KITTI)
    pose, scene, rng = stand(street, 0.0), set_up(street), np.random.default_rng(0)
    pose[:3, 3] += 1.73 * pose[:3, 2]
    for name, make in SCANNERS.items():
        scanner = make()
        turn = standing(pose, scanner.sense * np.arange(scanner.turn_steps) * scanner.step)
        points = returns(scanner, scene, shoot(scanner, scene, turn, 0), rng)
        rings = len(scanner.elevations)
        assert 0.3 * rings * scanner.turn_steps < len(points) <= rings * scanner.turn_steps, name
        assert set(points[:, 4]) <= set(range(rings)) and 0 < points[:, 3].mean() < 0.5, name
    assert sorted(np.degrees(two_vlp_32c().elevations)) == pytest.approx(sorted(-np.degrees(two_vlp_32c().elevations)))


def test_mixed_scanners_take_turns() -> None:
    rings = [len(find_scanner("mixed", number).elevations) for number in range(7)]
    assert rings == [64, 32, 16, 64, 64, 128, 64]


def test_the_same_light_is_farther_from_the_roads_in_calibrated_reflectivity() -> None:
    """People are 1.4 times as bright as the road on KITTI, 2.2 times in a frame of nuScenes, 3 in Argoverse 2."""
    road, person = 0.27, 0.37
    for make, low, high in ((hdl_64e, 1.2, 1.5), (hdl_32e, 1.8, 3), (two_vlp_32c, 1.8, 3)):
        scanner = make()
        assert low < (person / road) ** scanner.response < high


def test_barriers_stand_in_rows_beside_the_road() -> None:
    rows = []
    for seed in range(12):
        street = plan_street(np.random.default_rng(seed), NUSCENES)
        rows += [sorted(one.along for one in street.things if one.category == "barrier" and side * one.left > 0)
                 for side in (-1, 1)]  # fmt: skip
    steps = np.concatenate([np.diff(row) for row in rows])
    assert max(map(len, rows)) > 8 and (np.abs(steps - 2.4) < 0.8).mean() > 0.6
    assert not any(one.category == "barrier" for one in plan_street(np.random.default_rng(3), KITTI).things)


def test_what_moves_is_elsewhere_later_and_the_rest_is_not() -> None:
    street = plan_street(np.random.default_rng(4), NUSCENES, trip_s=8.0)
    scene = set_up(street)
    later = moved(street, scene, 2.0)
    speeds = np.array([thing.speed for thing in street.things])
    gone = np.linalg.norm((later.xyz - scene.xyz)[:, :2], axis=1)
    np.testing.assert_allclose(gone[speeds == 0], 0)
    np.testing.assert_allclose(gone[speeds > 0], 2 * speeds[speeds > 0], rtol=0.7)  # bends are shorter inside
    assert (speeds > 0).sum() > 3 and np.array_equal(moved(street, scene, 0.0).shape.solids, scene.shape.solids)
    for number, thing in enumerate(street.things):
        before, now = (one.shape.solids[one.owner == number][:, 1:4] for one in (scene, later))
        assert thing.speed or np.array_equal(before, now)


def test_a_convex_solid_needs_no_unit_normals() -> None:
    made = convex((0, 0, 0), [(2, 0, 0, 4, WALL), (-2, 0, 0, 4, WALL)], 2.0, 0.3)
    np.testing.assert_allclose(made.faces[:, 3], 2.0)
