"""Generated drives: valid nuScenes tables that the devkit loads, ten classes that move as they say, and occlusion."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.datasets.nuscenes.sample import NuScenesSample
from pointcloud.generate.drives.drive import make_drive, make_sweep
from pointcloud.generate.drives.number import DriveNumber
from pointcloud.generate.drives.shapes import KINDS
from pointcloud.generate.drives.street import Street, plan_street
from pointcloud.generate.drives.sweep import BEAMS, ego_pose, place_all, scan_sweep, solids_of
from pointcloud.generate.drives.write import write_drives
from pointcloud.structures.class_names import NUSCENES_CLASSES
from tests.pointcloud.datasets.devkit import devkit_reads
from vol3d.errors import UsageError
from vol3d.geometry import count_points_in_boxes, iou_bev


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drives")
    write_drives(out, 2, seed=1, workers=0, seconds=1.0)
    return out


@pytest.fixture(scope="module")
def samples(root: Path) -> list[NuScenesSample]:
    return list(NuScenesSettings(root=root).split().require().labelled)  # type: ignore[arg-type]


def test_the_reader_takes_them_for_nuscenes(samples: list[NuScenesSample], root: Path) -> None:
    split = NuScenesSettings(root=root).split().require()
    assert len(split.train) == len(split.validation) == 3
    for one in samples:
        scene = one.read()
        assert len(one.files()) == 10 and 200_000 < len(scene.cloud) < 330_000
        assert set(np.unique(scene.cloud.columns["ring"])) == set(range(BEAMS))
        assert 0 <= scene.cloud.columns["intensity"].min() < scene.cloud.columns["intensity"].max() <= 255


def test_the_devkit_loads_them_and_reads_the_same(samples: list[NuScenesSample], root: Path, tmp_path: Path) -> None:
    wanted = devkit_reads(root, "v1.0-drives", tmp_path / "devkit.npz")
    for one in NuScenesSettings(root=root, min_points=0).split().labelled:
        scene = one.read()
        table = np.column_stack([scene.cloud.xyz, *(scene.cloud.columns[key] for key in ("intensity", "time"))])
        close = (np.abs(table[:, :2]) < 1).all(axis=1) & (table[:, 4] == 0)
        np.testing.assert_allclose(table[~close], wanted[f"{one.name}.points"], atol=1e-4)
        turn = np.exp(1j * (scene.truth.boxes[:, 6] - wanted[f"{one.name}.boxes"][:, 6]))
        np.testing.assert_allclose(scene.truth.boxes[:, :6], wanted[f"{one.name}.boxes"][:, :6], atol=1e-4)
        np.testing.assert_allclose(turn, 1, atol=1e-4)


def test_boxes_hold_the_points_that_were_counted(samples: list[NuScenesSample]) -> None:
    for one in samples:
        scene = one.read()
        now = torch.from_numpy(scene.cloud.xyz[scene.cloud.columns["time"] == 0])
        inside = count_points_in_boxes(now, torch.from_numpy(scene.truth.boxes)).numpy()
        counted = one.annotations().lidar_points
        assert np.abs(inside - counted[counted > 0]).sum() <= 0.04 * counted.sum()  # the scanner leans, a box does not


def test_simple_drives_stay_what_shipped_weights_were_trained_on() -> None:
    """The same seed gives the same points, whatever is added to the generator."""
    street = plan_street(np.random.default_rng([0, 0]))
    still = solids_of(street.fixtures, place_all(street, street.fixtures, 0.0))
    _, placed, points = make_sweep(DriveNumber(0, 0, 3), street, still, 0)
    assert (len(points), len(placed.yaw), len(street.fixtures)) == (31701, 203, 125)
    np.testing.assert_allclose(
        points[:, :4].astype(float).sum(axis=0), [-15894.82, -34823.20, -13760.33, 736623], rtol=1e-4
    )


def test_realistic_drives_are_read_and_move_as_they_say(tmp_path: Path) -> None:
    write_drives(tmp_path, 2, seed=3, workers=0, seconds=1.0, streets="realistic")
    split = NuScenesSettings(root=tmp_path).split().require()
    inside = counted = 0
    for one in split.labelled:
        scene, found = one.read(), one.annotations()  # type: ignore[attr-defined]
        assert 100_000 < len(scene.cloud) < 340_000 and set(found.categories) <= {
            kind.category for kind in KINDS.values()
        }
        assert 0 <= scene.cloud.columns["intensity"].min() < scene.cloud.columns["intensity"].max() <= 255
        now = torch.from_numpy(scene.cloud.xyz[scene.cloud.columns["time"] == 0])
        inside += int(count_points_in_boxes(now, torch.from_numpy(scene.truth.boxes)).sum())
        counted += int(found.lidar_points.sum())
        speed = np.linalg.norm(found.velocity, axis=1)
        moves = np.isin(found.attributes, ("vehicle.moving", "cycle.with_rider", "pedestrian.moving"))
        known = np.isfinite(speed)
        np.testing.assert_array_equal((speed > 0.2)[known], moves[known])
    assert inside == pytest.approx(counted, rel=0.05) and counted > 500
    with pytest.raises(UsageError, match="another format"):
        write_drives(tmp_path, 2, seed=3, workers=0, seconds=1.0)


@pytest.mark.parametrize("sweeps", [1, 3])
def test_sweeps_between_keyframes_can_be_left_out(root: Path, tmp_path: Path, sweeps: int) -> None:
    write_drives(tmp_path, 2, seed=1, workers=0, seconds=1.0, sweeps=sweeps)
    kept = NuScenesSettings(root=tmp_path, sweeps=sweeps).split().require()
    assert sum(1 for _ in tmp_path.glob("*/LIDAR_TOP/*.bin")) == 2 * 3 * sweeps
    for one in kept.labelled:
        assert np.unique(one.read().cloud.columns["time"]).tolist() == pytest.approx([0.05 * n for n in range(sweeps)])
    for file in (tmp_path / "samples/LIDAR_TOP").iterdir():
        assert (root / "samples/LIDAR_TOP" / file.name).read_bytes() == file.read_bytes()
    apart = [fault.what for fault in NuScenesSettings(root=tmp_path, sweeps=10).split().listing]
    assert apart == ["sweeps are 0.5 s apart, nuScenes' own 0.05 s: 10 of them span 4.5 s"] * (sweeps == 1)
    assert not kept.listing
    with pytest.raises(UsageError, match="another sweeps"):
        write_drives(tmp_path, 2, seed=1, workers=0, seconds=1.0, sweeps=2)
    with pytest.raises(UsageError, match="not a number of sweeps; got 0, wanted 1 to 10"):
        write_drives(tmp_path / "none", 2, seed=0, workers=0, seconds=1.0, sweeps=0)


@pytest.mark.parametrize(
    ("streets", "scanner", "message"),
    [
        ("nice", None, "no such streets; got nice, wanted simple, realistic"),
        ("realistic", "hdl", "no such scanner; got hdl, wanted hdl-64e"),
        ("simple", "vlp-16", "simple streets have a scanner of their own; got vlp-16"),
    ],
)
def test_streets_and_scanners_that_there_are_not_are_refused(
    tmp_path: Path, streets: str, scanner: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        write_drives(tmp_path / "out", 2, 0, 0, streets=streets, scanner=scanner)
    assert not (tmp_path / "out").exists()


def test_velocities_are_those_of_the_things(samples: list[NuScenesSample]) -> None:
    speeds: dict[str, list[float]] = {}
    for one in samples:
        found = one.annotations()
        for name, speed, attribute in zip(
            found.categories, np.linalg.norm(found.velocity, axis=1), found.attributes, strict=True
        ):
            moves = attribute in ("vehicle.moving", "cycle.with_rider", "pedestrian.moving")
            assert np.isnan(speed) or (speed > 0.2) == moves, (name, attribute, speed)
            speeds.setdefault(attribute, []).append(float(speed))
    assert max(speeds["vehicle.moving"]) > 3 and max(speeds["vehicle.parked"]) < 0.05


def test_streets_have_all_classes_of_usual_size() -> None:
    count: Counter[str] = Counter()
    for number in range(30):
        for one in plan_street(np.random.default_rng(number)).actors:
            count[one.kind] += 1
            np.testing.assert_array_less(np.abs(np.log(one.size) - np.log(KINDS[one.kind].size)), 0.31)
    assert set(count) == set(NUSCENES_CLASSES) and min(count.values()) > 60


CROWDED = ("pedestrian", "motorcycle", "bicycle")  # people and parked cycles touch


def test_things_that_stand_do_not_stand_in_one_another() -> None:
    for number in range(8):
        street = plan_street(np.random.default_rng(number))
        still = [one for one in street.actors if one.speed == 0 and one.kind not in CROWDED]
        placed = place_all(street, still, 0.0)
        boxes = torch.from_numpy(np.column_stack([placed.xyz, [one.size for one in still], placed.yaw]))
        overlap = iou_bev(boxes, boxes) - torch.eye(len(boxes), dtype=torch.float64)
        assert overlap.max() < 0.12


def test_a_frame_depends_on_the_numbers_alone() -> None:
    drive, street, still = street_of(3)
    first = make_sweep(drive, street, still, 4)[2]
    make_sweep(drive, street, still, 5)
    np.testing.assert_array_equal(make_sweep(drive, *street_of(3)[1:], 4)[2], first)
    assert len(make_sweep(drive, street, still, 5)[2]) != len(first)


def street_of(number: int) -> tuple[DriveNumber, Street, np.ndarray]:
    street = plan_street(np.random.default_rng([0, number]))
    return DriveNumber(0, number, 3), street, solids_of(street.fixtures, place_all(street, street.fixtures, 0.0))


def test_what_stands_behind_a_wall_is_not_seen() -> None:
    _, street, _ = street_of(0)
    pose, rng = ego_pose(street, 0.0), np.random.default_rng(0)
    ahead = pose.global_from_ego[:3, :3] @ [1, 0, 0]
    yaw = float(np.arctan2(ahead[1], ahead[0]))
    wall, ball = pose.translation + 10 * ahead, pose.translation + 20 * ahead
    rows = np.array([[0, *wall, 0.1, 3, 4, yaw, 0.5], [2, *ball, 1, 1, 1, 0, 0.5]])
    for solids, seen in ((rows[1:], True), (rows, False)):
        points = scan_sweep(street, solids, pose, rng)
        world = points[:, :3] @ pose.global_from_lidar[:3, :3].T + pose.global_from_lidar[:3, 3]
        on_ball = np.linalg.norm(world - ball, axis=1) < 1.05
        high = world[:, 2] > ball[2] + 0.3
        assert ((on_ball & high).sum() > 20) == seen
    alone = scan_sweep(street, rows[:0], pose, rng)
    world = alone[:, :3] @ pose.global_from_lidar[:3, :3].T + pose.global_from_lidar[:3, 3]
    ground = np.array([street.road.height(xy) for xy in world[:, :2]])
    assert np.median(np.abs(world[:, 2] - ground)) < 0.02 and len(alone) > 15_000


def test_the_car_turns_and_leans_with_the_ground() -> None:
    turns, leans = [], []
    for number in range(6):
        street = plan_street(np.random.default_rng(number))
        first, last = (ego_pose(street, seconds).global_from_ego for seconds in (0.0, 8.0))
        turns.append(np.arccos(np.clip(first[:3, 0] @ last[:3, 0], -1, 1)))
        leans.append(np.degrees(np.arccos(first[2, 2])))
        np.testing.assert_allclose(first[:3, :3] @ first[:3, :3].T, np.eye(3), atol=1e-12)
    assert max(turns) > 0.4 and 0.05 < max(leans) < 2.0


def test_a_second_run_keeps_what_is_there_and_makes_the_rest(tmp_path: Path) -> None:
    write_drives(tmp_path, 2, seed=3, workers=0, seconds=1.0)
    sweeps = sorted((tmp_path / "sweeps/LIDAR_TOP").iterdir())
    before, untouched = sweeps[0].read_bytes(), sweeps[0].stat().st_mtime_ns
    (tmp_path / "drives/drive-0001.json").unlink()
    last = sweeps[-1].read_bytes()
    sweeps[-1].write_bytes(b"cut")
    write_drives(tmp_path, 3, seed=3, workers=0, seconds=1.0)
    assert sweeps[0].read_bytes() == before and sweeps[0].stat().st_mtime_ns == untouched
    assert sweeps[-1].read_bytes() == last
    split = NuScenesSettings(root=tmp_path).split().require()
    assert len(split.train) == 6 and len(split.validation) == 3
    with pytest.raises(UsageError, match="prepared with another seed"):
        write_drives(tmp_path, 2, seed=4, workers=0, seconds=1.0)


def test_the_record_names_every_box(tmp_path: Path) -> None:
    for folder in ("samples", "sweeps"):
        (tmp_path / folder / "LIDAR_TOP").mkdir(parents=True)
    record = make_drive(DriveNumber(0, 0, 1), tmp_path)
    assert len(record["poses"]) == 10 and len(record["boxes"]) == 1
    assert all(0 <= row[0] < len(record["things"]) and row[-1] >= 0 for row in record["boxes"][0])


@pytest.mark.parametrize(
    ("words", "message"), [((1, 0, 2.0), "not a number"), ((2, -1, 2.0), "not a seed"), ((2, 0, 99.0), "not a length")]
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, words: tuple[int, int, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_drives(tmp_path, words[0], words[1], 0, None, words[2])


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "v1.0-trainval").mkdir()
    with pytest.raises(UsageError, match=r"the folder holds something else; got v1\.0-trainval"):
        write_drives(tmp_path, 2, 0, 0)
    assert list(tmp_path.iterdir()) == [tmp_path / "v1.0-trainval"]
