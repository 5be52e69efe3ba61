"""A raw ScanNet scan: alignment, objects from segments, and every way in which its files can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pointcloud.datasets.scannet.dataset import ScanNetSettings, read_label_map
from pointcloud.datasets.scannet.raw import Group, RawScan, object_boxes
from pointcloud.structures.class_names import SCANNET_CLASSES
from tests.pointcloud.datasets.makers import CATEGORIES, FURNITURE, LABEL_OF, room, write_scannet
from vol3d.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_scannet(tmp_path)


def scan(root: Path) -> RawScan:
    first = ScanNetSettings(root=root).split().train[0]
    assert isinstance(first, RawScan)
    return first


def file(root: Path, ending: str) -> Path:
    return root / "scans/scene0000_00" / f"scene0000_00{ending}"


def test_points_are_aligned_and_all_there(root: Path) -> None:
    made, scene = room(0), scan(root).read()
    np.testing.assert_allclose(scene.cloud.xyz, made.xyz, atol=2e-5)
    assert scene.cloud.columns["rgb"].dtype == np.uint8 and set(scene.cloud.columns) == {"rgb"}
    np.testing.assert_array_equal(scene.cloud.columns["rgb"][1], [4, 5, 6])
    assert scene.truth.frame == "aligned" and scene.truth.class_names == SCANNET_CLASSES


def test_boxes_hold_the_objects_and_nothing_of_classes_that_are_not_detected(root: Path) -> None:
    made, scene = room(0), scan(root).read()
    wanted = [(label, segments) for label, segments in made.objects if label in LABEL_OF]
    assert scene.truth.names() == ["chair", "table", "garbagebin"]
    for box, (_, segments) in zip(scene.truth.boxes, wanted, strict=True):
        points = made.xyz[np.isin(made.segment, segments)]
        np.testing.assert_allclose(box[:3], (points.min(0) + points.max(0)) / 2, atol=5e-5)
        np.testing.assert_allclose(box[3:6], points.max(0) - points.min(0), atol=5e-5)
        assert box[6] == 0
    sizes = [size for label, _, size in FURNITURE if label in LABEL_OF]
    np.testing.assert_allclose(scene.truth.boxes[:, 3:6], sizes, atol=0.05)


def test_a_test_scan_has_neither_boxes_nor_alignment(root: Path) -> None:
    (reader,) = ScanNetSettings(root=root).split().test
    scene = reader.read()
    assert len(scene.truth) == 0 and scene.truth.frame == "scan" and len(scene.cloud) == len(room(3).xyz)


def test_the_other_name_of_the_aggregation_is_read(root: Path) -> None:
    wanted = scan(root).read().truth.boxes
    file(root, ".aggregation.json").rename(file(root, "_vh_clean.aggregation.json"))
    np.testing.assert_array_equal(scan(root).read().truth.boxes, wanted)


def test_a_segment_of_two_objects_belongs_to_the_later_and_an_empty_object_has_no_box() -> None:
    xyz = np.array([[0, 0, 0], [1, 1, 1], [5, 5, 5], [6, 6, 6]], np.float32)
    segment = np.array([1, 1, 2, 2])
    groups = [Group((1, 2), 0), Group((2,), 1), Group((2,), 3), Group((1,), None)]
    boxes, labels = object_boxes(xyz, segment, groups, Path("x"))
    assert labels.tolist() == [3]
    np.testing.assert_array_equal(boxes, [[5.5, 5.5, 5.5, 1, 1, 1, 0]])
    boxes, labels = object_boxes(xyz, segment, [], Path("x"))
    assert boxes.shape == (0, 7) and labels.shape == (0,)


def test_the_fingerprint_follows_each_file(root: Path) -> None:
    before = scan(root).fingerprint()
    assert scan(root).fingerprint() == before
    for ending in ("_vh_clean_2.ply", ".txt", ".aggregation.json", "_vh_clean_2.0.010000.segs.json"):
        path = file(root, ending)
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        assert scan(root).fingerprint() != before, ending
        path.write_bytes(content)
    assert scan(root).fingerprint() == before


def test_a_cut_mesh_is_an_error(root: Path) -> None:
    path = file(root, "_vh_clean_2.ply")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"scene0000_00_vh_clean_2\.ply"):
        scan(root).read()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("sceneType = Office\n", "a labelled scan without axisAlignment"),
        ("axisAlignment = 1 0 0\n", r"scene0000_00.txt:1: axisAlignment is no rotation and shift; got 1 0 0"),
        ("axisAlignment = " + "2 " * 16, "no rotation"),
        ("axisAlignment = " + "nan " * 16, "no rotation"),
    ],
)
def test_a_wrong_alignment_is_an_error(root: Path, text: str, match: str) -> None:
    file(root, ".txt").write_text(text)
    with pytest.raises(DataError, match=match):
        scan(root).read()


@pytest.mark.parametrize(
    ("segments", "match"),
    [
        ([1, 2, 3], "the segments are not those of the mesh; got 3 segment numbers, wanted 3600"),
        ("nothing", "no list of whole numbers"),
        ([[1], [2, 3]], "no list of whole numbers"),
        (None, "no list of whole numbers"),
    ],
)
def test_wrong_segments_are_an_error(root: Path, segments: object, match: str) -> None:
    file(root, "_vh_clean_2.0.010000.segs.json").write_text(json.dumps({"segIndices": segments}))
    with pytest.raises(DataError, match=match):
        scan(root).read()


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ([{"label": "spaceship", "segments": [7]}], "a label that is no category; got spaceship"),
        ([{"label": "chair"}], "no list 'segGroups'"),
        ("x", "no list 'segGroups'"),
        ([{"label": "chair", "segments": [5001, 5002, 7]}], "most segments .* not in the mesh's .*; got 1 of 3"),
    ],
)
def test_a_wrong_aggregation_is_an_error(root: Path, groups: object, match: str) -> None:
    file(root, ".aggregation.json").write_text(json.dumps({"segGroups": groups}))
    with pytest.raises(DataError, match=match):
        scan(root).read()


def test_the_label_map_gives_the_eighteen_classes(root: Path, tmp_path: Path) -> None:
    labels = read_label_map(root / "meta_data/scannetv2-labels.combined.tsv")
    assert labels.keys() == CATEGORIES.keys()
    assert {name: label for name, label in labels.items() if label is not None} == {**LABEL_OF, "chair": 2}
    (tmp_path / "wrong.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(DataError, match="not ScanNet's label map"):
        read_label_map(tmp_path / "wrong.tsv")
    with pytest.raises(DataError, match=r"none\.tsv: no such file\. Copy ScanNet"):
        read_label_map(tmp_path / "none.tsv")
