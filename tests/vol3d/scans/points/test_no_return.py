"""Numbers that stand for no return are left out and counted; real points, at the origin too, stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.scans.points.maker import room, write_pcd, write_ply
from vol3d.errors import DataError
from vol3d.scans import read_points
from vol3d.scans.points.read import points_of

ROOM = (room(np.random.default_rng(0)) - (2.5, 2, 1.3)).astype(np.float32)
LOST = 3000


def with_lost(place: tuple[float, float, float], xyz: np.ndarray = ROOM) -> np.ndarray:
    at = np.sort(np.random.default_rng(1).integers(0, len(xyz), LOST))
    return np.insert(xyz, at, np.full((LOST, 3), place, xyz.dtype), axis=0)


PLACES = [(0, 0, 0), (-0.0, 0, -0.0), (1.5, -0.25, 1), (-9999, -9999, -9999), (0.5, 0.5, 65.535), (1e9, 0, 0)]


@pytest.mark.parametrize("place", [*PLACES, (3.4028235e38,) * 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_stands_for_no_return_changes_nothing(place: tuple[float, float, float], dtype: type) -> None:
    clean, nans, lost = (points_of(xyz.astype(dtype)) for xyz in (ROOM, with_lost((np.nan,) * 3), with_lost(place)))
    assert np.array_equal(clean.xyz, lost.xyz) and np.array_equal(clean.xyz, nans.xyz)
    assert np.array_equal(clean.file_from_scan, lost.file_from_scan)
    (note,) = (note for note in lost.notes if note.code == "no-return")
    assert note.numbers["left_out"] == LOST and f"{LOST} of {len(ROOM) + LOST} points" in str(note)


def _columns(xyz: np.ndarray) -> dict[str, np.ndarray]:
    return {axis: xyz[:, number] for number, axis in enumerate("xyz")} | {"intensity": np.any(xyz, axis=1) * xyz[:, 0]}


def _las(path: Path, xyz: np.ndarray) -> None:
    laspy = pytest.importorskip("laspy")
    las = laspy.LasData(laspy.LasHeader(version="1.2", point_format=3))
    las.header.scales = np.full(3, 0.0001)
    las.x, las.y, las.z = xyz.T.astype(np.float64)
    las.write(str(path))


WRITERS: dict[str, Callable[[Path, np.ndarray], object]] = {
    "a.ply": lambda path, xyz: write_ply(path, _columns(xyz)),
    "a.pcd": lambda path, xyz: write_pcd(path, _columns(xyz)),
    "a.bin": lambda path, xyz: xyz.tofile(path),
    "a.npz": lambda path, xyz: np.savez(path, points=xyz),
    "a.csv": lambda path, xyz: np.savetxt(path, xyz, delimiter=",", fmt="%.6f"),
    "a.las": _las,
}


@pytest.mark.parametrize("name", WRITERS)
def test_of_every_format(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, with_lost((0, 0, 0)))
    cloud = read_points(tmp_path / name, up="z", units="m")
    assert len(cloud) == len(ROOM) and np.allclose(cloud.xyz, ROOM, atol=1e-4)
    assert all(len(values) == len(ROOM) for values in cloud.columns.values())


@pytest.mark.parametrize("more", ["intensity", "rgb"])
def test_they_do_not_hide_the_columns_of_a_bin(tmp_path: Path, more: str) -> None:
    rng = np.random.default_rng(2)
    values = rng.random((len(ROOM), 1)) if more == "intensity" else rng.integers(0, 256, (len(ROOM), 3))
    table = np.concatenate((ROOM, values), axis=1).astype(np.float32)
    np.insert(table, np.arange(LOST), 0, axis=0).tofile(tmp_path / "a.bin")
    cloud = read_points(tmp_path / "a.bin", up="z", units="m")
    assert len(cloud) == len(ROOM) and more in cloud.columns


def test_faces_to_points_without_return_are_left_out(tmp_path: Path) -> None:
    xyz = np.concatenate((ROOM[:10], np.zeros((5, 3), np.float32), ROOM[10:20]))
    faces = [[0, 1, 2], [3, 4, 5], [6, 7, 9], [8, 9, 10], [15, 16, 19], [17, 18, 20]]
    cloud = read_points(write_ply(tmp_path / "a.ply", _columns(xyz), faces=faces), up="z", units="m")
    assert cloud.faces is not None and len(cloud) == 20
    assert cloud.faces.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 9], [10, 11, 14], [12, 13, 15]]


def test_real_points_stay() -> None:
    for at_origin in (1, 3):
        assert len(points_of(np.concatenate((ROOM, np.zeros((at_origin, 3), np.float32))))) == len(ROOM) + at_origin
    rounded = np.round(ROOM[:, [0, 1, 0]] * (1, 1, 0), 1)  # up to 20 points at each place, one of which is the origin
    assert len(points_of(rounded)) == len(rounded)
    for equal in (np.full((500, 3), 2.5), np.tile(np.array([[0, 0, 0], [1, 2, 3]]), (50, 1))):
        assert len(points_of(equal)) == len(equal)
    assert len(points_of(ROOM * 6000, units="mm")) == len(ROOM)  # 9999, 10000 and others lie inside


def test_nothing_but_zeros_is_no_cloud() -> None:
    with pytest.raises(DataError, match=r"no point has a return; got 50 points at \(0, 0, 0\)"):
        points_of(np.zeros((50, 3)))
