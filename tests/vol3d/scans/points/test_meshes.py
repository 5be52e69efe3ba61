"""Meshes of OBJ and GLB and terrestrial scans of E57, written by the libraries that others use."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vol3d.errors import DataError, Vol3dError
from vol3d.scans.points.mesh import sample_surface
from vol3d.scans.points.read import read_points

trimesh = pytest.importorskip("trimesh", reason="the extra `surfaces` is not installed")


def test_an_obj_keeps_corners_and_triangles_and_is_sampled_the_same_each_time(tmp_path: Path) -> None:
    trimesh.creation.box((4, 2, 1)).export(tmp_path / "box.obj")
    cloud = read_points(tmp_path / "box.obj", up="z", units="m")
    assert cloud.faces is not None and len(cloud.faces) == 12
    np.testing.assert_allclose(np.ptp(cloud.xyz, axis=0), [4, 2, 1])
    first, again = (sample_surface(cloud, 1000, np.random.default_rng(0)) for _ in range(2))
    np.testing.assert_array_equal(first.xyz, again.xyz)
    assert "1000 points were drawn" in str(first.notes[-1])


def test_a_glb_has_y_up_metres_and_its_parts_in_place(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box((4, 2, 1)))
    place = np.eye(4)
    place[:3, 3] = (10, 5, 0)
    scene.add_geometry(trimesh.creation.box((1, 1, 1)), transform=place)
    scene.export(tmp_path / "two.glb")
    cloud = read_points(tmp_path / "two.glb")
    assert len(cloud.faces if cloud.faces is not None else ()) == 24
    np.testing.assert_allclose(cloud.xyz.max(axis=0), [10.5, 0.5, 5.5])  # file x, -z, y
    assert not [note for note in cloud.notes if note.assumed]


def test_colours_of_corners(tmp_path: Path) -> None:
    (tmp_path / "c.obj").write_text("v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 1\nf 1 2 3\n")
    cloud = read_points(tmp_path / "c.obj", up="z", units="m")
    assert sorted(map(tuple, cloud.columns["rgb"].tolist())) == [(0, 0, 255), (0, 255, 0), (255, 0, 0)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.obj", b"v 1 2\nf 1 2 9\n"),
        ("b.obj", b"# nothing\n"),
        ("c.glb", b"glTF\x02\0\0\0cut"),
        ("d.glb", b"no mesh at all"),
    ],
)
def test_damaged_meshes_are_one_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        read_points(tmp_path / name)


def test_an_e57_gives_back_its_points(tmp_path: Path) -> None:
    pye57 = pytest.importorskip("pye57", reason="the extra `e57` is not installed")
    points = np.random.default_rng(0).uniform(-5, 5, (300, 3))
    file = pye57.E57(str(tmp_path / "a.e57"), mode="w")
    for shift in (0.0, 20.0):
        data = {f"cartesian{axis}": points[:, at].copy() for at, axis in enumerate("XYZ")}
        data["intensity"] = np.linspace(0, 1, 300)
        file.write_scan_raw(data, translation=np.array([shift, 0, 0]), rotation=np.array([1.0, 0, 0, 0]))
    file.close()
    cloud = read_points(tmp_path / "a.e57", up="z")
    np.testing.assert_allclose(cloud.xyz[300:], points + np.array([20, 0, 0]), atol=1e-5)
    np.testing.assert_allclose(cloud.columns["intensity"][:300], np.linspace(0, 1, 300), atol=1e-6)
    assert any("2 scans" in str(note) for note in cloud.notes)

    (tmp_path / "b.e57").write_bytes((tmp_path / "a.e57").read_bytes()[:2000])
    with pytest.raises(DataError, match=r"b\.e57"):
        read_points(tmp_path / "b.e57")


def test_what_an_e57_leaves_out_is_noted(tmp_path: Path) -> None:
    pye57 = pytest.importorskip("pye57", reason="the extra `e57` is not installed")
    points = np.random.default_rng(0).uniform(-5, 5, (300, 3))
    file = pye57.E57(str(tmp_path / "a.e57"), mode="w")
    data = {f"cartesian{axis}": points[:, at].copy() for at, axis in enumerate("XYZ")}
    for more in ({"intensity": np.linspace(0, 1, 300)}, {"cartesianInvalidState": np.arange(300) % 3 // 2}):
        file.write_scan_raw({**data, **more}, translation=np.zeros(3), rotation=np.array([1.0, 0, 0, 0]))
    file.close()
    cloud = read_points(tmp_path / "a.e57", up="z")
    said = {note.code: str(note) for note in cloud.notes}
    assert len(cloud) == 500 and "intensity" not in cloud.columns
    assert "columns intensity" in said["columns-not-shared"] and "100 of 600" in said["points-invalid"]


def test_without_the_package_the_way_out_is_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.e57").write_bytes(b"ASTM-E57" + bytes(100))
    (tmp_path / "a.obj").write_bytes(b"v 0 0 0\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Vol3dError, match=r"vol3d\[e57\]"):
        read_points(tmp_path / "a.e57")
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(Vol3dError, match=r"vol3d\[surfaces\]"):
        read_points(tmp_path / "a.obj")
