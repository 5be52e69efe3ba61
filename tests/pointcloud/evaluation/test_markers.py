"""MCAP files of markers, read by rosbags and by the `mcap` package: boxes, frames, stamps and log times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointcloud.evaluation.exports import SUFFIXES, writer_of
from pointcloud.evaluation.markers import MESSAGE, TOPIC, place, write_markers
from pointcloud.inference.frames import predict_frames
from tests.vol3d.scans.recordings.bags import CLOUD, cloud_message, needs_rosbags, table_of, wall, write_bag
from vol3d.errors import DataError, UsageError
from vol3d.prediction import BoxPrediction
from vol3d.recording_prediction import FrameResult, FramesPrediction
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.recordings.find import recordings_in
from vol3d.scans.recordings.recording import Frame, open_recording
from vol3d.scans.results.detections import Detections
from vol3d.scans.source import ScanSource

needs_rosbags()
BOXES = np.array([[10, -2, 0.5, 4, 1.8, 1.5, 0.25, 3, 4], [-3, 7.5, 0.9, 5, 2, 2.2, -3.0, 0, np.nan]], np.float32)
STAMPS = (1_700_000_000.123456789, 1_700_000_000.2, 1_700_000_000.3)
RECORDED = (1_700_000_005_000_000_001, 1_700_000_005_100_000_002, 1_700_000_005_200_000_003)
ARROW, CUBE, TEXT, DELETE_ALL = 0, 1, 9, 3


def bag(path: Path, frame: str = "lidar") -> Path:
    """Three clouds; log times that a float of seconds cannot hold, written as bytes of nanoseconds."""
    store = needs_rosbags()
    from rosbags.rosbag2 import StoragePlugin, Writer

    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection("/points", CLOUD, typestore=store)
        for number, (stamp, recorded) in enumerate(zip(STAMPS, RECORDED, strict=True)):
            message = cloud_message(table_of(wall(seed=number)), stamp, frame)
            message.header.stamp.nanosec = 123_456_789 + number
            writer.write(topic, recorded, store.serialize_cdr(message, CLOUD))
    return path


def two_boxes(cloud: PointCloud) -> BoxPrediction:
    scores = np.array([0.9, 0.4], np.float32)
    return BoxPrediction(Detections(BOXES, scores, np.array([0, 1]), ("car", "van")), cloud)


def predicted(path: Path, every: int = 1) -> FramesPrediction:
    def found(cloud: PointCloud) -> BoxPrediction:
        if np.array_equal(cloud.xyz, wall(seed=1).astype(np.float32)[:, :3]):
            raise DataError("not this one")
        return two_boxes(cloud)

    return predict_frames(open_recording(path, every=every), 1, found)


def read_with_rosbags(path: Path) -> list[tuple[int, Any]]:
    from rosbags.rosbag2 import Reader

    with Reader(path) as reader:
        assert [(one.topic, one.msgtype) for one in reader.connections] == [(TOPIC, MESSAGE)]
        return [(at, needs_rosbags().deserialize_cdr(data, one.msgtype)) for one, at, data in reader.messages()]


def read_with_mcap(path: Path) -> list[tuple[int, Any]]:
    """By another library, with the definitions of the messages that stand in the file itself."""
    reader = pytest.importorskip("mcap.reader", reason="the package `mcap` is not installed")
    decoder = pytest.importorskip("mcap_ros2.decoder", reason="the package `mcap-ros2-support` is not installed")
    with path.open("rb") as file:
        read = reader.make_reader(file, decoder_factories=[decoder.DecoderFactory()])
        rows = list(read.iter_decoded_messages())
    assert all((schema.name, channel.topic) == (MESSAGE, TOPIC) for schema, channel, _, _ in rows)
    return [(message.log_time, decoded) for _, _, message, decoded in rows]


def numbers(*values: Any) -> list[float]:
    return [getattr(value, axis) for value in values for axis in ("x", "y", "z", "w") if hasattr(value, axis)]


@pytest.mark.parametrize("read", [read_with_rosbags, read_with_mcap])
def test_other_readers_find_the_boxes_at_the_times_of_the_clouds(tmp_path: Path, read: Any) -> None:
    write_markers(predicted(bag(tmp_path / "drive")), tmp_path / "drive.boxes.mcap")
    found = read(tmp_path / "drive.boxes.mcap")
    assert [at for at, _ in found] == list(RECORDED)
    for number, (_, message) in enumerate(found):
        first, *drawn = message.markers
        assert first.action == DELETE_ALL and first.header.frame_id == "lidar"
        assert (first.header.stamp.sec, first.header.stamp.nanosec) == (1_700_000_000, 123_456_789 + number)
        cubes = [one for one in drawn if one.type == CUBE]
        assert [one.ns for one in cubes] == ([] if number == 1 else ["car", "van"])  # the second cloud failed
        for cube, box in zip(cubes, BOXES.astype(np.float64), strict=bool(cubes)):
            turn = [0, 0, np.sin(box[6] / 2), np.cos(box[6] / 2)]
            got = np.array(numbers(cube.pose.position, cube.scale, cube.pose.orientation))
            np.testing.assert_allclose(got[:6], box[:6], atol=1e-6)
            assert abs(np.dot(got[6:], turn)) == pytest.approx(1)
    texts = [one for one in found[0][1].markers if one.type == TEXT]
    assert [one.text for one in texts] == ["car 0.900", "van 0.400"]
    assert numbers(texts[0].pose.position)[:3] == pytest.approx([10, -2, 0.5 + 0.75 + 0.6], abs=1e-5)
    (moving,) = [one for one in found[0][1].markers if one.ns == "velocities"]
    assert moving.id == 0 and numbers(*moving.points) == pytest.approx([10, -2, 0.5, 13, 2, 0.5])
    headings = [one for one in found[0][1].markers if one.ns == "headings"]
    assert [one.id for one in headings] == [0, 1] and {one.type for one in headings} == {ARROW}


def test_boxes_of_a_cameras_cloud_are_in_its_own_axes(tmp_path: Path) -> None:
    frames = predict_frames(open_recording(bag(tmp_path / "drive", "camera_optical_frame")), 1, two_boxes)
    result = frames.frames[0].found
    assert result is not None
    placed = place(result)
    np.testing.assert_allclose(placed.centers, result.cloud.in_file(BOXES[:, :3]))
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_quat(placed.quaternions).as_matrix()
    np.testing.assert_allclose(turns[:, :, 2], [[0, -1, 0]] * 2, atol=1e-7)  # up is -y of the camera
    eyes = np.array([[np.cos(yaw), np.sin(yaw), 0] for yaw in BOXES[:, 6]])
    np.testing.assert_allclose(turns[:, :, 0], eyes @ result.cloud.file_from_scan[:3, :3].T, atol=1e-6)
    np.testing.assert_allclose(placed.sizes, BOXES[:, 3:6], atol=1e-6)


def test_no_box_and_one_cloud_are_a_file_too(tmp_path: Path) -> None:
    def nothing(cloud: PointCloud) -> BoxPrediction:
        empty = np.zeros((0, 7), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        return BoxPrediction(Detections(*empty, ("car",)), cloud)

    one = write_bag(tmp_path / "one", [("/p", CLOUD, 1.0, cloud_message(table_of(wall()), 1.0))])
    write_markers(predict_frames(open_recording(one), 1, nothing), tmp_path / "one.boxes.mcap")
    ((at, message),) = read_with_rosbags(tmp_path / "one.boxes.mcap")
    assert at == 1_000_000_000 and [marker.action for marker in message.markers] == [DELETE_ALL]


def test_a_recording_that_breaks_off_ends_with_its_last_cloud(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "d", [("/p", CLOUD, 1.0, cloud_message(table_of(wall()), 1.0))])
    found = predict_frames(open_recording(path), 1, two_boxes)
    broken = FrameResult(Frame(1, 0, None, error="the recording cannot be read"), error="the recording cannot be read")
    found = replace(found, frames=(*found.frames, broken))
    write_markers(found, tmp_path / "d.boxes.mcap")
    assert [at for at, _ in read_with_rosbags(tmp_path / "d.boxes.mcap")] == [1_000_000_000]


def test_what_was_written_is_taken_for_no_recording(tmp_path: Path) -> None:
    path = bag(tmp_path / "drive")
    write_markers(predicted(path), tmp_path / f"drive{SUFFIXES['mcap']}")
    assert recordings_in(tmp_path) == [path]
    with pytest.raises(DataError, match=r"the recording has no clouds.*/vol3d/boxes"):  # where it is named
        open_recording(tmp_path / "drive.boxes.mcap")


@pytest.mark.parametrize("name", ["mcap", "rrd"])
def test_formats_of_recordings_are_refused_for_single_sweeps(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is of a recording, not of a single sweep"):
        writer_of(name, ScanSource(tmp_path / "a.pcd", "a"), None)
