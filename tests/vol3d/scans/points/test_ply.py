"""PLY: every layout gives the same points; every damaged file is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.scans.points.maker import write_ply
from vol3d.errors import DataError, UsageError
from vol3d.scans import read_points
from vol3d.scans.points.ply import read_ply

KINDS = ("ascii", "binary_little_endian", "binary_big_endian")


def columns(n: int = 50) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    values = {"x": rng.normal(size=n), "nx": np.ones(n, "f4"), "y": rng.normal(size=n).astype("f4")}
    values |= {"blue": rng.integers(0, 256, n).astype("u1"), "z": rng.integers(-9, 9, n).astype("i2")}
    values |= {"ny": np.zeros(n, "f4"), "nz": np.zeros(n, "f4"), "red": rng.integers(0, 256, n).astype("u1")}
    values |= {"green": rng.integers(0, 256, n).astype("u1"), "scalar_Label": rng.integers(0, 20, n).astype("f4")}
    return values | {"quality": rng.random(n).astype("f4"), "Intensity": rng.random(n)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "faces", [None, [], [[0, 1, 2]], [[0, 1, 2], [3, 4, 5], [0, 2, 49]], [[0, 1, 2, 3, 4], [5, 6, 7]]]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_types_order_and_elements(tmp_path: Path, kind: str, faces: list[list[int]] | None, end: str) -> None:
    wanted = columns()
    raw = read_ply(write_ply(tmp_path / "a.ply", wanted, kind, faces, end=end))
    assert list(raw.fields) == [name.lower() for name in wanted]
    for name, values in wanted.items():
        exact = values.dtype.itemsize < 8 or kind != "ascii"  # decimals to float64 come within two units of the last
        assert np.allclose(raw.fields[name.lower()], values, rtol=0 if exact else 5e-16, atol=0), name
    fans = [[face[0], face[i], face[i + 1]] for face in faces or () for i in range(1, len(face) - 1)]
    assert (fans == []) if raw.faces is None else (raw.faces.tolist() == fans)


@pytest.mark.parametrize("kind", KINDS)
def test_names_get_their_meaning(tmp_path: Path, kind: str) -> None:
    wanted = columns()
    faces = np.arange(27).reshape(9, 3).tolist()
    cloud = read_points(write_ply(tmp_path / "a.ply", wanted, kind, faces), up="z", units="m")
    assert np.array_equal(cloud.xyz, np.stack([wanted[axis] for axis in "xyz"], 1).astype(np.float32))
    assert set(cloud.columns) == {"rgb", "normal", "class", "quality", "intensity"}
    assert np.array_equal(cloud.columns["rgb"], np.stack([wanted[name] for name in ("red", "green", "blue")], 1))
    assert cloud.columns["class"].dtype == np.int64 and np.array_equal(cloud.columns["class"], wanted["scalar_Label"])
    assert cloud.columns["normal"].tolist() == [[1, 0, 0]] * 50 and cloud.notes == ()
    assert cloud.faces is not None and cloud.faces.tolist() == faces


def test_one_point(tmp_path: Path) -> None:
    for kind in KINDS:
        cloud = read_points(write_ply(tmp_path / "a.ply", columns(1), kind), up="z", units="m")
        assert len(cloud) == 1 and cloud.columns["rgb"].shape == (1, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("faces", [None, [[0, 1, 2], [0, 1, 2, 3]]])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, kind: str, faces: list[list[int]] | None) -> None:
    whole = write_ply(tmp_path / "a.ply", columns(5), kind, faces).read_bytes()
    # A text that ends inside its last number, or without its last line end, cannot be told from a whole one.
    last = len(whole) - 4 if kind == "ascii" else len(whole)
    for size in range(last):
        (tmp_path / "a.ply").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"a\.ply"):
            read_points(tmp_path / "a.ply")


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_that_promises_more_or_less(tmp_path: Path, kind: str) -> None:
    for count in (4, 6, 4_000_000_000):
        with pytest.raises(DataError, match=r"a\.ply"):
            read_points(write_ply(tmp_path / "a.ply", columns(5), kind, count=count))


def test_surplus_bytes(tmp_path: Path) -> None:
    path = write_ply(tmp_path / "a.ply", columns(5))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataError, match="goes on after its last point"):
        read_points(path)
    path = write_ply(tmp_path / "a.ply", columns(5), "ascii")
    path.write_bytes(path.read_bytes() + b"1 2 3\n")
    with pytest.raises(DataError, match="goes on after its last element"):
        read_points(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format ascii 1.0", "format utf8 1.0", "cannot have"),
        ("format ascii 1.0\n", "", "cannot have|no format"),
        ("property double x", "property quad x", "unknown type 'quad'"),
        ("property double x", "property double", "damaged PLY header"),
        ("property double x", "property double y", "two properties are named 'y'"),
        ("property double x", "property double u", "the points have no x"),
        ("property double x", "property list uchar int x", "lists as properties"),
        ("element vertex 5", "element vertex -5", "-5 rows"),
        ("element vertex 5", "element vertex five", "damaged PLY header"),
        ("element vertex 5", "element knots 5", "no points in the file.*camera knots face remark"),
        ("list int uchar letters", "list float uchar letters", "length as float"),
        ("end_header", "end", "header is cut"),
        ("7 3 0 1 2", "7 3 0 1", "missing or surplus values"),
        ("7 3 0 1 2", "7 3 0 1 5", "names a point that is not there.*0 to 4"),
        ("7 3 0 1 2", "7 3 0 1 -1", "names a point that is not there"),
        ("1.5\n", "1.5x\n", r"a\.ply:25: a word that is no number"),
        ("1.5\n", "1.5 3\n", "another number of values"),
    ],
)  # fmt: skip
def test_damaged_text(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write_ply(tmp_path / "a.ply", columns(5), "ascii", [[0, 1, 2]])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_points(path)


def test_a_value_outside_its_type(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    head = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
    for value in ("300", "-1", "nan"):
        path.write_text(f"{head}property uchar red\nend_header\n1 2 3 {value}\n")
        with pytest.raises(DataError, match="a red outside its type"):
            read_points(path)


def test_the_files_own_unit(tmp_path: Path) -> None:
    cloud = read_points(write_ply(tmp_path / "a.ply", columns(), comment="units: mm"), up="z")
    assert np.allclose(
        cloud.xyz[:, 0], columns()["x"] / 1000
    ) and "the coordinates are in millimetres, as the file says" in str(cloud.notes[0])


def test_columns_are_the_files_own(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names its own columns"):
        read_points(write_ply(tmp_path / "a.ply", columns()), columns=("x", "y", "z"))


@pytest.mark.parametrize("kind", [False, True])
def test_equal_to_open3d(tmp_path: Path, kind: bool) -> None:
    open3d = pytest.importorskip("open3d")
    mesh = open3d.geometry.TriangleMesh.create_sphere(1.0, 20)
    mesh.paint_uniform_color((0.2, 0.4, 0.6))
    mesh.compute_vertex_normals()
    open3d.io.write_triangle_mesh(str(tmp_path / "a.ply"), mesh, write_ascii=kind)
    cloud = read_points(tmp_path / "a.ply", up="z", units="m")
    assert np.allclose(cloud.xyz, np.asarray(mesh.vertices), atol=1e-6)
    assert cloud.faces is not None and np.array_equal(cloud.faces, np.asarray(mesh.triangles))
    assert np.allclose(cloud.columns["normal"], np.asarray(mesh.vertex_normals), atol=1e-5)
    assert np.abs(cloud.columns["rgb"].astype(float) - np.array([51, 102, 153])).max() <= 1


def test_real_scan_equals_numpys_own_parser(data_root: Path) -> None:
    path = data_root / "scannet" / "scan.ply"
    wanted = np.loadtxt(path, skiprows=path.read_text().split("end_header")[0].count("\n") + 1)
    assert np.array_equal(read_points(path, up="z", units="m").xyz, wanted.astype(np.float32))


def test_a_mark_of_utf8(tmp_path: Path) -> None:
    for kind in ("ascii", "binary_little_endian"):
        path = write_ply(tmp_path / "a.ply", columns(), kind)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert np.allclose(read_points(path, up="z", units="m").xyz[:, 0], columns()["x"])


def test_coordinates_of_any_order_and_mixed_types(tmp_path: Path) -> None:
    wanted = {
        "z": np.arange(9.0),
        "intensity": np.arange(9, dtype="u1"),
        "y": np.ones(9, "f4"),
        "x": np.full(9, -1, "i2"),
    }
    for kind in ("ascii", "binary_little_endian", "binary_big_endian"):
        cloud = read_points(write_ply(tmp_path / "a.ply", wanted, kind), up="z", units="m")
        assert np.array_equal(cloud.xyz, np.stack((wanted["x"], wanted["y"], wanted["z"]), axis=1))


def test_coordinates_as_lists_are_refused(tmp_path: Path) -> None:
    header = (
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar float x\nproperty float y\nproperty float z\n"
    )
    (tmp_path / "a.ply").write_text(header + "end_header\n1 2 3 4\n")
    with pytest.raises(DataError, match="points with lists as properties"):
        read_points(tmp_path / "a.ply")


@pytest.mark.parametrize("element", ["vertex", "face"])
def test_a_small_file_that_announces_billions(tmp_path: Path, element: str) -> None:
    for kind in ("ascii", "binary_little_endian"):
        path = write_ply(tmp_path / "a.ply", columns(), kind, [[0, 1, 2]] * 4)
        count = 50 if element == "vertex" else 4
        announced = f"element {element} {count}\n".encode(), f"element {element} 4000000000\n".encode()
        content = path.read_bytes().replace(*announced)
        path.write_bytes(content)
        with pytest.raises(DataError, match="the file is cut"):
            read_points(path)


def test_numbers_that_would_be_changed_are_refused(tmp_path: Path) -> None:
    path = write_ply(tmp_path / "a.ply", {**columns(), "time": np.full(50, 3.5)}, "ascii", [[0, 1, 2]])
    text = path.read_text()
    path.write_text(text.replace("7 3 0 1 2", "7 3 0 1.5 2"))
    with pytest.raises(DataError, match=r"a corner that is no whole number; got 1\.5"):
        read_points(path)
    path.write_text(text.replace("3.5\n", "1e300\n", 1))
    with pytest.raises(DataError, match="the time is outside the range of float32"):
        read_points(path)
