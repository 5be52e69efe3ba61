"""Boxes to JSON and back, and as lines that lie on the scan in the coordinates of its own file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vol3d.errors import DataError, UsageError
from vol3d.notes import Note
from vol3d.scans import Detections, PointCloud, read_detections, write_box_lines, write_detections
from vol3d.scans.results.box_shapes import box_lines, velocity_lines

NOTE = Note("units-assumed", "metres were assumed", "units", "m", assumed=True)
NAMES = ("chair", "table", "Größe")
CHAIR = {"class": "chair", "score": 0.5, "center": [1, 2, 3], "size": [0.5, 0.6, 0.7], "yaw": 1.5}


def detections(count: int, columns: int = 7, seed: int = 0) -> Detections:
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(0.1, 3, (count, columns)).astype(np.float32)
    scores = rng.random(count).astype(np.float32)
    return Detections(boxes, scores, rng.integers(0, 3, count), NAMES, "lidar")


def turned(origin: tuple[float, ...] = (0, 0, 0)) -> PointCloud:
    """A scan whose file is in millimetres with y up."""
    matrix = np.array([[1000, 0, 0, 0], [0, 0, 1000, 0], [0, -1000, 0, 0], [0, 0, 0, 1.0]])
    return PointCloud(np.zeros((1, 3), np.float32), origin=np.array(origin, float), file_from_scan=matrix)


@pytest.mark.parametrize("count", [0, 1, 7])
@pytest.mark.parametrize("columns", [7, 9])
def test_round_trip_is_exact(tmp_path: Path, count: int, columns: int) -> None:
    wanted = detections(count, columns)
    write_detections(tmp_path / "a.json", wanted)
    got = read_detections(tmp_path / "a.json")
    assert np.array_equal(got.boxes, wanted.boxes if count else wanted.boxes[:, :7])
    assert np.array_equal(got.scores, wanted.scores) and np.array_equal(got.labels, wanted.labels)
    assert (got.class_names, got.frame) == (NAMES, "lidar")
    assert got.boxes.dtype == got.scores.dtype == np.float32


@given(st.tuples(*[st.floats(-1e7, 1e7)] * 3))
def test_map_coordinates_keep_their_millimetres(tmp_path_factory: pytest.TempPathFactory, origin: Any) -> None:
    path = tmp_path_factory.mktemp("map") / "a.json"
    wanted = detections(3)
    write_detections(path, wanted, turned(origin))
    assert np.allclose(read_detections(path, np.array(origin)).boxes, wanted.boxes, rtol=0, atol=1e-5)
    written = json.loads(path.read_text())["objects"][0]["center"]
    assert np.allclose(written, wanted.boxes[0, :3] + np.array(origin), rtol=0, atol=1e-5)


def test_the_file_explains_itself(tmp_path: Path) -> None:
    cloud = PointCloud(np.zeros((1, 3), np.float32), source=tmp_path / "room.ply", notes=(NOTE,))
    write_detections(tmp_path / "a.json", detections(1), cloud)
    value = json.loads((tmp_path / "a.json").read_text())
    assert (value["format"], value["units"], value["frame"], value["source"]) == (2, "m", "lidar", "room.ply")
    assert value["assumptions"] == [NOTE.to_dict()] and value["remarks"] == []
    assert value["notes"] == ["metres were assumed"] and value["class_names"] == list(NAMES)
    assert value["file_from_scan"] == np.eye(4).tolist() and "gravity centre" in value["box"]


@pytest.mark.parametrize(
    ("source", "way"),
    [
        ("homes/me/scans/room.ply", "../scans/room.ply"),
        ("homes/me/out/room.ply", "room.ply"),
        ("homes/you/room.ply", None),
        ("/room.ply", None),
    ],
)
def test_the_way_to_the_scan_is_told_unless_it_tells_of_the_machine(
    tmp_path: Path, source: str, way: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "homes" / "me"))
    out = tmp_path / "homes" / "me" / "out"
    out.mkdir(parents=True)
    write_detections(out / "a.json", detections(1), PointCloud(np.zeros((1, 3), np.float32), source=tmp_path / source))
    assert json.loads((out / "a.json").read_text())["source_path"] == way
    assert str(tmp_path) not in (out / "a.json").read_text()
    assert len(read_detections(out / "a.json")) == 1


def test_a_velocity_that_is_not_known_stays_unknown(tmp_path: Path) -> None:
    wanted = detections(2, 9)
    wanted.boxes[0, 7:] = np.nan
    write_detections(tmp_path / "a.json", wanted)
    assert np.array_equal(read_detections(tmp_path / "a.json").boxes, wanted.boxes, equal_nan=True)


def write(path: Path, **changes: Any) -> Path:
    value = {"format": 1, "class_names": list(NAMES), "objects": [CHAIR]} | changes
    path.write_text(json.dumps({key: item for key, item in value.items() if item is not None}))
    return path


def test_what_a_person_writes_needs_no_score_and_no_yaw(tmp_path: Path) -> None:
    item = {"class": "table", "center": [1, 2, 3], "size": [1, 1, 1]}
    got = read_detections(write(tmp_path / "a.json", objects=[item]))
    assert got.boxes.tolist() == [[1, 2, 3, 1, 1, 1, 0]]
    assert (got.names(), got.scores.tolist(), got.frame) == (["table"], [1.0], "scan")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, "another format.*got 3"),
        ({"units": "mm"}, "another unit.*got mm"),
        ({"class_names": ["a", "a"]}, "different names"),
        ({"class_names": [1]}, "different names"),
        ({"class_names": None}, "no 'class_names'"),
        ({"frame": 3}, "frame is no name"),
        ({"boxes": []}, "unknown key 'boxes'"),
        ({"objects": {}}, "objects are no list"),
        ({"objects": [CHAIR, 5]}, r"objects\[1\].*no boxes here"),
        ({"objects": [CHAIR | {"class": "sofa"}]}, r"objects\[0\].*outside class_names.*got sofa"),
        ({"objects": [CHAIR | {"class": ["chair"]}]}, "outside class_names"),
        ({"objects": [CHAIR | {"angle": 1}]}, "unknown key 'angle'"),
        ({"objects": [{"class": "chair", "size": [1, 1, 1]}]}, "no 'center'"),
        ({"objects": [CHAIR | {"center": [1, 2]}]}, "center is not what.*3 numbers"),
        ({"objects": [CHAIR | {"center": [1, 2, "3"]}]}, "center is not what"),
        ({"objects": [CHAIR | {"center": [1, 2, 10**400]}]}, "outside the range of a number"),
        ({"objects": [CHAIR | {"size": [1, 0, 1]}]}, "not positive"),
        ({"objects": [CHAIR | {"size": [1, -2, 1]}]}, "not positive"),
        ({"objects": [CHAIR | {"yaw": True}]}, "yaw is not what.*a number"),
        ({"objects": [CHAIR | {"score": 1.5}]}, "score outside.*1.5"),
        ({"objects": [CHAIR | {"velocity": 3}]}, "velocity is not what.*2 numbers"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=r"a\.json.*" + message):
        read_detections(write(tmp_path / "a.json", **changes))


def test_a_list_instead_of_an_object(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2]")
    with pytest.raises(DataError, match=r"a\.json: no boxes here; got list"):
        read_detections(tmp_path / "a.json")


def test_the_scan_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "scan.ply").write_bytes(b"points")
    cloud = PointCloud(np.zeros((1, 3), np.float32), source=tmp_path / "scan.ply")
    for writer in (write_detections, write_box_lines):
        with pytest.raises(UsageError, match="overwrite the input"):
            writer(tmp_path / "scan.ply", detections(1), cloud)
    assert (tmp_path / "scan.ply").read_bytes() == b"points"


def edges_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ends (E, 2, 3) and colours (E, 3) as another program reads them."""
    open3d = pytest.importorskip("open3d")
    lines = open3d.io.read_line_set(str(path))
    return np.asarray(lines.points)[np.asarray(lines.lines)], np.asarray(lines.colors)


def test_lines_are_the_boxes_edges_and_tell_the_heading(tmp_path: Path) -> None:
    box = np.array([[10, 20, 1, 4, 2, 1.5, np.pi / 2]], np.float32)
    found = Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), ("car",))
    write_box_lines(tmp_path / "a.ply", found)
    ends, colours = edges_of(tmp_path / "a.ply")
    lengths = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    assert np.allclose(sorted(lengths), sorted([4] * 4 + [2] * 4 + [1.5] * 4 + [1]), atol=1e-6)
    assert np.allclose(ends[:12].min((0, 1)), [9, 18, 0.25]) and np.allclose(ends[:12].max((0, 1)), [11, 22, 1.75])
    assert np.allclose(ends[12], [[10, 22, 0.25], [10, 23, 0.25]], atol=1e-6)  # the car heads for +y
    assert len(np.unique(colours, axis=0)) == 1


def test_lines_lie_in_the_files_own_coordinates(tmp_path: Path) -> None:
    box = np.array([[1, 2, 3, 1, 1, 1, 0]], np.float32)
    found = Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), ("a", "b"))
    write_box_lines(tmp_path / "a.ply", found, turned((500_000, 0, 0)))
    ends, _ = edges_of(tmp_path / "a.ply")
    assert np.allclose(ends[:12].mean((0, 1)), [500_001_000, 3000, -2000])


def test_what_moves_has_a_line_to_where_it_is_a_second_later(tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 0, 4, 2, 1, 0, 0, 0], [10, 20, 1, 4, 2, 1.5, 1, 3, -4]], np.float32)
    found = Detections(boxes, np.ones(2, np.float32), np.array([0, 1]), ("car", "bus"))
    write_box_lines(tmp_path / "a.ply", found)
    ends, colours = edges_of(tmp_path / "a.ply")
    assert len(ends) == 27 and np.allclose(ends[26], [[10, 20, 1], [13, 16, 1]])
    assert np.allclose(colours[26], colours[13]) and not np.allclose(colours[26], colours[0])


def test_a_result_and_its_picture_have_the_same_lines(tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 0, 4, 2, 1, 0.3, 5, 0], [10, 20, 1, 4, 2, 1.5, 1, 3, -4]], np.float32)
    write_box_lines(tmp_path / "a.ply", Detections(boxes, np.ones(2, np.float32), np.array([0, 1]), ("car", "bus")))
    ends, _ = edges_of(tmp_path / "a.ply")
    np.testing.assert_array_equal(ends[:26].reshape(2, 13, 2, 3), box_lines(boxes))
    np.testing.assert_array_equal(ends[26:], velocity_lines(boxes)[1])


def test_results_are_written_without_torch_and_without_the_viewer() -> None:
    code = "import sys, vol3d.scans; print([m for m in sys.modules if m.startswith(('torch', 'vol3d.view'))])"
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert got.stdout.strip() == "[]"


@pytest.mark.parametrize("count", [0, 3])
def test_lines_of_any_number_of_boxes(tmp_path: Path, count: int) -> None:
    write_box_lines(tmp_path / "a.ply", detections(count, 7))
    assert f"element edge {13 * count}\n".encode() in (tmp_path / "a.ply").read_bytes()
    if count:
        assert len(edges_of(tmp_path / "a.ply")[0]) == 39
