"""ScanNet in each of its layouts: the same scene from all of them, and a clear word where something is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pointcloud.datasets.scannet.dataset import NYU40, ScanNetSettings, read_label_map
from pointcloud.datasets.scenes import Scene
from pointcloud.structures.class_names import SCANNET_CLASSES
from pointcloud.structures.class_sizes import SCANNET
from tests.pointcloud.datasets.makers import alignment, room, unaligned, write_meta, write_scannet
from vol3d.errors import DataError
from vol3d.files import read_json
from vol3d.geometry import count_points_in_boxes

NAMES = ["scene0000_00", "scene0001_00"]


def raw_scene(tmp_path: Path) -> Scene:
    return ScanNetSettings(root=write_scannet(tmp_path / "raw", 1, 1)).split().train[0].read()


def votenet(root: Path, scene: Scene) -> Path:
    """VoteNet's export of the scene, as training and as validation scan."""
    folder = root / "scannet_train_detection_data"
    folder.mkdir(parents=True)
    nyu = np.array(list(NYU40.values()))[scene.truth.labels]
    for name in NAMES:
        np.save(folder / f"{name}_vert.npy", np.concatenate([scene.cloud.xyz, scene.cloud.columns["rgb"]], 1))
        np.save(folder / f"{name}_bbox.npy", np.column_stack([scene.truth.boxes[:, :6], nyu]))
    write_meta(root / "meta_data", NAMES[:1], NAMES[1:], [])
    return root


def same(scene: Scene, wanted: Scene) -> None:
    np.testing.assert_allclose(scene.cloud.xyz, wanted.cloud.xyz, atol=1e-5)
    np.testing.assert_array_equal(scene.cloud.columns["rgb"], wanted.cloud.columns["rgb"])
    np.testing.assert_allclose(scene.truth.boxes, wanted.truth.boxes, atol=1e-5)
    np.testing.assert_array_equal(scene.truth.labels, wanted.truth.labels)
    assert scene.truth.class_names == SCANNET_CLASSES and scene.truth.frame == "aligned"


def test_votenets_arrays_are_the_raw_scene(tmp_path: Path) -> None:
    wanted = raw_scene(tmp_path)
    split = ScanNetSettings(root=votenet(tmp_path / "votenet", wanted)).split().require()
    assert [reader.name for reader in split.labelled] == NAMES
    same(split.train[0].read(), wanted)


def test_mmdet3ds_arrays_are_the_raw_scene(tmp_path: Path) -> None:
    wanted = raw_scene(tmp_path)
    root = votenet(tmp_path / "mmdet3d", wanted)
    folder = (root / "scannet_train_detection_data").rename(root / "scannet_instance_data")
    for name in NAMES:
        table = np.load(folder / f"{name}_vert.npy")
        np.save(folder / f"{name}_vert.npy", np.concatenate([unaligned(table[:, :3]), table[:, 3:]], 1))
        np.save(folder / f"{name}_axis_align_matrix.npy", alignment())
        (folder / f"{name}_bbox.npy").rename(folder / f"{name}_aligned_bbox.npy")
        np.save(folder / f"{name}_unaligned_bbox.npy", np.full((3, 7), 9.0))
    same(ScanNetSettings(root=root).split().require().train[0].read(), wanted)


def test_mmdet3ds_index_is_the_raw_scene(tmp_path: Path) -> None:
    wanted = raw_scene(tmp_path)
    root = tmp_path / "mmdet3d"
    (root / "points").mkdir(parents=True)
    table = np.concatenate([unaligned(wanted.cloud.xyz), wanted.cloud.columns["rgb"]], 1).astype("<f4")
    instances = [
        {"bbox_3d": box[:6].tolist(), "bbox_label_3d": int(label)}
        for box, label in zip(wanted.truth.boxes, wanted.truth.labels, strict=True)
    ]
    for name, part in zip(NAMES, ("train", "val"), strict=True):
        table.tofile(root / "points" / f"{name}.bin")
        points = {"num_pts_feats": 6, "lidar_path": f"{name}.bin"}
        entry = {"lidar_points": points, "axis_align_matrix": alignment().tolist(), "instances": instances}
        about = {"categories": {name: number for number, name in enumerate(SCANNET_CLASSES)}}
        (root / f"scannet_infos_{part}.json").write_text(json.dumps({"metainfo": about, "data_list": [entry]}))
    same(ScanNetSettings(root=root).split().require().train[0].read(), wanted)
    about["categories"]["chair"], about["categories"]["bed"] = 1, 2
    (root / "scannet_infos_val.json").write_text(json.dumps({"metainfo": about, "data_list": [entry]}))
    with pytest.raises(DataError, match="other classes; got cabinet, chair, bed"):
        ScanNetSettings(root=root).split()
    (root / "scannet_infos_val.json").write_text(json.dumps({"data_list": [{}]}))
    with pytest.raises(DataError, match="not an index of mmdetection3d"):
        ScanNetSettings(root=root).split()
    (root / "scannet_infos_val.json").unlink()
    with pytest.raises(DataError, match="Pickles are not opened"):
        ScanNetSettings(root=root).split()


def test_a_real_scan_holds_what_its_boxes_say(tmp_path: Path, data_root: Path) -> None:
    about = read_json(data_root / "scannet/scene0000_00.json")
    (tmp_path / "points").mkdir()
    shutil.copy(data_root / "scannet/scene0000_00.bin", tmp_path / "points/scene0000_00.bin")
    entry = {"lidar_points": {"lidar_path": "scene0000_00.bin"}, **about}
    (tmp_path / "scannet_infos_train.json").write_text(json.dumps({"data_list": [entry]}))
    (tmp_path / "scannet_infos_val.json").write_text(json.dumps({"data_list": []}))
    scene = ScanNetSettings(root=tmp_path).split().train[0].read()
    assert len(scene.cloud) == 40684 and len(scene.truth) == 27
    points, boxes = torch.from_numpy(scene.cloud.xyz), torch.from_numpy(scene.truth.boxes)
    # Boxes end at their outermost points, which rounding puts inside or out: 0.1 mm less and more enclose the counts.
    less, more = (count_points_in_boxes(points, boxes + torch.tensor([0, 0, 0, e, e, e, 0])) for e in (-2e-4, 2e-4))
    assert less.min() <= 116 <= more.min() and less.max() <= 3557 <= more.max()
    assert int(more.sum() - less.sum()) < 0.005 * int(less.sum())


def test_the_tables_are_the_originals(data_root: Path, oracle_root: Path) -> None:
    wanted = read_json(oracle_root / "3detr/F_tables/tables.json")
    assert list(SCANNET_CLASSES) == wanted["scannet"]["class_names_by_id"]
    assert list(NYU40.values()) == wanted["scannet"]["nyu40ids_by_class_id"]
    sizes = np.load(data_root / "scannet/meta_data/scannet_means.npz")["arr_0"]
    np.testing.assert_allclose([SCANNET[name] for name in SCANNET_CLASSES], sizes, rtol=1e-6)
    labels = read_label_map(data_root / "scannet/meta_data/scannetv2-labels.combined.tsv")
    assert set(labels.values()) == {*range(18), None} and labels["office chair"] == 2


def test_the_real_lists_are_found(tmp_path: Path, data_root: Path) -> None:
    (tmp_path / "scans").mkdir()
    split = ScanNetSettings(root=tmp_path, lists=data_root / "scannet/meta_data").split()
    said = [fault.what.split(":")[0] for fault in split.listing]
    wanted = [f"{n} of the {n} listed {part} scans are missing" for n, part in ((1201, "train"), (312, "validation"))]
    assert said == [*wanted, "100 of the 100 listed test scans are missing"]
    assert [fault.severity for fault in split.listing] == ["error", "error", "warning"]


def test_what_is_missing_is_told_and_the_rest_is_there(tmp_path: Path) -> None:
    root = write_scannet(tmp_path)
    (root / "scans/scene0000_00/scene0000_00.aggregation.json").unlink()
    shutil.rmtree(root / "scans/scene0001_00")
    split = ScanNetSettings(root=root).split()
    assert [reader.name for reader in split.train] == ["scene0000_00"] and len(split.validation) == 1
    what = [fault.what for fault in split.listing]
    assert what[0] == "1 of the 2 listed train scans are missing: scene0001_00"
    assert what[1].endswith("scene0000_00.aggregation.json does not exist") and len(what) == 2
    with pytest.raises(DataError, match="1 of the 2 listed train scans"):
        split.require()


def test_folders_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        ScanNetSettings(root=tmp_path / "none").split()
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="not a ScanNet folder; got photos, wanted scans"):
        ScanNetSettings(root=tmp_path).split()
    (tmp_path / "scans").mkdir()
    with pytest.raises(DataError, match=r"no such file\. Copy ScanNet"):
        ScanNetSettings(root=tmp_path).split()
    write_meta(tmp_path, [], [], [])
    (tmp_path / "scannetv2_val.txt").unlink()
    with pytest.raises(DataError, match=r"no such file\. Copy ScanNet.s split lists"):
        ScanNetSettings(root=tmp_path).split()


@pytest.mark.parametrize(
    ("ending", "array", "match"),
    [
        ("_vert.npy", np.zeros((5, 4)), r"a table of another shape; got \(5, 4\)"),
        ("_vert.npy", np.array([{}]), "damaged or no array"),
        ("_vert.npy", np.array([["a"]]), "no table of numbers"),
        ("_vert.npy", np.array([[0, 0, 0], [0, np.nan, 0]]), "NaN or infinity in the table; got row 1"),
        ("_bbox.npy", np.array([[0, 0, 0, 1, 1, 1, 13.0]]), r"a NYU-40 number that is no class; got \[13\]"),
    ],
)
def test_damaged_arrays_are_errors(tmp_path: Path, ending: str, array: np.ndarray, match: str) -> None:
    root = votenet(tmp_path / "votenet", raw_scene(tmp_path))
    np.save(root / "scannet_train_detection_data" / f"{NAMES[0]}{ending}", array, allow_pickle=array.dtype == object)
    with pytest.raises(DataError, match=match):
        ScanNetSettings(root=root).split().train[0].read()


def test_a_scene_without_boxes_is_one(tmp_path: Path) -> None:
    root = votenet(tmp_path / "votenet", raw_scene(tmp_path))
    np.save(root / "scannet_train_detection_data" / f"{NAMES[0]}_bbox.npy", np.zeros((0, 7)))
    scene = ScanNetSettings(root=root).split().train[0].read()
    assert scene.truth.boxes.shape == (0, 7) and len(scene.cloud) == len(room(0).xyz)
