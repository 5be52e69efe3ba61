"""The door to all formats: what is refused, what is noted, and colours, faces and origins on the way."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.scans.points.maker import room, write_ply
from vol3d.errors import DataError, UsageError
from vol3d.scans import read_points
from vol3d.scans.points.find import POINT_SUFFIXES, find_point_files
from vol3d.scans.points.read import points_of

SUFFIXES = [suffix for suffix in POINT_SUFFIXES if suffix != ".pcd.bin"]
XYZ = room(np.random.default_rng(0))


def ply(path: Path, xyz: np.ndarray, faces: list[list[int]] | None = None, **more: np.ndarray) -> Path:
    return write_ply(path, {**{axis: xyz[:, i] for i, axis in enumerate("xyz")}, **more}, faces=faces)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty_files_folders_and_nothing(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"empty{suffix}").touch()
    (tmp_path / f"folder{suffix}").mkdir()
    for name, message in (("empty", "file is empty"), ("folder", "a folder, not a file"), ("none", "no such file")):
        with pytest.raises(DataError, match=rf"{name}{suffix}: .*{message}"):
            read_points(tmp_path / f"{name}{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_noise_is_no_cloud(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(np.random.default_rng(0).bytes(4000))
    with pytest.raises(DataError, match=rf"a{suffix}"):
        read_points(tmp_path / f"a{suffix}")


def test_a_name_that_disagrees_with_the_content(tmp_path: Path) -> None:
    ply(tmp_path / "a.ply", XYZ)
    for name in ("a.pcd", "a.bin", "a.xyz", "a.obj"):
        (tmp_path / name).write_bytes((tmp_path / "a.ply").read_bytes())
        with pytest.raises(DataError, match=r"the content is that of a \.ply file.*Rename it to a\.ply"):
            read_points(tmp_path / name)
    (tmp_path / "scan").write_bytes((tmp_path / "a.ply").read_bytes())
    assert len(read_points(tmp_path / "scan")) == len(XYZ)
    for name in ("a.stl", "other"):
        (tmp_path / name).write_text("v 1 2 3\n")
        with pytest.raises(DataError, match=r"not a file of points.*\.ply \.pcd"):
            read_points(tmp_path / name)
    (tmp_path / "a.ply").write_text("1 2 3\n")
    with pytest.raises(DataError, match=r"damaged, or not a \.ply file"):
        read_points(tmp_path / "a.ply")


def test_an_axis_or_unit_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--up: no such axis; got w"):
        read_points(ply(tmp_path / "a.ply", XYZ), up="w")
    with pytest.raises(UsageError, match="--units: no such unit; got parsec"):
        read_points(ply(tmp_path / "a.ply", XYZ), units="parsec")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_are_counted_and_left_out(tmp_path: Path, bad: float) -> None:
    xyz = XYZ[:10].copy()
    xyz[[2, 5], [0, 2]] = bad
    cloud = read_points(ply(tmp_path / "a.ply", xyz, [[0, 1, 3], [1, 2, 3], [6, 7, 9]], quality=np.arange(10.0)))
    assert np.array_equal(cloud.xyz, np.delete(xyz, [2, 5], axis=0).astype(np.float32))
    assert cloud.columns["quality"].tolist() == [0, 1, 3, 4, 6, 7, 8, 9]
    assert cloud.faces is not None and cloud.faces.tolist() == [[0, 1, 2], [4, 5, 7]]
    assert "2 of 10 points had coordinates that are not finite" in str(cloud.notes[0])
    with pytest.raises(DataError, match="no point has finite coordinates; got 10 points"):
        read_points(ply(tmp_path / "b.ply", np.full((10, 3), bad)))


def test_points_farther_apart_than_any_scan(tmp_path: Path) -> None:
    xyz = XYZ.copy()
    for far in (1e9, 1e300, -1e6):
        xyz[7, 1] = far
        with pytest.raises(DataError, match=r"extend farther than any scan.*stray points"):
            read_points(ply(tmp_path / "a.ply", xyz))


def test_one_point_and_equal_points_say_what_was_assumed(tmp_path: Path) -> None:
    for count in (1, 500):
        cloud = read_points(ply(tmp_path / "a.ply", np.full((count, 3), 2.5)))
        assert cloud.xyz.tolist() == [[2.5, 2.5, 2.5]] * count
        assert "metres were assumed" in str(cloud.notes[0]) and "z was assumed to be up" in str(cloud.notes[1])


@pytest.mark.parametrize("shift", [(500_000.25, 5_400_000.5, 312.0), (-3e6, 0.0, 2e5)])
def test_map_coordinates_keep_their_millimetres(tmp_path: Path, shift: tuple[float, ...]) -> None:
    wanted = XYZ + shift
    cloud = read_points(ply(tmp_path / "a.ply", wanted))
    assert np.abs(cloud.xyz.astype(np.float64) + cloud.origin - wanted).max() < 5e-5
    assert np.allclose(cloud.in_file(cloud.xyz), wanted, rtol=0, atol=5e-5)
    assert np.array_equal(cloud.origin, np.round(cloud.origin)) and np.abs(cloud.xyz).max() < 1000
    assert "the origin was moved to" in str(cloud.notes[-1])


def test_map_coordinates_that_float32_has_rounded_are_noted(tmp_path: Path) -> None:
    near, far = (XYZ + np.array(shift) for shift in ((2000.5, 0, 0), (500_000.25, 5_400_000.5, 312.0)))
    codes = [note.code for note in read_points(ply(tmp_path / "a.ply", near.astype(np.float32))).notes]
    assert "origin-moved" in codes and "coordinates-rounded" not in codes  # 0.1 mm
    (note,) = [one for one in points_of(far.astype(np.float32)).notes if one.code == "coordinates-rounded"]
    assert note.numbers == {"step": 0.5}
    assert "coordinates-rounded" not in [one.code for one in points_of(far).notes]


UNITS = [("m", 1.0), ("dm", 0.1), ("cm", 0.01), ("MM", 0.001), ("km", 1000.0), ("ft", 0.3048)]


@pytest.mark.parametrize("up", ["x", "-x", "y", "-y", "z", "-z", "+Y"])
@pytest.mark.parametrize(("units", "scale"), UNITS)
def test_the_way_back_to_the_file(tmp_path: Path, up: str, units: str, scale: float) -> None:
    xyz = XYZ * 10 + (3e4, 0, 0)
    normal = {name: values.astype("f4") for name, values in zip(("nx", "ny", "nz"), XYZ.T, strict=True)}
    cloud = read_points(ply(tmp_path / "a.ply", xyz, **normal), up=up, units=units)
    axis, sign = "xyz".index(up[-1].lower()), -1 if up[0] == "-" else 1
    assert np.allclose(cloud.xyz[:, 2] + cloud.origin[2], sign * scale * xyz[:, axis], atol=1e-2 * scale)
    assert np.allclose(cloud.columns["normal"][:, 2], sign * XYZ[:, axis], atol=1e-6)
    assert np.allclose(cloud.in_file(cloud.xyz), xyz, rtol=0, atol=0.01)
    assert np.isclose(np.linalg.det(cloud.file_from_scan[:3, :3] * scale), 1)


@pytest.mark.parametrize(
    ("colours", "note"),
    [
        (np.array([0, 128, 255], "u1"), ""),
        (np.array([0, 128, 255], "u2"), ""),
        (np.array([0, 128 * 257, 65535], "u2"), "0-65535"),
        (np.array([0, 128 / 255, 1], "f4"), "0-1"),
        (np.array([0, 128.2, 255], "f8"), ""),
        (np.array([0, 128, 255], "i4"), ""),
        (np.array([0, 128 / 255, 1, np.nan], "f8"), "1 colours that are not finite"),
    ],
)
def test_colours_of_any_type(tmp_path: Path, colours: np.ndarray, note: str) -> None:
    planes = {name: colours for name in ("red", "green", "blue")}
    cloud = read_points(ply(tmp_path / "a.ply", XYZ[: len(colours)], **planes), up="z", units="m")
    assert cloud.columns["rgb"].dtype == np.uint8
    assert cloud.columns["rgb"][:, 0].tolist() == [0, 128, 255, 0][: len(colours)]
    assert (note in str(cloud.notes[0])) if note else cloud.notes == ()


@pytest.mark.parametrize("colours", [np.array([-1, 0], "i2"), np.array([0, 1e6], "f4")])
def test_colours_of_no_usual_range(tmp_path: Path, colours: np.ndarray) -> None:
    with pytest.raises(DataError, match="colours outside every usual range"):
        read_points(ply(tmp_path / "a.ply", XYZ[:2], r=colours, g=colours, b=colours))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("suffix", [*SUFFIXES, ".boxes.ply"])
def test_a_named_pipe_does_not_hang(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"a{suffix}")
    with pytest.raises(DataError, match="a named pipe, not a file"):
        read_points(tmp_path / f"a{suffix}")
    assert len(find_point_files([tmp_path / f"a{suffix}"])) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_is_asked_for_before_it_is_taken(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {".ply": b"ply\n", ".npy": b"\x93NUMPY", ".npz": b"PK\x03\x04", ".las": b"LASF", ".laz": b"LASF"}
    marks |= {".glb": b"glTF", ".e57": b"ASTM-E57", ".feather": b"ARROW1"}
    (tmp_path / f"a{suffix}").write_bytes(marks.get(suffix, b"1 2 3\n") + bytes(1 << 20))
    monkeypatch.setattr("vol3d.memory.free_memory", lambda: 1 << 20)
    with pytest.raises(DataError, match="do not fit into this machine's memory; got 3 MiB, wanted at most 1 MiB"):
        read_points(tmp_path / f"a{suffix}")


def test_permuted_points_give_the_same_cloud(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(XYZ))
    first, second = read_points(ply(tmp_path / "a.ply", XYZ)), read_points(ply(tmp_path / "b.ply", XYZ[order]))
    assert np.array_equal(first.xyz[order], second.xyz) and np.array_equal(first.origin, second.origin)
