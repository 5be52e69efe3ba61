"""NumPy files: which array holds the points, and every damaged or dangerous one refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vol3d.errors import DataError, UsageError
from vol3d.scans import read_points

RNG = np.random.default_rng(0)
XYZ = RNG.normal(size=(40, 3))


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8", "i2", "i4", ">i8", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_type_and_order(tmp_path: Path, dtype: str, order: str) -> None:
    wanted = (np.abs(XYZ) * 10).astype(dtype)
    np.save(tmp_path / "a.npy", np.asarray(wanted, order=order))  # type: ignore[call-overload]
    assert np.array_equal(read_points(tmp_path / "a.npy", up="z", units="m").xyz, wanted.astype(np.float32))


def test_columns_behind_the_coordinates(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.concatenate((XYZ, RNG.random((40, 3))), axis=1))
    cloud = read_points(tmp_path / "a.npy")
    assert set(cloud.columns) == {"rgb"} and "x,y,z,red,green,blue were assumed" in str(cloud.notes[0])
    cloud = read_points(tmp_path / "a.npy", columns=("x", "y", "z", "_", "intensity", "_"))
    assert set(cloud.columns) == {"intensity"}


def test_what_hides_the_columns_is_named(tmp_path: Path) -> None:
    table = np.concatenate((XYZ, RNG.random((40, 1))), axis=1).repeat(5, axis=0)
    table[3, 3] = -0.5
    np.save(tmp_path / "a.npy", table)
    with pytest.raises(DataError, match=r"got 4 columns: column 4 \(-0\.5 to 0\.\d+\) is no intensity\. Name its"):
        read_points(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.where(np.arange(4) == 3, np.nan, table))
    with pytest.raises(DataError, match="got 4 columns: no finite number in column 4"):
        read_points(tmp_path / "b.npy")
    table[3] = (1e30, 0, 0, 0.5)
    np.save(tmp_path / "c.npy", table)
    with pytest.raises(DataError, match="extend farther than any scan"):
        read_points(tmp_path / "c.npy", up="z", units="m")


def test_structured_arrays_name_their_columns(tmp_path: Path) -> None:
    rows = np.zeros(
        (4, 10), [("X", "f8"), ("y", "<f4"), ("z", ">f4"), ("ring", "u1"), ("name", "U4"), ("normal", "f4", 3)]
    )
    rows["X"] = XYZ[:, 0].reshape(4, 10)
    np.save(tmp_path / "a.npy", rows)
    cloud = read_points(tmp_path / "a.npy", up="z", units="m")
    assert np.array_equal(cloud.xyz[:, 0], XYZ[:, 0].astype(np.float32)) and set(cloud.columns) == {"ring", "normal"}
    with pytest.raises(UsageError, match="names of their own"):
        read_points(tmp_path / "a.npy", columns=("x", "y", "z"))


@pytest.mark.parametrize("key", ["points", "xyz", "pc", "coord", "whatever"])
def test_npz_by_a_usual_name_or_alone(tmp_path: Path, key: str) -> None:
    np.savez(tmp_path / "a.npz", **{key: XYZ})
    assert np.array_equal(read_points(tmp_path / "a.npz", up="z", units="m").xyz, XYZ.astype(np.float32))


def test_npz_with_columns_and_faces(tmp_path: Path) -> None:
    faces = np.array([[0, 1, 39], *np.arange(21).reshape(7, 3)])
    more = {"color": RNG.random((40, 3)), "labels": RNG.integers(0, 5, 40), "other": np.zeros(7)}
    np.savez_compressed(tmp_path / "a.npz", coord=XYZ, faces=faces, **more)
    cloud = read_points(tmp_path / "a.npz", up="z", units="m")
    assert set(cloud.columns) == {"rgb", "class"} and cloud.faces is not None and np.array_equal(cloud.faces, faces)
    assert np.array_equal(cloud.columns["class"], more["labels"])
    assert [str(note) for note in cloud.notes] == ["colours were scaled from 0-1 to 0-255"]
    np.savez(tmp_path / "a.npz", coord=XYZ, faces=np.array([[0, 1, 40]]))
    with pytest.raises(DataError, match="names a point that is not there"):
        read_points(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": XYZ, "xyz": XYZ}, r"several arrays could be the points; got points \(40, 3\), xyz"),
        ({"a": XYZ, "b": XYZ}, r"no array is known to hold the points; got a \(40, 3\), b"),
        ({}, "no array is known.*got no arrays"),
        ({"points": XYZ.T}, r"another shape.*got \(3, 40\).*Transpose"),
        ({"points": XYZ[:, :2]}, r"another shape.*got \(40, 2\)"),
        ({"points": XYZ[None]}, r"another shape.*got \(1, 40, 3\)"),
        ({"points": XYZ[:0]}, "no points in the file"),
        ({"points": np.zeros((0, 4))}, "no points in the file"),
        ({"points": XYZ.astype(complex)}, "an array of no numbers; got complex128"),
        ({"points": XYZ.astype(str)}, "an array of no numbers"),
        ({"points": np.array([[1, 2, None]])}, "no array can be read.*pickle"),
    ],
)
def test_arrays_that_hold_no_points(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    if not arrays:  # NumPy's file without arrays is an empty archive with another mark
        (tmp_path / "a.npz").write_bytes(_archive_of_a_note(tmp_path))
    with pytest.raises(DataError, match=message):
        read_points(tmp_path / "a.npz")
    if "points" in arrays and len(arrays) == 1:
        np.save(tmp_path / "a.npy", arrays["points"])
        with pytest.raises(DataError, match=message):
            read_points(tmp_path / "a.npy")


def _archive_of_a_note(folder: Path) -> bytes:
    import zipfile

    with zipfile.ZipFile(folder / "note.zip", "w") as archive:
        archive.writestr("note.txt", "no arrays")
    return (folder / "note.zip").read_bytes()


def test_damaged_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", XYZ)
    whole = (tmp_path / "a.npy").read_bytes()
    for size in (*range(1, 140), len(whole) - 8, len(whole) - 1):
        (tmp_path / "a.npy").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"a\.npy"):
            read_points(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(whole + b"\0")
    with pytest.raises(DataError, match="goes on after its array"):
        read_points(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(whole.replace(b"(40, 3)", b"(4000000000000, 3)").replace(b" " * 11, b"", 1))
    with pytest.raises(DataError, match="announces more than the file holds"):
        read_points(tmp_path / "a.npy")


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_archives(tmp_path: Path, compressed: bool) -> None:
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", points=XYZ)
    whole = (tmp_path / "a.npz").read_bytes()
    for size in range(1, len(whole), 13):
        (tmp_path / "a.npz").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"a\.npz"):
            read_points(tmp_path / "a.npz")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    (tmp_path / "a.npz").write_bytes(flipped)
    with pytest.raises(DataError, match=r"a\.npz"):
        read_points(tmp_path / "a.npz")


def test_a_small_archive_that_announces_gigabytes(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 3)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", header.getvalue() + bytes(1000))
    with pytest.raises(DataError, match="announces more than the file holds"):
        read_points(tmp_path / "a.npz")


def test_what_unpacks_to_more_than_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", points=np.ones((9, 3)), other=np.zeros(4_000_000, "u1"))
    assert len(read_points(tmp_path / "a.npz")) == 9
    monkeypatch.setattr("vol3d.memory.free_memory", lambda: 1 << 20)
    with pytest.raises(DataError, match=r"do not fit into this machine's memory; got 8 MiB, wanted at most 1 MiB"):
        read_points(tmp_path / "a.npz")


def test_structured_arrays_in_any_order_and_of_any_kind(tmp_path: Path) -> None:
    rows = np.zeros((3, 4), [("z", ">f4"), ("y", "<f8"), ("x", "i2"), ("name", "S3")])
    rows["x"], rows["z"] = 1, np.arange(12).reshape(3, 4)
    for order in "CF":
        np.save(tmp_path / "a.npy", np.asarray(rows, order=order))
        cloud = read_points(tmp_path / "a.npy", up="z", units="m")
        assert cloud.xyz.tolist() == [[1, 0, z] for z in range(12)] and not cloud.columns
    np.save(tmp_path / "a.npy", np.asfortranarray(np.arange(12.0).reshape(4, 3)))
    assert read_points(tmp_path / "a.npy", up="z", units="m").xyz[1].tolist() == [3, 4, 5]


def test_a_name_in_an_archive_that_is_no_text(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"pünkte": np.ones((9, 3))})
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content.replace("ü".encode(), b"\xff\xff"))
    with pytest.raises(DataError, match=r"a damaged \.npz file"):
        read_points(tmp_path / "a.npz")
