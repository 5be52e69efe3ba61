"""The numbers that sweeps and rooms are compared by."""

from __future__ import annotations

import numpy as np
import pytest

from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.inference.traits import BRIGHTEST, COUNTED, GROUND, OF_ROOMS, OF_SWEEPS, of_room, of_sensor, of_sweep
from pointcloud.structures.sensor import Sensor
from vol3d.engine.seen import Seen, SeenRange, ranges_of, unlike
from vol3d.scans.points.cloud import PointCloud

RANGE = (-50.0, -50.0, -5.0, 50.0, 50.0, 3.0)


def sweep(points: int = 5000, view_deg: float = 360.0, reach_m: float = 40.0) -> PointCloud:
    rng = np.random.default_rng(0)
    angle, far = np.radians(rng.uniform(-view_deg / 2, view_deg / 2, points)), reach_m * np.sqrt(rng.random(points))
    xyz = np.stack([far * np.cos(angle), far * np.sin(angle), np.full(points, -1.8)], axis=1).astype(np.float32)
    return PointCloud(xyz, {"intensity": np.linspace(0, 200, points, dtype=np.float32)})


def room(points: int = 5000, width_m: float = 5.0) -> PointCloud:
    return PointCloud((np.random.default_rng(0).random((points, 3)) * [width_m, 4, 2.5]).astype(np.float32))


def test_a_sweep_in_numbers() -> None:
    numbers = of_sweep(sweep(view_deg=90), RANGE)
    assert numbers["points"] == 5000 and numbers["view"] == pytest.approx(90, abs=10)
    assert numbers["reach"] == pytest.approx(39, abs=1) and numbers[BRIGHTEST] == 200
    assert numbers[GROUND] == pytest.approx(-1.8)
    assert of_sweep(PointCloud(np.zeros((0, 3), np.float32)), RANGE) == {"points": 0}
    far = PointCloud(np.full((9, 3), 400, np.float32))
    assert of_sweep(far, RANGE) == {"points": 0}


def test_only_what_the_network_sees_counts_at_any_height() -> None:
    front = (0.0, *RANGE[1:])
    assert of_sweep(sweep(), front)["view"] == pytest.approx(180, abs=10)
    risen = sweep()
    risen.xyz[:, 2] += 100
    assert of_sweep(risen, RANGE)["points"] == 5000


def test_a_room_in_numbers() -> None:
    numbers = of_room(room())
    assert numbers["points"] == 5000 and numbers["width"] == pytest.approx(4.9, abs=0.05)
    assert numbers["height"] == pytest.approx(2.45, abs=0.05) and numbers["density"] == pytest.approx(260, rel=0.05)
    assert of_room(PointCloud(np.zeros((0, 3), np.float32))) == {"points": 0}
    assert np.isfinite(of_room(PointCloud(np.zeros((1, 3), np.float32)))["density"])


@pytest.mark.parametrize(
    ("other", "code"),
    [
        (sweep(points=1000), "points-unlike-training"),
        (sweep(points=50_000), "points-unlike-training"),
        (sweep(view_deg=120), "view-unlike-training"),
        (sweep(view_deg=180), "view-unlike-training"),
        (sweep(reach_m=10), "reach-unlike-training"),
    ],
)
def test_a_sweep_of_another_kind_is_noted(other: PointCloud, code: str) -> None:
    seen = Seen(data="mine", ranges=ranges_of([of_sweep(sweep(), RANGE)], OF_SWEEPS))
    assert unlike(seen, of_sweep(sweep(points=4000), RANGE), COUNTED) == ()
    (note,) = unlike(seen, of_sweep(other, RANGE), COUNTED)
    assert note.code == code and {"found", "low", "high"} == set(note.numbers)


@pytest.mark.parametrize(
    ("other", "codes"),
    [
        (room(points=1000), {"points", "density"}),
        (room(points=60_000, width_m=20), {"width"}),
        (room(points=5000, width_m=2000), {"width", "density"}),
    ],
)
def test_a_room_of_another_kind_is_noted(other: PointCloud, codes: set[str]) -> None:
    seen = Seen(data="mine", ranges=ranges_of([of_room(room())], OF_ROOMS))
    assert unlike(seen, of_room(room(points=9000, width_m=7)), OF_ROOMS) == ()
    assert {note.code for note in unlike(seen, of_room(other), OF_ROOMS)} == {f"{one}-unlike-training" for one in codes}


def test_the_scanner_of_a_data_set_stands_in_for_what_was_not_measured() -> None:
    published = of_sensor(KittiSettings.sensor, "kitti", published=True)
    assert published.ranges[GROUND] == SeenRange(low=-1.73, high=-1.73, unit="m")
    assert of_sensor(KittiSettings.sensor, "kitti", published=False).ranges.keys() == {BRIGHTEST}
    assert of_sensor(Sensor(), "mine", published=True).ranges == {}
