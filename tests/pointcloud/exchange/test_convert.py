"""Labels of other tools: known values in each format's own convention, round trips, bad files."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pointcloud.exchange.convert import FORMATS, convert_labels, missing_clouds
from pointcloud.exchange.scenes import LabelledBox, LabelledScene
from vol3d.errors import DataError, UsageError

CAR = LabelledBox("car", (10.0, -2.0, 0.5), (4.0, 1.8, 1.5), 0.25)
VAN = LabelledBox("van", (-3.0, 7.5, 0.9), (5.0, 2.0, 2.2), -3.0)
SCENES = [LabelledScene("a.pcd", (CAR, VAN)), LabelledScene("b.pcd", ())]


def close(one: LabelledBox, other: LabelledBox) -> bool:
    same = [*one.center, *one.size, one.yaw] == pytest.approx([*other.center, *other.size, other.yaw], abs=2e-6)
    return one.name == other.name and same


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_back_what_it_was_given(tmp_path: Path, name: str) -> None:
    FORMATS[name].write(SCENES, tmp_path)
    found = FORMATS[name].read(tmp_path)
    own = {"kitti": ".bin", "openpcdet": ".npy", "nuscenes": ".pcd.bin"}.get(
        name, ".pcd"
    )  # of labels that name no file
    assert [scene.file for scene in found] == [f"a{own}", f"b{own}"] and found[1].boxes == ()
    assert all(close(one, other) for one, other in zip(found[0].boxes, (CAR, VAN), strict=True))


@pytest.mark.parametrize("name", FORMATS)
def test_over_every_format_and_back(tmp_path: Path, name: str) -> None:
    FORMATS["point_folder"].write(SCENES, tmp_path)
    counts = convert_labels(tmp_path / "boxes.json", "point_folder", name, tmp_path / "other")
    assert counts == {"": 2, "car": 1, "van": 1}
    convert_labels(tmp_path / "other", name, "point_folder", tmp_path / "back")
    value = json.loads((tmp_path / "back" / "boxes.json").read_text("utf-8"))
    assert value["class_names"] == ["car", "van"] and len(value["scenes"]) == 2
    assert next(iter(value["scenes"].values()))[0]["yaw"] == pytest.approx(0.25, abs=2e-6)


@pytest.mark.parametrize("name", FORMATS)
def test_labels_under_another_name_are_refused_and_the_right_one_is_given(tmp_path: Path, name: str) -> None:
    (tmp_path / "labels").mkdir()
    FORMATS[name].write(SCENES, tmp_path / "labels")
    for other in (one for one in FORMATS if one != name):
        with pytest.raises(DataError, match=f"give --from {name}[.]"):
            convert_labels(tmp_path / "labels", other, "point_folder", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_data_set_that_is_no_format_of_labels_is_named(tmp_path: Path) -> None:
    (tmp_path / "set" / "scans" / "scene0000_00").mkdir(parents=True)
    with pytest.raises(DataError, match="looks like the data set scannet, whose boxes are not converted"):
        convert_labels(tmp_path / "set", "cvat", "point_folder", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no label file in this folder") as caught:
        convert_labels(tmp_path / "empty", "cvat", "point_folder", tmp_path / "out")
    assert "another format" not in str(caught.value)


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), "utf-8")
    return path


def test_labelcloud_turns_in_degrees(tmp_path: Path) -> None:
    box = {"name": "cart", "centroid": {"x": 1, "y": 2, "z": 3}, "dimensions": {"length": 4, "width": 2, "height": 1}}
    value = {
        "folder": "pointclouds",
        "filename": "a.ply",
        "path": "",
        "objects": [{**box, "rotations": {"x": 0, "y": 0, "z": 270}}],
    }
    (scene,) = FORMATS["labelcloud"].read(written(tmp_path / "a.json", value))
    assert scene.file == "a.ply" and close(scene.boxes[0], LabelledBox("cart", (1, 2, 3), (4, 2, 1), -math.pi / 2))


@pytest.mark.parametrize(
    ("name", "angle", "other"), [("labelcloud", -1.5, "labelcloud_rel"), ("labelcloud_rel", 90.0, "labelcloud")]
)
def test_angles_in_the_other_unit_are_refused(tmp_path: Path, name: str, angle: float, other: str) -> None:
    box = {"name": "cart", "centroid": {"x": 1, "y": 2, "z": 3}, "dimensions": {"length": 4, "width": 2, "height": 1}}
    value = {"filename": "a.ply", "objects": [{**box, "rotations": {"x": 0, "y": 0, "z": angle}}]}
    path = written(tmp_path / "a.json", value)
    with pytest.raises(DataError, match=rf"--from {other}\."):
        FORMATS[name].read(path)
    assert len(FORMATS[other].read(path)) == 1


@pytest.mark.parametrize("name", ["openpcdet", "sustechpoints", "cvat", "kitti"])
def test_degrees_where_a_format_has_radians_are_refused(tmp_path: Path, name: str) -> None:
    FORMATS[name].write([LabelledScene("a.pcd", (replace(CAR, yaw=45.0),))], tmp_path / "labels")
    if name == "kitti":  # which turns the other way, so that the file's own number is changed
        (file,) = (tmp_path / "labels").rglob("label_2/a.txt")
        file.write_text(f"{file.read_text().rsplit(' ', 1)[0]} 45\n")
    with pytest.raises(DataError, match="of more than a turn"):
        convert_labels(tmp_path / "labels", name, "labelcloud", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_supervisely_has_the_length_along_y(tmp_path: Path) -> None:
    geometry = {"position": {"x": 5, "y": 0, "z": 0}, "rotation": {"x": 0, "y": 0, "z": math.pi / 2}}
    geometry["dimensions"] = {"x": 1.8, "y": 3.9, "z": 1.6}
    figure = {"key": "f", "objectKey": "o", "geometryType": "cuboid_3d", "geometry": geometry}
    value = {"objects": [{"key": "o", "classTitle": "car"}], "figures": [figure]}
    (scene,) = FORMATS["supervisely"].read(written(tmp_path / "a.pcd.json", value))
    assert scene.file == "a.pcd" and close(scene.boxes[0], LabelledBox("car", (5, 0, 0), (3.9, 1.8, 1.6), 0.0))
    value["figures"][0]["geometryType"] = "point_cloud"
    with pytest.raises(DataError, match="no box"):
        FORMATS["supervisely"].read(written(tmp_path / "a.pcd.json", value))


def test_bad_files_are_one_clear_error_and_nothing_is_written(tmp_path: Path) -> None:
    other = written(tmp_path / "x.json", [{"label": "car"}])
    for name in FORMATS:
        with pytest.raises(DataError, match=r"x\.json"):
            convert_labels(other, name, "point_folder", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    tilted = [
        {
            "obj_id": "1",
            "obj_type": "Car",
            "psr": {part: {"x": 1, "y": 1, "z": 1} for part in ("position", "scale", "rotation")},
        }
    ]
    with pytest.raises(DataError, match=r"tilted; got 57\.3 degrees"):
        FORMATS["sustechpoints"].read(written(tmp_path / "y.json", tilted))
    for part, value, says in (
        ("scale", 0, "not positive"),
        ("position", None, "no finite"),
        ("position", True, "no finite"),
    ):
        tilted[0]["psr"]["rotation"] = {"x": 0, "y": 0, "z": 0}
        changed = json.loads(json.dumps(tilted))
        changed[0]["psr"][part]["x"] = value
        with pytest.raises(DataError, match=says):
            FORMATS["sustechpoints"].read(written(tmp_path / "y.json", changed))


def test_what_cannot_be_converted(tmp_path: Path) -> None:
    FORMATS["point_folder"].write(SCENES, tmp_path)
    with pytest.raises(UsageError, match="no such format"):
        convert_labels(tmp_path, "point_folder", "vott", tmp_path / "out")
    with pytest.raises(UsageError, match="not empty"):
        convert_labels(tmp_path, "point_folder", "cvat", tmp_path)
    with pytest.raises(UsageError, match="has its boxes already"):
        convert_labels(tmp_path, "point_folder", "point_folder", tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        convert_labels(tmp_path / "none", "cvat", "point_folder", tmp_path / "out")
    with pytest.raises(DataError, match="no label file"):
        convert_labels((tmp_path / "empty").mkdir() or tmp_path / "empty", "labelcloud", "cvat", tmp_path / "out")


def test_labels_come_to_the_folder_that_holds_the_clouds(tmp_path: Path) -> None:
    labels, clouds = tmp_path / "labels", tmp_path / "points"
    FORMATS["openpcdet"].write([replace(scene, file=f"{n}.npy") for scene in SCENES for n in "abc"][:5], tmp_path)
    clouds.mkdir(exist_ok=True)
    (clouds / "a.npy").write_bytes(b"")
    convert_labels(labels, "openpcdet", "point_folder", clouds)
    value = json.loads((clouds / "boxes.json").read_text("utf-8"))
    assert missing_clouds(clouds) == sorted(value["scenes"])[1:] and value["validation"] == ["c.npy"]


@pytest.mark.parametrize("name", [17, "", "../../a.pcd", "/a.pcd"])
def test_names_of_clouds_that_lead_elsewhere_are_refused(tmp_path: Path, name: Any) -> None:
    path = written(tmp_path / "a.json", {"filename": name, "objects": []})
    with pytest.raises(DataError, match="no usable name"):
        convert_labels(path, "labelcloud", "supervisely", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_clouds_in_folders_reach_every_format(tmp_path: Path) -> None:
    FORMATS["point_folder"].write([LabelledScene("up/a.pcd", (CAR,))], tmp_path)
    for name in FORMATS:
        convert_labels(tmp_path, "point_folder", name, tmp_path / "out" / name)
        (scene,) = FORMATS[name].read(tmp_path / "out" / name)
        assert scene.stem == "a" and close(scene.boxes[0], CAR)


def test_an_annotation_of_cvat_without_a_label_is_one_clear_error(tmp_path: Path) -> None:
    one = {"type": "cuboid_3d", "label_id": None, "position": [1, 2, 3], "rotation": [0, 0, 0], "scale": [4, 2, 1]}
    value = {"categories": {"label": {"labels": [{"name": "car"}]}}, "items": [{"id": "a", "annotations": [one]}]}
    with pytest.raises(DataError, match="no box; got cuboid_3d of label None"):
        FORMATS["cvat"].read(written(tmp_path / "a.json", value))
