"""Own clouds with one JSON: what is read, what is refused, and what becomes a fault of a single scene."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pointcloud.datasets.check import check
from pointcloud.datasets.point_folder import PointFolderSettings
from tests.pointcloud.datasets.makers import edit_boxes, room, write_ply, write_point_folder
from vol3d.dataset_tools.fault import Fault
from vol3d.errors import DataError

BOX = {"class": "chair", "center": [0.5, 0.6, 0.4], "size": [0.6, 0.5, 0.9], "yaw": 0.25}


def faults(root: Path) -> list[Fault]:
    return list(PointFolderSettings(root=root).split().listing)


def test_clouds_and_boxes_come_together(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path)
    edit_boxes(root, scenes={"room0.npy": [BOX], "room1.npy": [], "room2.npy": [BOX, BOX], "room3.npy": []})
    split = PointFolderSettings(root=root, up="z", units="m").split().require()
    assert [one.name for one in split.train] == ["room0", "room1", "room2"] and len(split.validation) == 1
    scene = split.train[0].read()
    np.testing.assert_allclose(scene.truth.boxes, [[0.5, 0.6, 0.4, 0.6, 0.5, 0.9, 0.25]], atol=1e-6)
    np.testing.assert_array_equal(scene.cloud.xyz, room(0).xyz)
    assert scene.truth.names() == ["chair"] and scene.truth.frame == "scan" and not scene.cloud.notes
    assert split.train[1].read().truth.boxes.shape == (0, 7)


def test_boxes_without_a_yaw_are_counted(tmp_path: Path) -> None:
    root, bare = write_point_folder(tmp_path), {key: value for key, value in BOX.items() if key != "yaw"}
    assert not faults(root)
    edit_boxes(root, scenes={"room0.npy": [BOX, bare], "room1.npy": [bare], "room2.npy": [], "room3.npy": [BOX]})
    (found,) = faults(root)
    assert found.code == "boxes-without-yaw" and found.numbers == {"without": 2, "boxes": 4}


def test_any_format_and_folders_below(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path, 1, validation=[])
    (root / "upstairs").mkdir()
    write_ply(root / "upstairs/room0.ply", room(5).xyz)
    edit_boxes(root, scenes={"room0.npy": [], "upstairs/room0.ply": [BOX]})
    split = PointFolderSettings(root=root, up="z", units="m").split()
    assert [one.name for one in split.train] == ["room0", "upstairs_room0"] and not split.listing
    scene = split.train[1].read()
    np.testing.assert_array_equal(scene.cloud.xyz, room(5).xyz)
    assert scene.cloud.faces is None and scene.cloud.columns["rgb"].shape == (len(scene.cloud), 3)


def test_boxes_follow_the_origin_that_is_taken_off(tmp_path: Path) -> None:
    root, shift = write_point_folder(tmp_path, 1, validation=[]), np.array([500_000.0, 4_000_000.0, 0.0])
    np.save(root / "room0.npy", room(0).xyz.astype(np.float64) + shift)
    edit_boxes(root, scenes={"room0.npy": [{**BOX, "center": (shift + BOX["center"]).tolist()}]})
    scene = PointFolderSettings(root=root, up="z", units="m").split().train[0].read()
    assert np.abs(scene.cloud.origin).max() > 1e6
    np.testing.assert_allclose(scene.truth.boxes[0, :3] + scene.cloud.origin, shift + BOX["center"], atol=1e-3)


def test_a_fraction_is_decided_by_the_name_alone(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path, 40, validation=0.3)
    first = {one.name for one in PointFolderSettings(root=root).split().validation}
    assert 4 <= len(first) <= 20
    write_point_folder(tmp_path, 60, validation=0.3)
    later = {one.name for one in PointFolderSettings(root=root).split().validation}
    assert {name for name in later if int(name[4:]) < 40} == first
    edit_boxes(root, validation=0)
    assert not PointFolderSettings(root=root).split().validation


def test_a_cloud_without_an_entry_is_a_warning_and_no_training_scene(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path)
    np.save(root / "late.npy", room(9).xyz)
    np.save(root / ".hidden.npy", room(9).xyz)
    split = PointFolderSettings(root=root).split()
    assert [one.name for one in split.test] == ["late"] and len(split.labelled) == 4
    assert [(fault.case, fault.severity) for fault in split.listing] == [("late", "warning")]
    split.require()


def test_an_entry_without_its_file_is_an_error(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path)
    (root / "room1.npy").unlink()
    (fault,) = faults(root)
    assert fault.case == "room1" and fault.what.endswith("room1.npy does not exist")
    with pytest.raises(DataError, match=r"room1: the file .* does not exist"):
        PointFolderSettings(root=root).split().require()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"class": "sofa"}, "a class outside class_names; got sofa, wanted chair, table, can"),
        ({"size": [0.5, -0.5, 0.5]}, "a size that is not positive"),
        ({"size": [0.5, 0.5]}, "size is not what it should be"),
        ({"center": "here"}, "center is not what it should be"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_object_is_an_error_of_its_scene_alone(tmp_path: Path, change: dict, match: str) -> None:
    root = write_point_folder(tmp_path)
    scenes = json.loads((root / "boxes.json").read_text())["scenes"]
    edit_boxes(root, scenes={**scenes, "room2.npy": [BOX, {**BOX, **change}]})
    (fault,) = faults(root)
    assert (fault.case, fault.severity) == ("room2", "error") and match in fault.what and "objects[1]" in fault.what
    assert fault.do == "Correct its entry in the JSON."


@pytest.mark.parametrize(("other", "listed"), [("ROOM1.ply", False), ("room1.npz", False), ("room1.npz", True)])
def test_two_files_of_one_name_are_one_error(tmp_path: Path, other: str, listed: bool) -> None:
    root = write_point_folder(tmp_path)
    scenes = json.loads((root / "boxes.json").read_text())["scenes"]
    if other.endswith(".ply"):
        write_ply(root / other, room(1).xyz)
    else:
        np.savez(root / other, points=room(1).xyz)
    edit_boxes(root, scenes={**scenes, other: []} if listed else scenes)
    split = PointFolderSettings(root=root, up="z", units="m").split()
    (fault,) = check(split, 0)
    assert (fault.case, fault.what) == ("room1", f"room1.npy has the same name as {other}")
    with pytest.raises(DataError, match="the same name"):
        split.require()


def test_a_path_that_leads_out_of_the_folder_is_one_error(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path / "mine")
    scenes = json.loads((root / "boxes.json").read_text())["scenes"]
    edit_boxes(root, scenes={**scenes, "../out.npy": []}, validation=["room3.npy", "../out.npy"])
    (fault,) = check(PointFolderSettings(root=root, up="z", units="m").split(), 0)
    assert (fault.case, fault.what) == ("../out.npy", "the path ../out.npy leads out of the folder")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"class_names": None}, r"boxes\.json: class_names: Field required"),
        ({"class_names": ["chair", "chair"]}, "class names must be different and not empty; got 'chair'"),
        ({"class_names": []}, "class_names"),
        ({"scenes": {}}, "scenes"),
        ({"format": 2}, "format: Input should be 1"),
        ({"colours": 1}, "unknown key 'colours'; wanted format, class_names, scenes, validation"),
        ({"validation": ["room9.npy"]}, "validation names scenes without an entry; got room9.npy"),
        ({"validation": 1.5}, "validation is no fraction"),
    ],
)
def test_a_wrong_json_is_one_error(tmp_path: Path, changes: dict, match: str) -> None:
    root = write_point_folder(tmp_path)
    edit_boxes(root, **changes)
    with pytest.raises(DataError, match=match):
        PointFolderSettings(root=root).split()


def test_no_folder_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        PointFolderSettings(root=tmp_path / "none").split()
    with pytest.raises(DataError, match=r"boxes\.json: the JSON of the boxes is missing"):
        PointFolderSettings(root=tmp_path).split()


def test_the_fingerprint_follows_file_boxes_and_reading(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path)
    first = PointFolderSettings(root=root).split().train
    assert len({one.fingerprint() for one in first}) == 3
    assert first[0].fingerprint() == PointFolderSettings(root=root).split().train[0].fingerprint()
    assert PointFolderSettings(root=root, units="mm").split().train[0].fingerprint() != first[0].fingerprint()
    edit_boxes(root, scenes={"room0.npy": [BOX]}, validation=[])
    assert PointFolderSettings(root=root).split().train[0].fingerprint() != first[0].fingerprint()


def test_a_scene_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path, 2, validation=[])
    text = (root / "boxes.json").read_text()
    (root / "boxes.json").write_text(text.replace('"room1.npy"', '"room0.npy"'))
    with pytest.raises(DataError, match=r"boxes\.json: .*the key 'room0\.npy' is there twice"):
        PointFolderSettings(root=root).split()
    (root / "boxes.json").write_text(text.replace('"room1.npy"', '"./room0.npy"'))
    assert {fault.code for fault in faults(root)} >= {"duplicate-scene"}
