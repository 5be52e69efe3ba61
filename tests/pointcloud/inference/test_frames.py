"""The clouds of a recording through a detector: sweeps joined by odometry, faults beside, lines that are written."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vol3d
from pointcloud.evaluation.exports import write_frames_csv, writer_of
from pointcloud.inference.frames import join_sweeps, predict_frames
from tests.vol3d.scans.recordings.bags import (
    CLOUD,
    ODOMETRY,
    cloud_message,
    needs_rosbags,
    odometry,
    table_of,
    wall,
    write_bag,
)
from vol3d.errors import DataError, UsageError
from vol3d.prediction import BoxPrediction
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.recordings.recording import open_recording
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.record import read_record
from vol3d.scans.source import ScanSource

needs_rosbags()
PLACE = np.array([[20.0, 5.0, 0.0, 0.5], [-8.0, 3.0, 0.5, 0.5], [0.2, 0.1, 0.0, 0.5]], np.float32)


def drive(path: Path, clouds: int = 4, poses: bool = True) -> Path:
    """A scanner that moves 1 m a cloud past two places that stand still; the third point is the vehicle itself."""
    messages = []
    for number in range(clouds):
        seconds, seen = 1 + 0.1 * number, PLACE - np.array([number, 0, 0, 0], np.float32)
        seen[2] = PLACE[2]
        messages.append(("/points", CLOUD, seconds, cloud_message(table_of(seen), seconds)))
        if poses:
            messages.append(("/odom", ODOMETRY, seconds, odometry(seconds, float(number), child="lidar")))
    return write_bag(path, messages)


def one_box(cloud: PointCloud) -> BoxPrediction:
    """A box at the first point."""
    boxes = np.array([[*cloud.xyz[0], 4, 2, 1.5, 0.3]], np.float32)
    return BoxPrediction(Detections(boxes, np.array([0.9], np.float32), np.array([0]), ("car", "van")), cloud)


def test_what_stands_still_is_in_one_place_in_joined_sweeps(tmp_path: Path) -> None:
    recording = open_recording(drive(tmp_path / "drive"))
    frames = list(recording.frames())
    cloud, sweeps = join_sweeps(frames[3], frames[2::-1], recording.motion)
    assert sweeps == 4 and len(cloud) == 3 + 3 * 2  # the vehicle's own points of earlier sweeps are left out
    for place in (PLACE[0], PLACE[1]):
        near = np.abs(cloud.xyz - (place[:3] - [3, 0, 0])).max(axis=1) < 1e-4
        np.testing.assert_allclose(sorted(cloud.columns["time"][near]), [0, 0.1, 0.2, 0.3], atol=1e-5)
    assert len(cloud.columns["intensity"]) == len(cloud)


def test_sweeps_are_joined_as_the_model_wants_and_noted(tmp_path: Path) -> None:
    found = predict_frames(open_recording(drive(tmp_path / "drive"), every=2), 3, one_box)
    assert [(one.frame.number, one.sweeps, one.points) for one in found.frames] == [(0, 1, 3), (2, 3, 7)]
    assert "1 to 3 sweeps, 1 of 2 clouds" in " ".join(map(str, found.notes))


def test_without_poses_each_cloud_is_alone_and_that_is_noted(tmp_path: Path) -> None:
    found = predict_frames(open_recording(drive(tmp_path / "drive", poses=False)), 10, one_box)
    assert [frame.sweeps for frame in found.frames] == [1, 1, 1, 1]
    (note,) = [note for note in found.notes if note.code == "sweeps-not-joined"]
    assert note.assumed and "no odometry" in str(note)
    assert not [n for n in predict_frames(found.recording, 1, one_box).notes if n.code == "sweeps-not-joined"]


def test_a_scanner_that_no_transform_places_is_not_joined_and_that_is_noted(tmp_path: Path) -> None:
    seen = [("/points", CLOUD, 1 + 0.1 * k, cloud_message(table_of(PLACE), 1 + 0.1 * k, "velodyne")) for k in range(3)]
    moved = [("/odom", ODOMETRY, 1 + 0.1 * k, odometry(1 + 0.1 * k, float(k), child="base")) for k in range(3)]
    found = predict_frames(open_recording(write_bag(tmp_path / "drive", seen + moved)), 3, one_box)
    assert [frame.sweeps for frame in found.frames] == [1, 1, 1]
    (note,) = [note for note in found.notes if note.code == "sweeps-not-joined"]
    assert note.assumed and "how the frame 'velodyne' moved" in str(note)


def test_sweeps_of_before_the_clock_was_set_back_are_not_joined(tmp_path: Path) -> None:
    stamps = [1.0, 1.1, 1.2, 1.0, 1.1, 1.2]
    messages = [("/p", CLOUD, 9 + k, cloud_message(table_of(PLACE), at)) for k, at in enumerate(stamps)]
    messages += [("/odom", ODOMETRY, 9 + k, odometry(at, 0.0, child="lidar")) for k, at in enumerate(stamps[:3])]
    found = predict_frames(open_recording(write_bag(tmp_path / "loop", messages)), 3, one_box)
    assert [(result.frame.number, result.sweeps) for result in found.done] == [(0, 1), (1, 2), (2, 3), (4, 1), (5, 2)]


def test_lines_and_summary_are_written_and_one_bad_cloud_stops_nothing(tmp_path: Path) -> None:
    def picky(cloud: PointCloud) -> BoxPrediction:
        if cloud.xyz[0, 0] == 18:
            raise DataError("not this one")
        return one_box(cloud)

    found = predict_frames(open_recording(drive(tmp_path / "drive")), 1, picky)
    facts = found.facts()
    assert (facts["frames"], facts["failed_frames"], facts["boxes"]) == (3, 1, 3) and facts["ms_a_frame"] >= 0

    found.write(tmp_path / "drive.json")
    lines = [json.loads(line) for line in (tmp_path / "drive.jsonl").read_text("utf-8").splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3] and "not this one" in lines[2]["error"]
    assert lines[1]["objects"][0]["center"] == [19, 5, 0] and lines[1]["time"] == pytest.approx(1.1)
    summary = json.loads((tmp_path / "drive.json").read_text("utf-8"))
    assert summary["topic"] == "/points" and summary["class_names"] == ["car", "van"] and summary["failed_frames"] == 1
    record, _ = read_record(tmp_path / "drive.json")
    assert record is not None and set(record.files) == {"drive.json", "drive.jsonl"}

    write_frames_csv(found, tmp_path / "drive.csv")
    with (tmp_path / "drive.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["class"], float(row["x_m"])) for row in rows] == [
        ("0", "car", 20),
        ("1", "car", 19),
        ("3", "car", 17),
    ]


def test_kittis_text_is_refused_for_a_recording(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not of a recording"):
        writer_of("kitti", ScanSource(drive(tmp_path / "drive"), "drive"), None)


def test_a_whole_recording_is_not_shown(tmp_path: Path) -> None:
    found = predict_frames(open_recording(drive(tmp_path / "drive")), 1, one_box)
    with pytest.raises(UsageError, match="--frame N"):
        found.show()


def test_walls_of_many_points_go_through_unchanged(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "b", [("/p", CLOUD, 1.0, cloud_message(table_of(wall()), 1.0))])
    (frame,) = predict_frames(open_recording(bag), 1, one_box).frames
    assert frame.points == 500 and frame.found is not None and len(frame.found.cloud) == 0


def test_a_frame_is_viewed_with_its_boxes(tmp_path: Path) -> None:
    from vol3d.scans.points.options import ReadOptions
    from vol3d.view.load.read import load_view

    bag = drive(tmp_path / "drive")
    found = predict_frames(open_recording(bag, every=2), 1, one_box)
    found.write(tmp_path / "drive.json")
    scene = load_view([bag, tmp_path / "drive.json"], points=ReadOptions(frame=2))
    np.testing.assert_allclose(scene.boxes[0].detections.boxes[0, :3], [18, 5, 0])
    assert len(scene.points[0].xyz) == 3 and any("frame 2 of 4" in note for note in scene.notes)
    with pytest.raises(DataError, match="frame 1 is not among the predicted"):
        load_view([bag, tmp_path / "drive.json"], points=ReadOptions(frame=1))
    with pytest.raises(UsageError, match="no such frame"):
        load_view([bag], points=ReadOptions(frame=4))


def test_boxes_of_a_camera_frame_are_turned_up_and_say_the_way_back(tmp_path: Path) -> None:
    from pointcloud.tasks.lidar import LidarReadSettings
    from vol3d.scans.points.options import ReadOptions
    from vol3d.view.load.read import load_view

    message = cloud_message(table_of(np.array([[1.0, 2, 9, 0.5], [4, 2, 20, 0.5]])), 1.0, frame="cam_optical_frame")
    bag = write_bag(tmp_path / "drive", [("/points", CLOUD, 1.0, message)])
    task = vol3d.load("street-cars").task  # a model of streets, whose files have z up
    assert (LidarReadSettings().up, LidarReadSettings().up_of_files) == (None, "z")
    recording = task.read(ScanSource(bag, "drive"))
    found = predict_frames(recording, 1, one_box)
    found.write(tmp_path / "drive.json")
    line = json.loads((tmp_path / "drive.jsonl").read_text("utf-8"))
    center = line["objects"][0]["center"]
    np.testing.assert_allclose(center, [1, 9, -2], atol=1e-6)
    np.testing.assert_allclose(np.array(line["file_from_scan"]) @ [*center, 1], [1, 2, 9, 1], atol=1e-6)

    for up in ("auto", "z"):  # whatever is asked for, the points follow the boxes
        scene = load_view([bag, tmp_path / "drive.json"], points=ReadOptions(up=up))
        np.testing.assert_allclose(scene.points[0].xyz[0], [1, 9, -2], atol=1e-6)
    with pytest.raises(UsageError, match="name their own columns"):
        vol3d.load("street-cars").with_options({"columns": "x,y,z,intensity"}).task.read(ScanSource(bag, "drive"))


@pytest.mark.parametrize("way", ["option", "setting"])
def test_an_axis_that_is_asked_for_wins_over_the_frame_of_a_camera_and_is_another_result(
    tmp_path: Path, way: str
) -> None:
    message = cloud_message(table_of(np.array([[1.0, 2, 9, 0.5], [4, 2, 20, 0.5]])), 1.0, frame="cam_optical_frame")
    bag = write_bag(tmp_path / "drive", [("/points", CLOUD, 1.0, message)])
    usual = vol3d.load("street-cars")
    asked = usual.with_options({"up": "z"}) if way == "option" else vol3d.load("street-cars", settings=["predict.up=z"])
    assert (usual.task.settings.predict.up, asked.task.settings.predict.up) == (None, "z")

    (frame,) = asked.task.read(ScanSource(bag, "drive")).frames()
    assert frame.cloud is not None
    np.testing.assert_array_equal(frame.cloud.xyz[0], [1, 2, 9])
    (note,) = [note for note in frame.cloud.notes if note.setting == "up"]
    assert note.code == "up-overridden" and note.value == "z" and "says -y" in str(note)
    assert usual.record.other_than(asked.record) == "other settings: predict.up as trained instead of z"


@pytest.mark.parametrize("option", [{"topic": "/points"}, {"every": 2}])
def test_a_single_file_has_no_topics(tmp_path: Path, option: dict[str, Any]) -> None:
    np.save(tmp_path / "sweep.npy", table_of(PLACE))
    with pytest.raises(UsageError, match="only a recording has topics"):
        task = vol3d.load("street-cars").with_options(option).task
        task.read(ScanSource(tmp_path / "sweep.npy", "sweep"))
