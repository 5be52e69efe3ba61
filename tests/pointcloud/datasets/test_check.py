"""`check` finds each fault that was put in, and nothing in a clean set; `stats` counts what is there."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from pointcloud.datasets.check import check
from pointcloud.datasets.findings import wall_direction_deg
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.datasets.prepare import prepare
from pointcloud.datasets.scannet.dataset import ScanNetSettings
from pointcloud.datasets.scenes import Scene, SceneSplit, annotated
from pointcloud.datasets.stats import stats, tables
from tests.pointcloud.datasets.makers import alignment, edit_boxes, room, write_point_folder, write_scannet
from vol3d.errors import DataError
from vol3d.scans.points.cloud import PointCloud


class Made:
    """A reader of a scene that a test made."""

    def __init__(self, name: str, xyz: np.ndarray, boxes: list, labels: list, frame: str = "scan") -> None:
        cloud = PointCloud(np.asarray(xyz, np.float32).reshape(-1, 3))
        self.name, self.scene = name, Scene(name, cloud, annotated(boxes, labels, ("chair", "bed"), frame))

    def read(self) -> Scene:
        return self.scene

    def labels(self) -> np.ndarray:
        return self.scene.truth.labels

    def fingerprint(self, quick: bool = False) -> str:
        return self.name


def furnished(name: str, seed: int, change=lambda boxes: boxes) -> Made:
    """Ten turned beds and chairs, full of points, of the sizes that such things have; `change` to their boxes."""
    rng = np.random.default_rng(seed)
    boxes, labels, parts = [], [], []
    for number in range(10):
        size = ((0.59, 0.55, 0.83), (2.11, 1.62, 0.93))[number % 2] * rng.uniform(0.9, 1.1, 3)
        yaw, centre = rng.uniform(0.3, 1.2), np.array([3.0 * number, 0, size[2] / 2])
        turn = np.array([[math.cos(yaw), math.sin(yaw), 0], [-math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
        parts.append(rng.uniform(-0.5, 0.5, (400, 3)) * size @ turn + centre)
        boxes.append([*centre, *size, yaw])
        labels.append(number % 2)
    return Made(name, np.concatenate(parts), change(np.array(boxes)).tolist(), labels)


def said(*readers: Made, validation: tuple = ()) -> list[str]:
    split = SceneSplit("mine", ("chair", "bed"), readers, validation)
    return [f"{fault.severity} {fault.case}: {fault.what}" for fault in check(split, 0)]


def test_clean_sets_have_no_fault(tmp_path: Path) -> None:
    assert said(furnished("a", 0), furnished("b", 1), validation=(furnished("c", 2),)) == []
    split = ScanNetSettings(root=write_scannet(tmp_path)).split()
    (fault,) = check(split, 0)
    assert fault.what.startswith("no training scene has a box of 15 classes: cabinet, bed") and fault.case == "ScanNet"


def test_training_without_validation_is_told_before_it_fails() -> None:
    assert said(furnished("a", 0), furnished("b", 1)) == [
        "warning mine: no scene is held out for validation, which training needs"
    ]


def test_a_set_without_training_scenes_is_noted_before_a_training_fails() -> None:
    scenes = (furnished("a", 0), furnished("b", 1))
    assert "warning mine: there is no training scene" in said(validation=scenes)
    split = SceneSplit("mine", ("chair", "bed"), (), scenes)
    with pytest.raises(DataError, match="no training scenes; got 0 training scenes, 2 validation scenes"):
        split.require()


def test_a_set_that_nobody_annotated_is_an_error() -> None:
    empty = Made("a", furnished("a", 0).scene.cloud.xyz, [], [])
    assert "error mine: no scene has an annotated box" in said(empty)
    assert not any("no scene has" in line for line in said(empty, validation=(furnished("b", 1),)))


@pytest.mark.parametrize(
    ("xyz", "boxes", "wanted"),
    [
        (np.zeros((0, 3)), [], "error x: the scene has no points"),
        (np.zeros((7, 3)), [], "error x: all 7 points are at one place"),
        (np.full((7, 3), np.nan), [], "error x: 7 points are NaN or infinite, 0 first"),
        (np.eye(3), [], "warning x: only 3 points"),
        (np.eye(3), [[0.3, 0.3, 0.3, 1, 0, 1, 0]], "error x: box 0 (chair) measures 1 x 0 x 1 m"),
        (np.eye(3), [[0.3, 0.3, 0.3, 1, 1, -1, 0]], "error x: box 0 (chair) measures 1 x 1 x -1 m"),
        (np.eye(3), [[0.3, math.inf, 0.3, 1, 1, 1, 0]], "error x: box 0 (chair) measures 1 x 1 x 1 m"),
        (np.eye(3), [[300, 0, 0, 1, 1, 1, 0]], "error x: 1 of 1 boxes lie outside the cloud: chair"),
        (
            np.eye(3),
            [[300, 0, 0, 1, 1, 1, 0], *([[0.3, 0.3, 0.3, 2, 2, 2, 0]] * 2)],
            "warning x: 1 of 3 boxes lie outside the cloud: chair",
        ),
        (np.eye(3), [[0.3, 0.3, 0.3, 0.1, 0.1, 0.1, 0]], "warning x: 1 of 1 boxes hold no point: chair"),
        (np.eye(3), [[0.3, 0.3, 0.3, 2, 2, 2, 0]] * 3, "warning x: 2 boxes are there twice"),
    ],
)
def test_faults_of_one_scene(xyz: np.ndarray, boxes: list, wanted: str) -> None:
    assert wanted in said(Made("x", xyz, boxes, [0] * len(boxes)))


def test_scenes_in_two_parts_and_copies() -> None:
    a, b, copy = furnished("a", 0), furnished("b", 1), furnished("z", 0)
    assert said(a, b, validation=(a,)) == ["error a: the scene is in train and validation"]
    assert said(a, a, validation=(b,)) == ["error a: the scene is in train 2 times"]
    assert said(a, copy, validation=(b,)) == ["warning a: the same points as z"]
    assert said(a, validation=(copy,)) == ["error a: the same points as z, in train and validation"]


def half(boxes: np.ndarray) -> np.ndarray:
    boxes[:, 3:6] /= 2
    return boxes


def centimetres(boxes: np.ndarray) -> np.ndarray:
    boxes[:, 3:6] *= 100
    return boxes


def clockwise(boxes: np.ndarray) -> np.ndarray:
    boxes[:, 6] *= -1
    return boxes


def bottom(boxes: np.ndarray) -> np.ndarray:
    boxes[:, 2] -= boxes[:, 5] / 2
    return boxes


def exchanged(boxes: np.ndarray) -> np.ndarray:
    boxes[:, 3:5] = boxes[:, [4, 3]]
    return boxes


def height_first(boxes: np.ndarray) -> np.ndarray:
    boxes[:, 3:6] = boxes[:, 3:6] * [0.4, 0.4, 3.0]
    return boxes


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (half, "full lengths in metres. They look like half sizes."),
        (centimetres, "full lengths in metres. They look like centimetres."),
        (clockwise, "times as many points when read as 'clockwise yaw'"),
        (exchanged, "times as many points when read as 'l and w exchanged'"),
        (bottom, "times as many points when read as 'z of the bottom'"),
        (height_first, "footprints are"),
    ],
)
def test_a_wrong_convention_is_suspected(change, wanted: str) -> None:
    split = SceneSplit("mine", ("chair", "bed"), (furnished("a", 0, change), furnished("b", 1, change)), ())
    found = [str(fault) for fault in check(split, 0) if fault.case == "mine"]
    assert all(one.startswith("warning: mine: ") for one in found) and any(wanted in one for one in found), found


def test_walls_off_the_axes_are_seen(tmp_path: Path) -> None:
    xyz = room(0).xyz
    assert wall_direction_deg(xyz) == 0
    turned = xyz @ alignment(-20)[:3, :3].T.astype(np.float32)
    assert abs(abs(wall_direction_deg(turned)) - 20) <= 1
    assert wall_direction_deg(np.random.default_rng(0).normal(size=(5000, 3)).astype(np.float32)) == 0
    assert wall_direction_deg(np.zeros((1, 3), np.float32)) == 0
    root = write_scannet(tmp_path)
    path = root / "scans/scene0000_00/scene0000_00.txt"
    path.write_text("axisAlignment = 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1\n")
    found = [fault.what for fault in check(ScanNetSettings(root=root).split(), 0) if fault.case == "scene0000_00"]
    assert len(found) == 1 and found[0].startswith("the walls stand") and "off the axes" in found[0]


def test_files_that_cannot_be_read_do_not_hide_the_others(tmp_path: Path) -> None:
    root = write_scannet(tmp_path)
    ply = root / "scans/scene0000_00/scene0000_00_vh_clean_2.ply"
    ply.write_bytes(ply.read_bytes()[:3000])
    (root / "scans/scene0001_00/scene0001_00.txt").unlink()
    groups = {"segGroups": [{"label": "spaceship", "segments": [7]}]}
    (root / "scans/scene0002_00/scene0002_00.aggregation.json").write_text(json.dumps(groups))
    faults = {fault.case: fault for fault in check(ScanNetSettings(root=root).split(), 1) if fault.severity == "error"}
    assert set(faults) == {"scene0000_00", "scene0001_00", "scene0002_00"}
    assert "spaceship" in faults["scene0002_00"].what and "does not exist" in faults["scene0001_00"].what
    assert [faults[f"scene000{n}_00"].code for n in range(3)] == ["unreadable-file", "absent-file", "unreadable-file"]


def test_a_prepared_folder_is_checked_to_the_last_bit(tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(ScanNetSettings(root=write_scannet(tmp_path / "raw")).split(), out, 0)
    assert not [fault for fault in check(ScanNetSettings(root=out).split(), 0) if fault.severity == "error"]
    path = out / "scenes/scene0001_00.rgb.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    (fault,) = (fault for fault in check(ScanNetSettings(root=out).split(), 0) if fault.severity == "error")
    assert fault.case == "scene0001_00" and "not what was written" in fault.what


def test_objects_that_cannot_be_understood_are_an_error(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path)
    edit_boxes(root, scenes={"room0.npy": [{"class": "sofa", "center": [0, 0, 0], "size": [1, 1, 1]}]}, validation=[])
    (fault,) = (f for f in check(PointFolderSettings(root=root).split(), 0) if f.severity == "error")
    assert "a class outside class_names; got sofa" in fault.what


def test_stats_count_what_is_there(tmp_path: Path) -> None:
    root = write_scannet(tmp_path)
    facts = stats(ScanNetSettings(root=root).split(), 0)
    assert facts["parts"] == {"train": 2, "validation": 1, "test": 1} and not facts["unreadable"]
    assert facts["summary"]["points"]["median"] == 3600 and facts["summary"]["boxes"]["max"] == 3
    chair = facts["classes"]["chair"]
    assert (chair["boxes"], chair["scenes"], chair["without_points"]) == (3, 3, 0)
    np.testing.assert_allclose(chair["mean_size_m"], [0.6, 0.6, 0.9], atol=0.03)
    assert chair["points"]["min"] >= 290 and chair["known_size_m"][2] == 0.7182701
    assert facts["classes"]["bed"] == {"boxes": 0, "scenes": 0, "known_size_m": [1.876858, 1.8425595, 1.1931566]}
    assert not facts["summary"]["boxes_are_turned"]
    scenes, each, classes = tables(facts)
    assert scenes.columns[1] == "ScanNet" and scenes.rows[0] == ["train scenes", "2"]
    assert each.rows[0] == ["points", 3600, 3600, 3600, 3600] and len(classes.rows) == 18
    assert scenes.rows[-1] == ["boxes are turned", "no"] and "published mean (m)" in classes.columns
    for one in facts["classes"].values():
        one.pop("known_size_m")  # as where nobody published any: no column of dashes
    own = tables(facts)[2]
    assert list(own.columns) == [name for name in classes.columns if name != "published mean (m)"]
    assert [len(row) for row in own.rows] == [len(own.columns)] * 18
    json.dumps(facts, allow_nan=False)


def test_stats_leave_out_what_cannot_be_read(tmp_path: Path) -> None:
    root = write_scannet(tmp_path)
    (root / "scans/scene0000_00/scene0000_00_vh_clean_2.ply").write_bytes(b"ply\n")
    facts = stats(ScanNetSettings(root=root).split(), 0)
    assert [one["name"] for one in facts["unreadable"]] == ["scene0000_00"] and len(facts["scenes"]) == 3
    assert tables(facts)[-1].rows[0][0] == "scene0000_00" and "cannot be read" in (tables(facts)[-1].title or "")
    for folder in ("scans", "scans_test"):
        for path in (root / folder).glob("*/*.ply"):
            path.write_bytes(b"")
    with pytest.raises(DataError, match="no scene can be read"):
        stats(ScanNetSettings(root=root).split(), 0)
    shutil.rmtree(root / "scans")
