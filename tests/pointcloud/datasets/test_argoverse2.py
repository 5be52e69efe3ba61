"""Argoverse 2: synthetic logs come back as meant, real boxes hold the counted points, broken files are refused."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pointcloud.conventions.argoverse2 import CATEGORIES
from pointcloud.conventions.feather import read_feather, write_feather
from pointcloud.datasets.argoverse2.dataset import Argoverse2Settings
from pointcloud.datasets.argoverse2.sweep import Argoverse2Sweep, PreparedArgoverse2Sweep
from pointcloud.datasets.tools import check, prepare, stats
from tests.pointcloud.datasets.argoverse2_maker import PARKED, START_NS, STEP_NS, write_log, write_small_argoverse2
from vol3d.errors import DataError, Vol3dError
from vol3d.geometry import count_points_in_boxes

pytest.importorskip("pyarrow")
FEW = ("PEDESTRIAN", "REGULAR_VEHICLE", "BOLLARD")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_small_argoverse2(tmp_path / "sensor")


def sweep(root: Path, part: str = "train", row: int = 0, **settings: Any) -> Argoverse2Sweep:
    found: Argoverse2Sweep = getattr(Argoverse2Settings(root=root, **settings).split(), part)[row]
    return found


def inside(one: Argoverse2Sweep) -> list[int]:
    scene = one.read()
    boxes = torch.from_numpy(scene.truth.boxes)
    return count_points_in_boxes(torch.from_numpy(scene.cloud.xyz), boxes).tolist()


def test_folders_are_the_parts(root: Path) -> None:
    split = Argoverse2Settings(root=root).split().require()
    assert [len(part) for part in (split.train, split.validation, split.test)] == [3, 2, 1]
    assert split.class_names == CATEGORIES and len(CATEGORIES) == 26 and not split.listing
    assert split.train[0].name == f"log-train_{START_NS}"
    assert len(Argoverse2Settings(root=root, validation_step=2).split().validation) == 1
    shared = Argoverse2Settings(root=root, validation=0.999).split()
    assert len(shared.validation) == 5 and not shared.train


def test_a_scene_is_one_sweep_in_the_frame_of_the_vehicle(root: Path) -> None:
    scene = sweep(root, row=1).read()
    assert scene.truth.names() == ["REGULAR_VEHICLE", "REGULAR_VEHICLE", "PEDESTRIAN"]  # no animal, nothing empty
    np.testing.assert_allclose(scene.truth.boxes[0], [11, *PARKED[0][1][1:]], rtol=1e-6)
    assert scene.cloud.columns.keys() == {"intensity", "ring", "time"}
    assert scene.cloud.columns["intensity"].max() > 200 and scene.cloud.columns["ring"].max() > 50
    assert (scene.cloud.columns["time"] == 0).all() and scene.cloud.xyz.dtype == np.float32
    assert inside(sweep(root, row=1)) == [30, 30, 30]


def test_earlier_sweeps_come_through_the_poses(root: Path) -> None:
    one = sweep(root, row=2, sweeps=2)
    time = one.read().cloud.columns["time"]
    assert np.unique(time) == pytest.approx([0, STEP_NS * 1e-9]) and inside(one) == [60, 60, 60]
    assert len(sweep(root, row=2, sweeps=9).read().cloud) == 3 * len(sweep(root).read().cloud)
    assert len(sweep(root, row=0, sweeps=9).files()) == 2  # the first of a log has none before it


def test_beams_points_and_classes_are_chosen(root: Path) -> None:
    rings = sweep(root, every_beam=4).read().cloud.columns["ring"]
    assert (rings % 4 == 0).all() and 0 < len(rings) < 200
    one = sweep(root, min_points=0, class_names=FEW)
    assert one.read().truth.names() == ["REGULAR_VEHICLE", "REGULAR_VEHICLE", "PEDESTRIAN", "BOLLARD"]
    assert one.labels().tolist() == one.read().truth.labels.tolist() == [1, 1, 0, 2]
    assert len(one.annotations()) == len(PARKED)
    with pytest.raises(ValidationError, match="each once; got TRAM"):
        Argoverse2Settings(root=root, class_names=("TRAM", "DOG"))


def test_labels_need_no_points_and_test_logs_have_none(root: Path) -> None:
    one, bare = sweep(root), sweep(root, "test")
    wanted = one.read().truth.labels.tolist()
    one.files()[0].unlink()
    assert one.labels().tolist() == wanted and len(wanted) == 3
    assert not len(bare.labels()) and not len(bare.read().truth)


def test_a_reader_goes_to_other_processes_and_tells_a_change(root: Path) -> None:
    one = sweep(root, row=1, sweeps=2)
    copy = pickle.loads(pickle.dumps(one))
    assert copy == one and copy.fingerprint() == one.fingerprint() != sweep(root, row=1).fingerprint()
    before = one.fingerprint(), one.labels().tolist()
    path = root / "train/log-train/annotations.feather"
    change(path, category=lambda names: ["DOG"] * len(names))
    assert one.fingerprint() != before[0] and one.labels().tolist() == [CATEGORIES.index("DOG")] * 4 != before[1]


def test_prepared_sweeps_say_the_same(root: Path, tmp_path: Path) -> None:
    settings = Argoverse2Settings(root=root, sweeps=2, class_names=FEW)
    prepare(settings, None, tmp_path / "ready", 0, None)
    ready = settings.model_copy(update={"root": tmp_path / "ready"})
    for one, other in zip(settings.split().labelled, ready.split().labelled, strict=True):
        assert isinstance(one, Argoverse2Sweep) and isinstance(other, PreparedArgoverse2Sweep)
        assert (one.name, one.log_id, one.timestamp_ns) == (other.name, other.log_id, other.timestamp_ns)
        np.testing.assert_array_equal(one.read().cloud.xyz, other.read().cloud.xyz)
        for name in ("boxes", "categories", "points"):
            np.testing.assert_array_equal(getattr(one.annotations(), name), getattr(other.annotations(), name))
        assert one.labels().tolist() == other.labels().tolist()
    assert not [fault for fault in check(ready.split(), 0) if fault.severity == "error"]
    with pytest.raises(DataError, match=r"prepared with other settings.*'sweeps': 2.*data\.sweeps"):
        Argoverse2Settings(root=tmp_path / "ready", class_names=FEW).split()


def test_a_clean_set_has_no_error(root: Path) -> None:
    split = Argoverse2Settings(root=root, class_names=FEW[:2]).split()
    assert not [fault for fault in check(split, 0) if fault.severity == "error"]
    assert stats(split, 0)["classes"]["PEDESTRIAN"]["boxes"] == 5


def change(path: Path, **columns: Callable[[Any], Any]) -> None:
    """Rewrites a table with other values in some columns; a function that gives None drops its column."""
    from pyarrow import feather

    whole = {name: column.to_pylist() for name, column in zip(*_content(feather.read_table(path)), strict=True)}
    for name, function in columns.items():
        whole[name] = function(whole[name])
    write_feather(path, {name: values for name, values in whole.items() if values is not None})


def _content(table: Any) -> tuple[list[str], list[Any]]:
    return table.column_names, table.columns


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"category": lambda names: ["TRAM", *names[1:]]}, "an unknown category; got TRAM, wanted one of 30"),
        ({"qw": lambda _: None}, "a column is missing; got .*tx_m.*, wanted qw"),
        ({"width_m": lambda sizes: [0.0, *sizes[1:]]}, "1 cuboids make no sense"),
        ({"tx_m": lambda places: [float("nan"), *places[1:]]}, "1 cuboids make no sense"),
        ({"num_interior_pts": lambda counts: [None, *counts[1:]]}, "values are missing; got 1 of 15"),
        ({"num_interior_pts": lambda counts: [f"{count}" for count in counts]}, "values of another kind"),
        ({name: lambda values: [0.0] * len(values) for name in ("qw", "qx", "qy", "qz")}, "a quaternion has length 0"),
    ],
)
def test_broken_annotations_are_refused(root: Path, columns: dict[str, Any], message: str) -> None:
    one = sweep(root)
    change(root / "train/log-train/annotations.feather", **columns)
    with pytest.raises(DataError, match=rf"annotations\.feather.*{message}"):
        one.read()


def test_missing_and_damaged_files(root: Path) -> None:
    log = root / "train/log-train"
    one = sweep(root, row=1, sweeps=2)
    change(log / "city_SE3_egovehicle.feather", timestamp_ns=lambda times: [time + 1 for time in times])
    with pytest.raises(DataError, match=r"2 sweeps have no pose.*data\.sweeps to 1"):
        one.read()
    assert len(sweep(root, row=1).read().truth) == 3  # one sweep needs no pose
    (log / "city_SE3_egovehicle.feather").unlink()
    with pytest.raises(DataError, match=r"city_SE3_egovehicle\.feather does not exist"):
        Argoverse2Settings(root=root, sweeps=2).split().require()
    path = one.files()[0]
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="a damaged feather file"):
        one.read()
    path.unlink()
    with pytest.raises(DataError, match=r"no such file\. Download it again"):
        one.read()
    (log / "annotations.feather").unlink()
    with pytest.raises(DataError, match=r"annotations\.feather does not exist"):
        Argoverse2Settings(root=root).split().require()


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        Argoverse2Settings(root=tmp_path / "none").split()
    write_log(tmp_path / "log", 1)
    with pytest.raises(DataError, match="not an Argoverse 2 folder; got log, wanted train/LOG/sensors/lidar"):
        Argoverse2Settings(root=tmp_path).split()


def test_without_pyarrow_the_extra_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Vol3dError, match=r"need the package pyarrow.*pip install 'vol3d\[argoverse\]'"):
        sweep(root).read()


def test_boxes_of_a_real_log_hold_the_points_that_were_counted(data_root: Path) -> None:
    real = data_root / "argoverse2" / "sensor"
    if not real.is_dir():
        pytest.skip(f"{real} is not there")
    for one in Argoverse2Settings(root=real).split().labelled[:2]:
        assert isinstance(one, Argoverse2Sweep)
        found, xyz = one.annotations(), torch.from_numpy(one.read().cloud.xyz)
        counted = count_points_in_boxes(xyz, torch.from_numpy(found.boxes.astype(np.float32))).numpy()
        assert len(found) and np.abs(counted - found.points).max() <= 1


def test_numbers_of_any_width_are_read(tmp_path: Path) -> None:
    values = {"a": np.array([1, 2], np.uint8), "b": np.array([0.5, 1], np.float16), "c": ["x", "yy"]}
    write_feather(tmp_path / "a.feather", values)
    read = read_feather(tmp_path / "a.feather", {"a": "float32", "b": "float64", "c": "text"})
    assert [column.tolist() for column in read.values()] == [[1, 2], [0.5, 1], ["x", "yy"]]
    with pytest.raises(DataError, match=r"column b: values of another kind; got halffloat, wanted int64"):
        read_feather(tmp_path / "a.feather", {"b": "int64"})
