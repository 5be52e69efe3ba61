"""Recordings: layouts of clouds, topics, stamps, damage, and the way to the clouds' poses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.vol3d.scans.recordings.bags import (
    CLOUD,
    ODOMETRY,
    TF,
    cloud_message,
    needs_rosbags,
    odometry,
    table_of,
    transforms,
    wall,
    write_bag,
)
from vol3d.errors import DataError, UsageError
from vol3d.scans.digest import scan_sha256
from vol3d.scans.points.options import ReadOptions
from vol3d.scans.points.scan import scan_of
from vol3d.scans.recordings.find import is_recording, recording_stem, split_recordings
from vol3d.scans.recordings.motion import FrameTree
from vol3d.scans.recordings.point_cloud2 import points_of_message
from vol3d.scans.recordings.recording import open_recording
from vol3d.scans.source import ScanSource

needs_rosbags()


def clouds(seconds: list[float], topic: str = "/points") -> list[Any]:
    return [
        (topic, CLOUD, 100 + number * 0.1, cloud_message(table_of(wall(seed=number)), at))
        for number, at in enumerate(seconds)
    ]


@pytest.mark.parametrize("mcap", [False, True])
def test_a_bag_gives_back_the_clouds_that_were_written(tmp_path: Path, mcap: bool) -> None:
    bag = write_bag(tmp_path / "drive", clouds([1.0, 1.1, 1.2]), mcap)
    recording = open_recording(bag)
    frames = list(recording.frames())
    assert recording.count == 3 and [frame.seconds for frame in frames] == pytest.approx([1.0, 1.1, 1.2])
    for number, frame in enumerate(frames):
        assert frame.cloud is not None and frame.frame_id == "lidar"
        np.testing.assert_array_equal(frame.cloud.xyz, wall(seed=number).astype(np.float32)[:, :3])
        np.testing.assert_array_equal(frame.cloud.columns["intensity"], wall(seed=number).astype(np.float32)[:, 3])
    assert [note.code for note in recording.notes] == ["topic-chosen"] and "/points" in str(recording.notes[0])


@pytest.mark.parametrize("mcap", [False, True])
def test_the_storage_file_alone_is_a_recording(tmp_path: Path, mcap: bool) -> None:
    bag = write_bag(tmp_path / "drive", clouds([1.0, 1.1]), mcap)
    file = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    assert is_recording(file) and recording_stem(file) == "drive"
    assert len(list(open_recording(file).frames())) == 2


@pytest.mark.parametrize("packed", ["message", "storage"])
def test_compressed_bags_are_read(tmp_path: Path, packed: str) -> None:
    bag = write_bag(tmp_path / "drive", clouds([1.0, 1.1]), mcap=packed == "storage", packed=packed)
    assert [len(frame.cloud or ()) for frame in open_recording(bag).frames()] == [500, 500]


def test_every_layout_of_a_cloud() -> None:
    padded = np.dtype(
        {"names": ["x", "y", "z", "ring", "t"], "formats": [">f8", ">f4", ">i2", ">u2", ">u4"],
         "offsets": [4, 12, 16, 20, 24], "itemsize": 31}
    )  # fmt: skip
    table = np.zeros(12, padded)
    for number, name in enumerate(padded.names or ()):
        table[name] = np.arange(12) + number
    table["y"][5] = np.nan
    message = cloud_message(table, 0.0, big=True, height=3, row_padding=7)
    raw = points_of_message(message, Path("bag"))
    assert sorted(raw.fields) == ["ring", "scan_time", "x", "y", "z"]
    np.testing.assert_array_equal(raw.fields["scan_time"], np.arange(12) + 4)

    cloud = scan_of(raw, Path("bag"), ReadOptions())
    keep = np.arange(12) != 5
    np.testing.assert_array_equal(cloud.xyz[:, 2], (np.arange(12) + 2)[keep])
    np.testing.assert_array_equal(cloud.columns["ring"], (np.arange(12) + 3)[keep])
    assert "1 of 12 points" in " ".join(map(str, cloud.notes))


def test_a_frame_of_a_camera_is_turned_up() -> None:
    message = cloud_message(table_of(np.array([[1.0, 2.0, 3.0, 0.5]])), 0.0, frame="camera_optical_frame")
    cloud = scan_of(points_of_message(message, Path("bag")), Path("bag"), ReadOptions())
    np.testing.assert_allclose(cloud.xyz, [[1, 3, -2]])  # right, forward, up


@pytest.mark.parametrize(
    ("attribute", "value", "says"),
    [("row_step", 3, "shorter"), ("width", 600, "shorter"), ("point_step", 12, "leaves its point")],
)
def test_sizes_that_contradict_each_other_are_refused(attribute: str, value: int, says: str) -> None:
    message = cloud_message(table_of(wall()), 0.0, height=2)
    object.__setattr__(message, attribute, value)
    with pytest.raises(DataError, match=says):
        points_of_message(message, Path("bag"))


def test_fields_without_meaning_are_refused() -> None:
    message = cloud_message(table_of(wall()), 0.0)
    object.__setattr__(message.fields[3], "datatype", 9)
    with pytest.raises(DataError, match="no known type"):
        points_of_message(message, Path("bag"))
    object.__setattr__(message, "fields", message.fields[:2])
    with pytest.raises(DataError, match="no field z"):
        points_of_message(message, Path("bag"))


def test_an_empty_cloud_and_a_damaged_one_and_a_clock_that_runs_backwards_stop_nothing(tmp_path: Path) -> None:
    messages = clouds([1.0, 1.1, 0.5, 1.2])
    messages.insert(1, ("/points", CLOUD, 100.05, b"\0\1\0\0no cloud"))
    messages.insert(2, ("/points", CLOUD, 100.06, cloud_message(table_of(np.zeros((0, 4))), 1.05)))
    frames = list(open_recording(write_bag(tmp_path / "drive", messages)).frames())
    assert [frame.cloud is not None for frame in frames] == [True, False, False, True, False, True]
    recording = open_recording(write_bag(tmp_path / "far", clouds([1.0, 1e9, 1.2, 1.3])))  # one stamp is wrong
    assert [frame.cloud is not None for frame in recording.frames()] == [True, True, False, True]
    said = [frame.error or "" for frame in frames]
    assert "no sensor_msgs" in said[1] and "no points" in said[2] and "backwards" in said[4]


def test_the_wrong_topic_and_several_and_none(tmp_path: Path) -> None:
    two = write_bag(tmp_path / "two", clouds([1.0], "/front") + clouds([1.0], "/rear"))
    with pytest.raises(UsageError, match=r"several topics.*/front \(1\), /rear \(1\).*--topic"):
        open_recording(two)
    assert open_recording(two, "/rear").notes == ()
    with pytest.raises(UsageError, match="no such topic"):
        open_recording(two, "/top")

    none = write_bag(tmp_path / "none", [("/odom", ODOMETRY, 1.0, odometry(1.0, 0.0))])
    with pytest.raises(DataError, match=r"no clouds.*/odom"):
        open_recording(none)
    with pytest.raises(UsageError, match="messages of type nav_msgs"):
        open_recording(none, "/odom")


@pytest.mark.parametrize("mcap", [False, True])
def test_a_cut_recording_is_one_clear_error(tmp_path: Path, mcap: bool) -> None:
    bag = write_bag(tmp_path / "drive", clouds([1.0, 1.1, 1.2, 1.3]), mcap)
    file = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match="cannot be read"):
        frames = list(open_recording(bag).frames())
        raise DataError(f"cannot be read: {frames[-1].error}" if frames[-1].error else "no error at all")


def test_no_recording_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"not a recording")
    with pytest.raises(DataError, match=r"a\.mcap: the recording cannot be read"):
        open_recording(tmp_path / "a.mcap")


def test_folders_are_searched_and_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "in" / "deep" / "drive", clouds([1.0]))
    np.save(tmp_path / "in" / "scan.npy", wall())
    assert split_recordings([tmp_path / "in"]) == ([bag], [tmp_path / "in"])
    assert split_recordings([bag]) == ([bag], [])
    before = scan_sha256(ScanSource(bag, "drive"))
    (bag / "metadata.yaml").write_text((bag / "metadata.yaml").read_text("utf-8") + "\n", "utf-8")
    assert scan_sha256(ScanSource(bag, "drive")) != before


def test_poses_go_through_transforms_and_odometry(tmp_path: Path) -> None:
    messages = clouds([1.0, 1.2])
    messages += [("/odom", ODOMETRY, 100 + k, odometry(1.0 + k, 10.0 * k)) for k in (0.0, 0.2, 0.4)]
    messages += [("/tf_static", TF, 100.0, transforms(0.0, "base", "lidar", (0.5, 0.0, 1.8)))]
    tree = open_recording(write_bag(tmp_path / "drive", messages)).motion
    found = tree.pose("lidar", 1.1)
    assert found is not None and found[0] == "odom" and tree.any_moves
    np.testing.assert_allclose(found[1][:3, 3], [1.5, 0.0, 1.8], atol=1e-9)
    assert tree.pose("lidar", 9.0) is None  # long after the last pose


def test_turns_are_interpolated_evenly_and_loops_end() -> None:
    tree = FrameTree()
    for at, angle in ((0.0, 0.0), (0.4, np.pi / 2)):
        tree.add("world", "base", at, (0, 0, 0), (0, 0, np.sin(angle / 2), np.cos(angle / 2)))
    found = tree.pose("base", 0.1)
    assert found is not None
    assert np.arctan2(found[1][1, 0], found[1][0, 0]) == pytest.approx(np.pi / 8)
    tree.add_static("base", "world", (0, 0, 0), (0, 0, 0, 1))
    assert tree.pose("base", 0.1) is None


def test_a_frame_that_nothing_moves_has_no_pose(tmp_path: Path) -> None:
    messages = clouds([1.0, 1.2])  # in the frame lidar, which no transform leads to
    messages += [("/odom", ODOMETRY, 100 + k, odometry(1.0 + k, 10.0 * k)) for k in (0.0, 0.2, 0.4)]
    tree = open_recording(write_bag(tmp_path / "drive", messages)).motion
    assert tree.any_moves and tree.pose("base", 1.1) is not None
    assert tree.pose("lidar", 1.1) is None and tree.pose("odom", 1.1) is None


def test_of_two_odometries_one_counts_and_transforms_before_both(tmp_path: Path) -> None:
    messages = [("/drift", ODOMETRY, 100.0, odometry(0.9, 70.0))]
    messages += [("/odom", ODOMETRY, 100 + k, odometry(1.0 + k, 10.0 * k)) for k in (0.0, 0.2, 0.4)]
    messages += [("/drift", ODOMETRY, 100 + k, odometry(1.1 + k, 70 + 10.0 * k)) for k in (0.0,)]
    tree = open_recording(write_bag(tmp_path / "two", messages + clouds([1.0]))).motion
    found = tree.pose("base", 1.1)
    assert found is not None and found[1][0, 3] == pytest.approx(1.0) and tree.left_out == {"/drift"}
    messages += [("/tf", TF, 101.0, transforms(1.0 + k, "map", "base", (3.0, 0, 0))) for k in (0.0, 0.2)]
    found = open_recording(write_bag(tmp_path / "three", messages + clouds([1.0]))).motion.pose("base", 1.1)
    assert found is not None and found[0] == "map" and found[1][0, 3] == pytest.approx(3.0)


def test_the_correction_of_a_map_is_not_waited_for(tmp_path: Path) -> None:
    messages = [*clouds([1.0]), ("/tf", TF, 100.0, transforms(0.0, "map", "robot/odom", (5.0, 0, 0)))]
    messages += [("/odom", ODOMETRY, 101 + k, odometry(5.0 + k, 10.0 * k, parent="robot/odom")) for k in (0.0, 0.2)]
    found = open_recording(write_bag(tmp_path / "drive", messages)).motion.pose("base", 5.1)
    assert found is not None and found[0] == "robot/odom" and found[1][0, 3] == pytest.approx(1.0)


def test_poses_that_are_none_are_left_out_as_tf_does(tmp_path: Path) -> None:
    zero, far = odometry(1.0, 0.0), odometry(1.1, float("nan"))
    object.__setattr__(zero.pose.pose.orientation, "w", 0.0)  # as before the first estimate
    messages = [("/odom", ODOMETRY, 100.0, zero), ("/odom", ODOMETRY, 100.1, far)]
    messages += [("/odom", ODOMETRY, 100 + k, odometry(1.0 + k, 10.0 * k)) for k in (0.2, 0.4)]
    tree = open_recording(write_bag(tmp_path / "drive", messages + clouds([1.0]))).motion
    found = tree.pose("base", 1.3)
    assert found is not None and found[1][0, 3] == pytest.approx(3.0)
