"""nuScenes: synthetic tables come back as they were meant, as the devkit reads them, and broken ones are refused."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.datasets.nuscenes.index import read_index
from pointcloud.datasets.nuscenes.sample import NuScenesSample, read_sweep
from pointcloud.datasets.nuscenes.splits import official_part
from pointcloud.datasets.poses import invert
from pointcloud.datasets.tools import check, prepare
from pointcloud.structures.class_names import NUSCENES_CLASSES
from pointcloud.structures.sweeps import accumulate
from tests.pointcloud.datasets.devkit import devkit_reads
from tests.pointcloud.datasets.nuscenes_maker import SWEEPS_PER_SAMPLE, write_small_nuscenes
from vol3d.errors import DataError, UsageError
from vol3d.geometry import count_points_in_boxes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_small_nuscenes(tmp_path / "data")


def sample(root: Path, part: str = "train", row: int = 2, **settings: Any) -> NuScenesSample:
    found: NuScenesSample = getattr(NuScenesSettings(root=root, **settings).split(), part)[row]
    return found


def edit(root: Path, table: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    path = root / "v1.0-mini" / f"{table}.json"
    records = json.loads(path.read_text())
    change(records)
    path.write_text(json.dumps(records))


def test_parts_are_the_official_ones(root: Path) -> None:
    split = NuScenesSettings(root=root).split().require()
    assert [one.name for one in split.train] == ["0s0", "0s1", "0s2"]
    assert [one.scene_name for one in split.validation] == ["scene-0103"] * 3  # type: ignore[attr-defined]
    assert split.class_names == NUSCENES_CLASSES and split.test == ()


def test_a_sample_has_its_sweeps_and_boxes_in_its_own_frame(root: Path) -> None:
    one = sample(root)
    scene = one.read()
    assert scene.truth.frame == "lidar" and scene.truth.names() == ["car", "traffic_cone"]
    car, cone = scene.truth.boxes.astype(np.float64)
    np.testing.assert_allclose(one.global_from_lidar @ [*car[:3], 1], [430 + 0.8, 1105, 0.8, 1], atol=1e-4)
    np.testing.assert_allclose(car[3:6], [4.6, 1.9, 1.7], atol=1e-6)
    heading = one.global_from_lidar[:3, :3] @ [np.cos(car[6]), np.sin(car[6]), 0]
    assert abs(np.arctan2(heading[1], heading[0])) < 2e-3  # the scanner is tilted, a box is not
    np.testing.assert_allclose((one.global_from_lidar[:3, :3] @ [*car[7:], 0])[:2], [2.0, 0.0], atol=3e-3)
    assert np.abs(cone[7:]).max() < 1e-6
    seconds = scene.cloud.columns["time"]
    assert np.allclose(np.unique(seconds), np.arange(10) * 0.05, atol=1e-6) and (np.diff(seconds) >= 0).all()
    assert set(scene.cloud.columns) == {"intensity", "ring", "time"}


def test_a_scene_begins_with_the_sweeps_that_there_are(root: Path) -> None:
    assert len(sample(root, row=0).files()) == 3
    assert len(sample(root, row=1).files()) == 3 + SWEEPS_PER_SAMPLE
    alone = sample(root, sweeps=1).read()
    assert len(alone.cloud) == 200 and (alone.cloud.columns["time"] == 0).all()


def test_a_cheaper_scanner_has_fewer_beams_of_the_same_sweeps(root: Path) -> None:
    ring, fewer = (sample(root, every_beam=step).read().cloud.columns["ring"] for step in (1, 4))
    np.testing.assert_array_equal(fewer, ring[ring % 4 == 0])
    assert sample(root, every_beam=4).fingerprint() != sample(root).fingerprint()


def test_a_quick_look_takes_some_of_the_validation_samples(root: Path) -> None:
    whole, some = (NuScenesSettings(root=root, validation_step=step).split() for step in (1, 2))
    assert [one.name for one in some.validation] == [one.name for one in whole.validation[::2]]
    assert len(some.train) == len(whole.train)


def test_boxes_with_too_few_points_are_left_out_but_not_for_the_evaluation(root: Path) -> None:
    assert sample(root, min_points=4).read().truth.names() == ["car"]
    found = sample(root).annotations()
    assert found.categories == ["vehicle.car", "movable_object.trafficcone", "animal"]
    assert found.class_names == ["car", "traffic_cone", None] and found.attributes == ["vehicle.parked", "", ""]
    assert found.lidar_points.tolist() == [9, 3, 9]


def test_a_velocity_that_nothing_tells_is_nan_for_the_evaluation_and_0_for_training(tmp_path: Path) -> None:
    one = sample(write_small_nuscenes(tmp_path / "data", samples=1), row=0)
    assert np.isnan(one.annotations().velocity).all() and (one.read().truth.boxes[:, 7:] == 0).all()


def test_another_process_gets_one_sample_and_not_the_index(root: Path) -> None:
    one = sample(root, close_m=2.0, sweeps=4, every_beam=2)
    sent = pickle.loads(pickle.dumps(one))
    assert len(sent.index) == 1 and len(sent.index.filename) == 4 and sent.fingerprint() == one.fingerprint()
    np.testing.assert_array_equal(sent.read().cloud.xyz, one.read().cloud.xyz)
    np.testing.assert_array_equal(sent.read().truth.boxes, one.read().truth.boxes)


def test_the_devkit_reads_the_same(root: Path, tmp_path: Path) -> None:
    wanted = devkit_reads(root, "v1.0-mini", tmp_path / "devkit.npz")
    for part in ("train", "validation"):
        for row in range(3):
            one = sample(root, part, row, min_points=0)
            scene, name = one.read(), one.name
            table = np.column_stack([scene.cloud.xyz, *(scene.cloud.columns[key] for key in ("intensity", "time"))])
            close = (np.abs(table[:, :2]) < 1).all(axis=1) & (table[:, 4] == 0)  # the devkit cuts the keyframe too
            np.testing.assert_allclose(table[~close], wanted[f"{name}.points"], atol=1e-4)
            np.testing.assert_allclose(scene.truth.boxes[:, :7], wanted[f"{name}.boxes"][:2], atol=1e-4)
            np.testing.assert_allclose(one.annotations().velocity, wanted[f"{name}.velocity"], atol=1e-5)
            assert one.annotations().categories == wanted[f"{name}.names"].tolist()


def test_real_boxes_hold_the_points_that_were_counted(data_root: Path) -> None:
    facts = json.loads((data_root / "nuscenes/keyframe.json").read_text())  # has NaN
    points = read_sweep(data_root / "nuscenes" / facts["lidar"]["lidar_path"])
    boxes = torch.tensor([one["bbox_3d"] for one in facts["instances"]])
    inside = count_points_in_boxes(torch.from_numpy(accumulate(points, [])), boxes).numpy()
    counted = np.array([one["num_lidar_pts"] for one in facts["instances"]])
    assert len(counted) == 69 and np.abs(inside - counted).sum() <= 29


def test_the_real_keyframe_comes_back_from_tables(data_root: Path, tmp_path: Path) -> None:
    facts = json.loads((data_root / "nuscenes/keyframe.json").read_text())  # has NaN
    root = write_small_nuscenes(tmp_path / "data", scenes=("scene-0061",), samples=1)
    place_keyframe(root, facts, data_root / "nuscenes" / facts["lidar"]["lidar_path"])
    scene = sample(root, row=0, sweeps=1, min_points=0).read()
    wanted = np.array([one["bbox_3d"] for one in facts["instances"]])
    turns = np.angle(np.exp(1j * (scene.truth.boxes[:, 6] - wanted[:, 6])))
    np.testing.assert_allclose(scene.truth.boxes[:, :6], wanted[:, :6], atol=1e-4)
    assert np.abs(turns).max() < 2e-3 and len(scene.cloud) == 34688
    inside = count_points_in_boxes(torch.from_numpy(scene.cloud.xyz), torch.from_numpy(scene.truth.boxes)).numpy()
    assert np.abs(inside - [one["num_lidar_pts"] for one in facts["instances"]]).sum() <= 29


def place_keyframe(root: Path, facts: dict[str, Any], sweep: Path) -> None:
    """The real keyframe in place of the synthetic one, its boxes taken to the world."""
    from pointcloud.conventions import boxes_to_nuscenes

    world, mount = (
        np.array(facts[key] if key in facts else facts["lidar"][key]) for key in ("ego2global", "lidar2ego")
    )
    turns = {name: quaternion(matrix) for name, matrix in (("ego", world), ("mount", mount))}
    edit(root, "ego_pose", lambda table: table[2].update(translation=world[:3, 3].tolist(), rotation=turns["ego"]))
    edit(root, "calibrated_sensor", lambda t: t[0].update(translation=mount[:3, 3].tolist(), rotation=turns["mount"]))
    file = next((root / "samples/LIDAR_TOP").iterdir())
    file.write_bytes(sweep.read_bytes())
    boxes = torch.tensor([one["bbox_3d"] for one in facts["instances"]], dtype=torch.float64)
    wide = boxes_to_nuscenes(boxes, torch.from_numpy(world @ mount))
    columns = (wide.translation.tolist(), wide.size_wlh.tolist(), wide.rotation_wxyz.tolist())

    def annotations(table: list[dict[str, Any]]) -> None:
        like = dict(table[0])
        table[:] = [
            {**like, "token": f"b{n}", "translation": centre, "size": size, "rotation": turn}
            for n, (centre, size, turn) in enumerate(zip(*columns, strict=True))
        ]

    edit(root, "sample_annotation", annotations)


def quaternion(matrix: np.ndarray) -> list[float]:
    from pointcloud.conventions import boxes_to_nuscenes

    motion = torch.from_numpy(np.array(matrix, np.float64))
    turn = boxes_to_nuscenes(torch.tensor([[0.0, 0, 0, 1, 1, 1, 0]]), motion).rotation_wxyz[0]
    return [float(number) for number in turn]


def test_the_index_notices_that_its_tables_changed(root: Path, tmp_path: Path) -> None:
    (ready := tmp_path / "ready").mkdir()
    prepare(NuScenesSettings(root=root), None, ready, 0, None)
    table = root / "v1.0-mini" / "sample_annotation.json"
    before = table.read_text()
    table.write_text(before)  # the same at another time
    os.utime(table, ns=(0, 0))
    assert NuScenesSettings(root=ready).split().labelled
    table.write_text(before.replace("1", "2", 1))
    with pytest.raises(DataError, match=r"tables have changed since they were prepared; got sample_annotation\.json"):
        NuScenesSettings(root=ready).split()
    prepare(NuScenesSettings(root=root), None, ready, 0, None)
    assert NuScenesSettings(root=ready).split().labelled


def test_the_index_gives_the_same_without_the_tables(root: Path, tmp_path: Path) -> None:
    split, ready = NuScenesSettings(root=root).split(), tmp_path / "ready"
    ready.mkdir()
    prepare(NuScenesSettings(root=root), None, ready, 0, None)
    for table in (root / "v1.0-mini").iterdir():
        table.unlink()
    again = NuScenesSettings(root=ready).split()
    assert [one.fingerprint() for one in again.labelled] == [one.fingerprint() for one in split.labelled]
    assert read_index(ready)[1:] == ("v1.0-mini", root.resolve())
    moved = root.rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"the sweeps are not here.*data set's `data`"):
        NuScenesSettings(root=ready).split()
    assert NuScenesSettings(root=ready, data=moved).split().train[2].read().truth.names() == ["car", "traffic_cone"]
    other = write_small_nuscenes(tmp_path / "other")
    with pytest.raises(UsageError, match="prepared with another data"):
        prepare(NuScenesSettings(root=other), None, ready, 0, None)
    (ready / "nuscenes.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(DataError, match="the prepared index is damaged"):
        NuScenesSettings(root=ready, data=moved).split()


def test_official_lists_have_the_official_numbers() -> None:
    names = [f"scene-{number:04d}" for number in range(1, 1111)]
    assert [official_part(name, "v1.0-trainval") for name in ("scene-0001", "scene-0003", "scene-1073")] == [
        "train", "validation", "validation"]  # fmt: skip
    assert official_part("scene-0103", "v1.0-mini") == "validation" == official_part("scene-0916", "v1.0-mini")
    assert official_part("scene-0553", "v1.0-mini") == "train" and official_part("scene-0077", "v1.0-test") == "test"
    assert 150 <= sum(official_part(name, "v1.0-trainval") == "validation" for name in names) <= 165


def test_own_drives_choose_their_parts(root: Path) -> None:
    (root / "v1.0-mini/splits.json").write_text(json.dumps({"train": ["scene-0103"], "val": ["scene-0061"]}))
    assert {one.scene_name for one in NuScenesSettings(root=root).split().validation} == {"scene-0061"}  # type: ignore[attr-defined]
    (root / "v1.0-mini/splits.json").write_text(json.dumps({"train": ["scene-0103"]}))
    with pytest.raises(DataError, match="1 scenes are in no part; got scene-0061"):
        NuScenesSettings(root=root).split()
    split = NuScenesSettings(root=root, validation=0.5).split()
    assert len(split.train) + len(split.validation) == 6
    with pytest.raises(DataError, match="not a scene of nuScenes"):
        official_part("drive-1", "v1.0-mini")


FAULTS: dict[str, tuple[str, Callable[[list[dict[str, Any]]], object], str]] = {
    "duplicate sample": ("sample", lambda t: t.append(t[0]), "two records with one token; got '0s0'"),
    "duplicate pose": ("ego_pose", lambda t: t.append(t[0]), "two records with one token"),
    "no pose": ("ego_pose", lambda t: t.pop(), "1 poses that sample_data refers to are missing"),
    "broken token": ("sample", lambda t: t[0].update(scene_token="?"), "no record for the token that sample 0s0"),
    "broken chain": ("sample_data", lambda t: t[4].update(prev="?"), "no record for the token that sample_data"),
    "broken box": ("sample_annotation", lambda t: t[0].update(instance_token="?"), "that sample_annotation 0b0-0"),
    "two keyframes": ("sample_data", lambda t: t[0].update(is_key_frame=True), "a sample has two LIDAR_TOP keyframes"),
    "no keyframe": ("sample_data", lambda t: t[2].update(is_key_frame=False), "1 samples have no LIDAR_TOP keyframe"),
    "no field": ("sample_annotation", lambda t: t[3].pop("size"), "record 3 lacks 'size'"),
    "no rotation": ("ego_pose", lambda t: t[0].update(rotation=[0, 0, 0, 0]), "not a pose"),
    "three sizes": ("sample_annotation", lambda t: t[0].update(size=[1, 2]), "annotations of another form"),
    "no size": ("sample_annotation", lambda t: t[1].update(size=[1, 0, 1]), "1 boxes have no size"),
    "token of another type": ("instance", lambda t: t[1].update(token=["i"]), "record 1 has a 'token' that is none"),
    "no time": (
        "sample",
        lambda t: t[1].update(timestamp="noon"),
        "record 1 has a 'timestamp' that is none; got 'noon'",
    ),
    "infinite time": ("sample_data", lambda t: t[1].update(timestamp=1e308), "record 1 has a 'timestamp' that is none"),
    "no place": ("sample_annotation", lambda t: t[2].update(translation=None), "record 2 has a 'translation' that is"),
    "place off the Earth": ("ego_pose", lambda t: t[2].update(translation=[1e300, 0, 0]), "not a pose"),
    "attribute of no list": ("sample_annotation", lambda t: t[0].update(attribute_tokens=True), "'attribute_tokens'"),
    "attribute of no token": (
        "sample_annotation",
        lambda t: t[0].update(attribute_tokens=[7]),
        "no record for the token",
    ),
    "no lidar": ("sensor", lambda t: t.pop(0), "no sensor LIDAR_TOP"),
    "no sample": ("sample", lambda t: t.clear(), "there is no sample"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_tables_are_refused(root: Path, fault: str) -> None:
    table, change, message = FAULTS[fault]
    edit(root, table, change)
    with pytest.raises(DataError, match=message.replace("?", r"\?")):
        NuScenesSettings(root=root).split()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "not a table"),
        ("", "not a table"),
        ("[1]", "a row is no record"),
        ('[{"token": "a"', "cut or not JSON"),
        ('[{"token": NaN}]', "NaN is not a number"),
    ],
)
def test_files_that_are_no_tables_are_refused(root: Path, text: str, message: str) -> None:
    (root / "v1.0-mini/scene.json").write_text(text)
    with pytest.raises(DataError, match=message):
        NuScenesSettings(root=root).split()


def test_tables_are_read_piece_by_piece(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [one.fingerprint() for one in NuScenesSettings(root=root).split().labelled]
    for piece in (700, 701, 1024):
        monkeypatch.setattr("pointcloud.datasets.nuscenes.records._PIECE", piece)
        assert [one.fingerprint() for one in NuScenesSettings(root=root).split().labelled] == whole
    monkeypatch.setattr("pointcloud.datasets.nuscenes.records._PIECE", 20)
    with pytest.raises(DataError, match="cut or not JSON"):
        NuScenesSettings(root=root).split()


def test_missing_tables_versions_and_folders_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such version; got v1\.0-mini, wanted v1\.0-test"):
        NuScenesSettings(root=root, version="v1.0-test").split()
    (root / "v1.0-mini/category.json").unlink()
    with pytest.raises(DataError, match=r"1 tables are missing; got no category\.json"):
        NuScenesSettings(root=root).split()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no tables"):
        NuScenesSettings(root=tmp_path / "empty").split()
    with pytest.raises(DataError, match="no such folder"):
        NuScenesSettings(root=tmp_path / "none").split()


def test_missing_and_cut_sweeps_are_told(root: Path) -> None:
    gone = sample(root).files()
    gone[0].unlink()
    gone[4].unlink()
    split = NuScenesSettings(root=root).split()
    faults = check(split, 0)
    assert {fault.case for fault in faults if fault.what.endswith("does not exist")} == {"0s1", "0s2"}
    with pytest.raises(DataError, match=r"2 of \d+ sweeps are missing"):
        split.require()
    with pytest.raises(DataError, match=r"no such file\. Unpack its archive, or set data\.sweeps"):
        split.train[2].read()
    gone[0].write_bytes(bytes(36))
    with pytest.raises(DataError, match="the sweep is cut; got 36 bytes"):
        split.train[2].read()


def test_empty_sweeps_and_points_that_are_none_make_no_fault(root: Path) -> None:
    one = sample(root)
    for file in one.files():
        file.write_bytes(b"")
    assert one.read().cloud.xyz.shape == (0, 3)
    odd = [[np.nan, 0, 0, 0, 0], [3e38, 3e38, 3e38, 0, 0], [0, -np.inf, 0, 0, 0], [5, 0, 0, np.nan, 0]]
    for file in one.files()[:2]:
        np.array([[1, 2, 3, 4, 5], *odd, [1e5, 0, 0, 0, 0]], "<f4").tofile(file)
    cloud = one.read().cloud
    assert cloud.xyz[:2, 0].tolist() == [1, np.float32(1e5)]
    assert cloud.xyz.shape == (4, 3) and np.isfinite(cloud.xyz).all()
    np.testing.assert_allclose(invert(one.global_from_lidar) @ one.global_from_lidar, np.eye(4), atol=1e-9)


def test_of_several_versions_the_chosen_one_is_stated(tmp_path: Path) -> None:
    root = write_small_nuscenes(tmp_path)
    assert "version-assumed" not in {fault.code for fault in NuScenesSettings(root=root).split().listing}
    shutil.copytree(root / "v1.0-mini", root / "v1.0-trainval")
    (fault,) = NuScenesSettings(root=root).split().listing
    assert fault.code == "version-assumed" and fault.what == "v1.0-trainval is read of v1.0-mini, v1.0-trainval"
    assert NuScenesSettings(root=root, version="v1.0-mini").split().listing == ()


def test_categories_that_nobody_knows_are_counted(tmp_path: Path) -> None:
    path = write_small_nuscenes(tmp_path) / "v1.0-mini/category.json"
    path.write_text(path.read_text().replace("vehicle.car", "vehicle.Car"))
    (fault,) = (one for one in check(NuScenesSettings(root=tmp_path).split(), 0) if one.code == "objects-of-no-class")
    assert "6 objects are of no class and are left out: vehicle.Car (6)" in fault.what


def test_tables_in_another_case_and_nested_without_end_are_refused(tmp_path: Path) -> None:
    folder = write_small_nuscenes(tmp_path) / "v1.0-mini"
    (folder / "scene.json").write_text(f'[{{"token": "a", "name": {"[" * 100_000}')
    with pytest.raises(DataError, match="nested too deeply"):
        NuScenesSettings(root=tmp_path).split()
    (folder / "sample.json").rename(folder / "Sample.json")
    with pytest.raises(DataError, match=r"no sample\.json, but Sample\.json\. Name the tables"):
        NuScenesSettings(root=tmp_path).split()
