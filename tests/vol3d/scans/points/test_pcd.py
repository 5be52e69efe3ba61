"""PCD: ascii, binary and compressed give the same points; every damaged file is named."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference.lzf import decode
from tests.vol3d.scans.points.maker import lzf, write_pcd
from vol3d.errors import DataError
from vol3d.scans import read_points
from vol3d.scans.points.lzf import decode_lzf
from vol3d.scans.points.pcd import read_pcd

KINDS = ("ascii", "binary", "binary_compressed")


def columns(n: int = 60) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    values = {"x": rng.normal(size=n).astype("f4"), "y": rng.normal(size=n), "z": rng.integers(-9, 9, n).astype("i2")}
    values |= {"ring": rng.integers(0, 64, n).astype("u2"), "histogram": rng.random((n, 5)).astype("f4")}
    return values | {"rgb": rng.integers(0, 1 << 24, n).astype("u4"), "intensity": rng.random(n).astype("f4")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 60])
def test_any_types_sizes_and_counts(tmp_path: Path, kind: str, n: int) -> None:
    wanted = columns(n)
    raw = read_pcd(write_pcd(tmp_path / "a.pcd", wanted, kind))
    assert list(raw.fields) == list(wanted)
    for name, values in wanted.items():
        exact = values.dtype.itemsize < 8 or kind != "ascii"  # as in test_ply
        assert np.allclose(raw.fields[name], values, rtol=0 if exact else 5e-16, atol=0), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", ["u4", "f4"])
def test_packed_colours(tmp_path: Path, kind: str, packed: str) -> None:
    rgb = np.array([[255, 0, 0], [0, 128, 0], [1, 2, 3]], np.uint32)
    bits = (rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]).view(packed)
    wanted = {axis: np.arange(3, dtype="f4") for axis in "xyz"} | {"rgb": bits}
    cloud = read_points(write_pcd(tmp_path / "a.pcd", wanted, kind), up="z", units="m")
    assert np.array_equal(cloud.columns["rgb"], rgb) and cloud.columns["rgb"].dtype == np.uint8


def test_points_of_an_organised_cloud_without_depth_are_left_out(tmp_path: Path) -> None:
    wanted = columns()
    wanted["y"][10:25] = np.nan
    cloud = read_points(write_pcd(tmp_path / "a.pcd", wanted, height=6), up="z", units="m")
    assert [*map(str, cloud.notes)] == ["15 of 60 points had coordinates that are not finite and were left out"]
    assert len(cloud) == 45 and np.array_equal(cloud.columns["ring"][10:], wanted["ring"][25:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    whole = write_pcd(tmp_path / "a.pcd", columns(4), kind).read_bytes()
    last = len(whole) - 30 if kind == "ascii" else len(whole)  # as in test_ply
    for size in range(last):
        (tmp_path / "a.pcd").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"a\.pcd"):
            read_points(tmp_path / "a.pcd")


@pytest.mark.parametrize("kind", KINDS)
def test_surplus_data(tmp_path: Path, kind: str) -> None:
    path = write_pcd(tmp_path / "a.pcd", columns(4), kind)
    path.write_bytes(path.read_bytes() + (b"1 2\n" if kind == "ascii" else b"\1"))
    with pytest.raises(DataError, match="goes on after its last point"):
        read_points(path)


def test_zeros_that_fill_a_page_are_no_fault(tmp_path: Path) -> None:
    path = write_pcd(tmp_path / "a.pcd", columns(4), "binary_compressed")
    path.write_bytes(path.read_bytes() + bytes(1000))
    assert len(read_points(path)) == 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("VERSION 0.7", "VERSIONS 0.7", r"a\.pcd:2: not a PCD file"),
        ("SIZE 4 8", "SIZE 4", "damaged PCD header"),
        ("SIZE 4 8", "SIZE 3 8", "damaged PCD header"),
        ("TYPE F", "TYPE Q", "damaged PCD header"),
        ("COUNT 1", "COUNT -1", "COUNT -1"),
        ("WIDTH 4", "WIDTH 3", "POINTS 4, WIDTH 3"),
        ("FIELDS x y", "FIELDS x x", "two properties are named 'x'"),
        ("FIELDS x y", "FIELDS u y", "no x"),
        ("DATA binary", "DATA zip", "DATA zip"),
        ("POINTS 4", "POINTS -4", "damaged PCD header"),
        ("WIDTH 4\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 4", "WIDTH 0\nHEIGHT 1\nPOINTS 0", "goes on"),
        ("WIDTH 4\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 4", "WIDTH 4000000000\nHEIGHT 1", "is cut"),
    ],
)  # fmt: skip
def test_damaged_headers(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write_pcd(tmp_path / "a.pcd", columns(4))
    assert old.encode() in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode(), 1))
    with pytest.raises(DataError, match=message):
        read_points(path)


def test_no_points(tmp_path: Path) -> None:
    for kind in ("ascii", "binary"):
        path = write_pcd(tmp_path / "a.pcd", columns(1), kind, points=0)
        path.write_bytes(path.read_bytes().split(b"DATA")[0] + f"DATA {kind}\n".encode())
        with pytest.raises(DataError, match="no points in the file"):
            read_points(path)


def test_a_sensors_place_is_told(tmp_path: Path) -> None:
    path = write_pcd(tmp_path / "a.pcd", columns(4))
    path.write_bytes(path.read_bytes().replace(b"VIEWPOINT 0", b"VIEWPOINT 2"))
    assert "VIEWPOINT, at (2, 0, 0), was not applied" in str(read_points(path).notes[0])


def test_nuscenes_files_are_no_pcd(tmp_path: Path) -> None:
    (tmp_path / "a.pcd").write_bytes(np.random.default_rng(0).random((50, 5), np.float32).tobytes() + b"\n")
    with pytest.raises(DataError, match=r"not a PCD file|header is cut"):
        read_points(tmp_path / "a.pcd")


@given(st.lists(st.sampled_from([b"a", b"ab", b"abc" * 200, bytes(9000), b"\xff\x00"]), max_size=30).map(b"".join))
def test_lzf_unpacks_what_was_packed(plain: bytes) -> None:
    packed = lzf(plain)
    assert decode_lzf(np.frombuffer(packed, np.uint8), len(plain)).tobytes() == plain == decode(packed)


@given(st.binary(max_size=80), st.integers(0, 200))
def test_lzf_of_anything_stays_within_its_bounds(packed: bytes, size: int) -> None:
    assert len(decode_lzf(np.frombuffer(packed, np.uint8), size)) <= size


def test_damaged_compression(tmp_path: Path) -> None:
    path = write_pcd(tmp_path / "a.pcd", columns(20), "binary_compressed")
    whole = path.read_bytes()
    at = whole.index(b"DATA binary_compressed\n") + 23
    path.write_bytes(whole[: at + 4] + struct.pack("<I", 5) + whole[at + 8 :])
    with pytest.raises(DataError, match="header and data disagree"):
        read_points(path)
    path.write_bytes(whole[: at + 8] + b"\xff" + whole[at + 9 :])
    with pytest.raises(DataError, match="compressed points are damaged"):
        read_points(path)


@pytest.mark.parametrize(("ascii_", "compressed"), [(True, False), (False, False), (False, True)])
def test_equal_to_open3d(tmp_path: Path, ascii_: bool, compressed: bool) -> None:
    open3d = pytest.importorskip("open3d")
    rng = np.random.default_rng(0)
    wanted = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(rng.normal(size=(500, 3))))
    wanted.colors = open3d.utility.Vector3dVector(rng.random((500, 3)))
    wanted.normals = open3d.utility.Vector3dVector(rng.normal(size=(500, 3)))
    path = str(tmp_path / "a.pcd")
    open3d.io.write_point_cloud(path, wanted, write_ascii=ascii_, compressed=compressed)
    read, cloud = open3d.io.read_point_cloud(path), read_points(path, up="z", units="m")
    assert np.allclose(cloud.xyz, np.asarray(read.points), atol=1e-6)
    assert np.allclose(cloud.columns["normal"], np.asarray(read.normals), atol=1e-6)
    assert np.abs(cloud.columns["rgb"] - np.asarray(read.colors) * 255).max() < 1e-3


def test_real_fragment(data_root: Path) -> None:
    cloud = read_points(data_root / "fragment.pcd")
    assert len(cloud) == 113_662 and set(cloud.columns) == {"rgb", "normal", "curvature"}
    assert np.allclose(np.linalg.norm(cloud.columns["normal"], axis=1), 1, atol=1e-3)
    assert any("assumed to be up" in str(note) for note in cloud.notes)  # it is one wall, which tells nothing
