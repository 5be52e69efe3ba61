"""How the clouds of a folder were understood: silence on what was found, one fault for what was assumed or differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointcloud.datasets.assumptions import Reading, judge_readings
from pointcloud.datasets.check import check
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.datasets.prepare import prepare
from tests.pointcloud.datasets.makers import edit_boxes, room, write_point_folder


def faults(root: Path, **settings: str) -> list[tuple[str, str]]:
    found = check(PointFolderSettings(root=root, **settings).split(), 0)
    return [(fault.severity, str(fault)) for fault in found if fault.case == root.name]


def hall(path: Path, seed: int, up: str = "z") -> None:
    """A floor with things on it, metres: its points tell the unit and the axis."""
    rng = np.random.default_rng(seed)
    floor = rng.uniform((0, 0, 0), (5, 4, 0.01), (6000, 3))
    things = rng.uniform(0, 1, (3000, 3)) ** [1, 1, 2] * [5, 4, 2.4]
    xyz = np.concatenate([floor, things]).astype(np.float32)
    np.save(path, xyz if up == "z" else xyz[:, [0, 2, 1]] * np.array([1, 1, -1], np.float32))


def ball(path: Path, seed: int) -> None:
    """Points that tell neither unit nor axis."""
    np.save(path, np.random.default_rng(seed).normal(size=(3000, 3)) * 2000)


def test_what_was_found_is_no_fault(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path / "mine")
    edit_boxes(root, class_names=["chair"], scenes={f"room{n}.npy": [] for n in range(4)})
    for number in range(4):
        hall(root / f"room{number}.npy", number)
    assert [said for _, said in faults(root) if "annotated box" not in said] == []


def test_what_was_assumed_is_one_warning_that_names_the_setting(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path / "mine")
    for number in range(4):
        ball(root / f"room{number}.npy", number)
    warnings = [said for severity, said in faults(root, units="mm") if severity == "warning" and "assumed" in said]
    (warning,) = warnings
    assert "up z was assumed in 4 scenes, whose points do not show it: room0, room1, room2, room3" in warning
    assert "add `up=z` to this command" in warning and "--up" not in warning
    assert not any("assumed" in said for _, said in faults(root, units="mm", up="z"))


def test_scenes_read_differently_are_an_error_until_the_setting_is_given(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path / "mine")
    for number in range(4):
        hall(root / f"room{number}.npy", number, "y" if number < 2 else "z")
    ((severity, said),) = [fault for fault in faults(root) if "different" in fault[1]]
    assert severity == "error" and "different axes up: " in said and "y found in 2" in said and "z found in 2" in said
    prepare(PointFolderSettings(root=root).split(), tmp_path / "ready", 0)
    ready = check(PointFolderSettings(root=tmp_path / "ready").split(), 0)
    assert "different axes up" in next(fault.what for fault in ready if fault.severity == "error")
    assert not any("different" in said for _, said in faults(root, up="y"))


def test_what_was_found_is_proposed_for_what_was_assumed() -> None:
    rows = [Reading("a", "units", "m", True), Reading("b", "units", "m", True), Reading("c", "units", "mm", False)]
    (fault,) = judge_readings("mine", rows)
    assert fault.severity == "error" and "m assumed in 2, mm found in 1" in fault.what and "`units=mm`" in fault.do


def test_columns_may_differ_and_are_told_once_where_they_were_assumed(tmp_path: Path) -> None:
    assert list(judge_readings("mine", [])) == []
    root = write_point_folder(tmp_path / "mine")
    for number in (2, 3):
        table = np.column_stack([room(number).xyz, np.random.default_rng(0).uniform(0, 1, len(room(number).xyz))])
        np.save(root / f"room{number}.npy", table.astype(np.float32))
    told = [said for _, said in faults(root) if "columns" in said]
    assert len(told) == 1 and told[0].startswith("warning: mine: columns [x,y,z,intensity] was assumed in 2 scenes")
