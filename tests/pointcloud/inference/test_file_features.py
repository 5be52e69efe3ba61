"""A person's file that lacks what a network wants: times of one sweep are 0, intensities are asked for, scales told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.inference.file_features import for_network, unseen
from pointcloud.inference.traits import BRIGHTEST, of_sensor
from pointcloud.structures.features import Feature, point_features
from pointcloud.structures.voxels import VoxelSettings
from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud

SENSORS = {
    "kitti": KittiSettings.sensor,
    "nuscenes": NuScenesSettings.sensor,
    "point_folder": PointFolderSettings.sensor,
}
KNOWN = {name: of_sensor(sensor, name, published=False).ranges.get(BRIGHTEST) for name, sensor in SENSORS.items()}
KITTI, NUSCENES = KNOWN["kitti"], KNOWN["nuscenes"]
BOTH: tuple[Feature, ...] = ("intensity", "time")


def cloud(**columns: list[float]) -> PointCloud:
    values = {name: np.array(column, np.float32) for name, column in columns.items()}
    return PointCloud(
        np.arange(9, dtype=np.float32).reshape(3, 3), values, source=Path("a.bin"), notes=(Note.from_text("read"),)
    )


def test_a_file_without_time_is_one_sweep_of_age_0_and_that_is_told() -> None:
    got = for_network(cloud(intensity=[3, 200, 7]), BOTH, NUSCENES)
    assert point_features(got, BOTH).tolist() == [[3, 0], [200, 0], [7, 0]]
    assert str(got.notes[0]) == "read" and "one sweep, all of age 0" in str(got.notes[1]) and len(got.notes) == 2


@pytest.mark.parametrize("time", [[1.6e9, 1.6e9, 1.6e9], [-0.1, -0.05, 0], [0, 5e4, 1e5]])
def test_clocks_are_no_ages(time: list[float]) -> None:
    got = for_network(cloud(intensity=[3, 200, 7], time=time), BOTH, NUSCENES)
    assert got.columns["time"].tolist() == [0, 0, 0] and "the file's time runs from" in str(got.notes[1])


def test_a_file_that_has_all_stays_as_it_is() -> None:
    whole = cloud(intensity=[3, 200, 7], time=[0, 0.05, 0.1])
    assert for_network(whole, BOTH, NUSCENES).columns.keys() == whole.columns.keys()
    assert for_network(whole, BOTH, NUSCENES).notes == (Note.from_text("read"),)
    assert for_network(cloud(), (), NUSCENES).notes == (Note.from_text("read"),)
    assert "time" not in for_network(cloud(intensity=[0, 0.5, 1]), ("intensity",), KITTI).columns


def test_an_intensity_that_is_missing_is_asked_for() -> None:
    with pytest.raises(
        DataError, match=r"a\.bin: the points have no intensity.*got x, y, z, ring.*`--columns x,y,z,int"
    ):
        for_network(cloud(ring=[0, 1, 2]), BOTH, NUSCENES)
    with pytest.raises(
        DataError, match=r"no intensity.*got x, y, z, intnsity\. Did you mean 'intensity' by the column 'int"
    ):
        for_network(cloud(intnsity=[0, 1, 2]), BOTH, NUSCENES)


@pytest.mark.parametrize(
    ("data", "values", "seen", "told"),
    [
        ("nuscenes", [0, 0.5, 1], [0, 127.5, 255], "intensities 0 to 1 (the largest is 1) were multiplied by 255"),
        ("nuscenes", [0, 90, 255], [0, 90, 255], None),
        (
            "nuscenes",
            [0, 25700, 65535],
            [0, 100, 255],
            "intensities 0 to 65535 (the largest is 65535) were divided by 257",
        ),
        ("kitti", [0, 51, 255], [0, 0.2, 1], "intensities 0 to 255 (the largest is 255) were divided by 255"),
        (
            "kitti",
            [0, 13107, 60000],
            [0, 0.2, 60000 / 65535],
            "intensities 0 to 65535 (the largest is 60000) were divided",
        ),
        ("kitti", [0, 0.2, 0.99], [0, 0.2, 0.99], None),
        ("point_folder", [0, 90, 65535], [0, 90, 65535], None),
    ],
)
def test_intensities_of_a_known_scale_become_those_of_the_model(
    data: str, values: list[float], seen: list[float], told: str | None
) -> None:
    got = for_network(cloud(intensity=values, ring=[1, 2, 3]), ("intensity",), KNOWN[data])
    assert got.columns["intensity"] == pytest.approx(seen, rel=1e-6) and got.columns["ring"].tolist() == [1, 2, 3]
    assert got.columns["intensity"].dtype == np.float32 and len(got.notes) == 1 + (told is not None)
    assert told is None or str(got.notes[1]).startswith(told)


@pytest.mark.parametrize(
    ("data", "values", "reach"),
    [("nuscenes", [0, 0, 3], "3"), ("nuscenes", [0, 0, 0], "0"), ("kitti", [0, 0, 1e6], "1e+06")],
)
def test_intensities_that_tell_no_scale_stay_and_are_told(data: str, values: list[float], reach: str) -> None:
    got = for_network(cloud(intensity=values), ("intensity",), KNOWN[data])
    assert got.columns["intensity"].tolist() == values
    assert str(got.notes[1]).startswith(f"intensities reach {reach} where the model was") and len(got.notes) == 2


def test_intensities_of_twelve_bits_are_divided_and_told_to_be_dim() -> None:
    got = for_network(cloud(intensity=[0, 9, 2570]), ("intensity",), NUSCENES)
    assert "divided by 257" in str(got.notes[1]) and str(got.notes[2]).startswith("intensities reach 10 where")


def test_points_without_a_finite_feature_are_left_out_and_counted() -> None:
    got = for_network(cloud(intensity=[1, np.nan, 255], ring=[np.inf, 1, 2]), ("intensity",), NUSCENES)
    assert got.xyz[:, 0].tolist() == [0, 6] and got.columns["ring"].tolist() == [np.inf, 2]
    assert str(got.notes[1]) == "1 of 3 points had no finite intensity and were left out"


def test_no_points_are_no_fault() -> None:
    empty = PointCloud(np.zeros((0, 3), np.float32), {"intensity": np.zeros(0, np.float32)})
    assert len(for_network(empty, BOTH, NUSCENES).columns["time"]) == 0


def test_points_out_of_range_and_voxels_beyond_the_limit_are_told() -> None:
    voxels = VoxelSettings(point_range_m=(0, 0, 0, 10, 10, 10), voxel_size_m=(1, 1, 10), max_voxels=2)
    (note,) = unseen(cloud(), voxels)
    assert str(note) == ("the points fill 3 voxels, more than the model's max_voxels: "
                         "2 of them were kept, in no order but the same each time")  # fmt: skip
    assert unseen(cloud(), voxels.model_copy(update={"max_voxels": 3})) == ()
    far = PointCloud(np.full((30, 3), 3000, np.float32))
    (note,) = unseen(far, voxels)
    bounds = "x 0 to 10, y 0 to 10, z 0 to 10 m"
    assert str(note) == f"0 of 30 points lie in what the model sees ({bounds}); see --units and --up"
    assert unseen(PointCloud(np.zeros((0, 3), np.float32)), voxels) == ()
