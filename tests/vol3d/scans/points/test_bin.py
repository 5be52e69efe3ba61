"""Plain float32 files: the columns are found where the numbers tell, and asked for where they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vol3d.errors import DataError, UsageError
from vol3d.scans import read_points

XYZ = ("x", "y", "z")


def cloud(count: int, seed: int = 0) -> np.ndarray:
    """Coordinates of a street, (N, 3)."""
    rng = np.random.default_rng(seed)
    return np.stack((rng.normal(0, 20, count), rng.normal(0, 15, count), rng.gamma(1, 0.7, count) - 1.7), axis=1)


def extra(kind: str, count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    x, y, z = cloud(count).T
    elevation = np.arctan2(z, np.hypot(x, y))
    columns = {
        "intensity": rng.random(count),
        "ring": np.digitize(elevation, np.percentile(elevation, np.arange(3, 99, 3))),
        "time": rng.integers(0, 10, count) * 0.05,
        "red,green,blue": rng.integers(0, 256, (count, 3)),
    }
    return columns[kind].reshape(count, -1)


LAYOUTS = [
    ((), 3),
    (("intensity",), 4),
    (("intensity", "ring"), 5),
    (("intensity", "time"), 5),
    (("red,green,blue",), 6),
    (("intensity", "ring", "time"), 6),
    (("intensity", "red,green,blue"), 7),
]


@pytest.mark.parametrize(("more", "width"), LAYOUTS)
@pytest.mark.parametrize("count", [840, 8400, 25_200])  # sizes that every layout divides
def test_columns_are_found_in_the_numbers(tmp_path: Path, more: tuple[str, ...], width: int, count: int) -> None:
    table = np.concatenate([cloud(count), *(extra(kind, count) for kind in more)], axis=1).astype(np.float32)
    assert table.shape[1] == width
    table.tofile(tmp_path / "a.bin")
    got = read_points(tmp_path / "a.bin", up="z", units="m")
    names = ",".join((*XYZ, *more))
    assert (
        str(got.notes[0]) == f"columns {names} were assumed from the values of {count} points; override with --columns"
    )
    assert np.array_equal(got.xyz, table[:, :3])
    assert set(got.columns) == {"rgb" if name.startswith("red") else name for name in more}
    if "intensity" in more:
        assert np.array_equal(got.columns["intensity"], table[:, 3])


def test_a_file_that_fits_several_layouts_is_refused_with_the_line_to_add(tmp_path: Path) -> None:
    np.random.default_rng(0).random((60, 4), np.float32).tofile(tmp_path / "a.bin")
    with pytest.raises(DataError, match=r"several layouts fit.*x,y,z or x,y,z,intensity or .*`--columns x,y,z` for"):
        read_points(tmp_path / "a.bin")
    assert len(read_points(tmp_path / "a.bin", columns=(*XYZ, "intensity"))) == 60
    assert len(read_points(tmp_path / "a.bin", columns=XYZ)) == 80


def test_columns_that_no_layout_has_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = np.concatenate((cloud(900), -rng.random((900, 6)) * 1000), axis=1).astype(np.float32)
    table.tofile(tmp_path / "a.bin")
    with pytest.raises(DataError, match="no known layout fits"):
        read_points(tmp_path / "a.bin")
    names = (*XYZ, "_", "_", "Intensity", "_", "_", "_")
    got = read_points(tmp_path / "a.bin", columns=names, up="z", units="m")
    assert set(got.columns) == {"intensity"} and np.array_equal(got.columns["intensity"], table[:, 5])
    assert got.notes == ()


def test_numbers_that_are_no_float32_are_refused(tmp_path: Path) -> None:
    cloud(1000).tofile(tmp_path / "a.bin")  # float64
    with pytest.raises(DataError, match=r"no known layout fits|several layouts"):
        read_points(tmp_path / "a.bin")
    (tmp_path / "b.bin").write_bytes(np.random.default_rng(0).bytes(12_000))
    with pytest.raises(DataError, match="no known layout fits"):
        read_points(tmp_path / "b.bin")


@pytest.mark.parametrize(
    ("size", "columns", "message"),
    [
        (17, None, "no multiple of four bytes"),
        (4 * 11, None, "size fits no column count.*11 numbers"),
        (4 * 11, XYZ, "fits no such columns.*11 numbers.*a multiple of 3"),
        (4 * 8, (*XYZ, "intensity", "ring"), "fits no such columns"),
    ],
)
def test_sizes_that_fit_nothing(
    tmp_path: Path, size: int, columns: tuple[str, ...] | None, message: str
) -> None:  # fmt: skip
    (tmp_path / "a.bin").write_bytes(bytes(size))
    with pytest.raises(DataError, match=message):
        read_points(tmp_path / "a.bin", columns=columns)


@pytest.mark.parametrize("columns", [("x", "y"), ("x", "y", "y", "z"), ("x", "y", "z", ""), ()])
def test_lists_of_columns_that_cannot_be(tmp_path: Path, columns: tuple[str, ...]) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(240))
    with pytest.raises(UsageError, match="--columns: no good list"):
        read_points(tmp_path / "a.bin", columns=columns)


def test_points_that_are_not_finite_do_not_hide_the_columns(tmp_path: Path) -> None:
    table = np.concatenate((cloud(8400), extra("intensity", 8400)), axis=1).astype(np.float32)
    table[::7, :3] = np.nan
    table.tofile(tmp_path / "a.bin")
    got = read_points(tmp_path / "a.bin", up="z", units="m")
    assert "x,y,z,intensity" in str(got.notes[0]) and len(got) == 7200 and "1200 of 8400 points" in str(got.notes[1])


def test_a_stray_point_does_not_hide_the_columns(tmp_path: Path) -> None:
    table = np.concatenate((cloud(8400), extra("intensity", 8400)), axis=1).astype(np.float32)
    table[4000, 0] = 1e30
    table.tofile(tmp_path / "a.bin")
    with pytest.raises(DataError, match=r"extend farther than any scan; got 1e\+30 m.*Remove stray points"):
        read_points(tmp_path / "a.bin", up="z", units="m")


def test_a_value_that_fits_no_layout_is_named_with_its_range(tmp_path: Path) -> None:
    table = np.concatenate((cloud(8400), extra("intensity", 8400)), axis=1).astype(np.float32)
    table[7, 3] = -2.5
    table.tofile(tmp_path / "a.bin")
    with pytest.raises(
        DataError, match=r"repeat every 4: column 4 \(-2\.5 to 0\.99\d*\) is no intensity.*x,y,z,intensity`"
    ):
        read_points(tmp_path / "a.bin")
    np.full((100, 4), np.nan, np.float32).tofile(tmp_path / "b.bin")
    with pytest.raises(DataError, match="no finite number in the file"):
        read_points(tmp_path / "b.bin")


def test_a_thinned_sweep_says_what_it_could_be(tmp_path: Path) -> None:
    turns = np.tile(np.array([[5, 1, -1.5, 9], [20, 300, 0.2, 50], [70, -80, 4, 200]], np.float32), (500, 1))
    turns += np.random.default_rng(0).random(turns.shape, np.float32)
    turns.tofile(tmp_path / "a.bin")
    message = r"6000 float32 numbers that repeat every 12; thinned, it could be .*x,y,z,intensity.*`--columns x,y,z,int"
    with pytest.raises(DataError, match=message):
        read_points(tmp_path / "a.bin")
    assert len(read_points(tmp_path / "a.bin", columns=(*XYZ, "intensity"))) == 1500


@pytest.mark.parametrize(
    ("name", "wanted", "points"),
    [
        ("kitti/000008.bin", "x,y,z,intensity", 17_238),
        ("kitti/training/velodyne/000002.bin", "x,y,z,intensity", 126_891),
        ("nuscenes/ten_sweeps.bin", "x,y,z,intensity,time", 271_156),
        ("nuscenes/n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin", "x,y,z,intensity,ring", 34_688),
        ("scannet/scene0000_00.bin", "x,y,z,red,green,blue", 40_684),
        ("sunrgbd/000017.bin", "x,y,z,red,green,blue", 50_000),
    ],
)
def test_real_files(data_root: Path, name: str, wanted: str, points: int) -> None:
    got = read_points(data_root / name)
    assert str(got.notes[0]).startswith(f"columns {wanted} were assumed") and len(got) == points
    assert str(got.notes[-1]).startswith("z is up: the floor was found")
    assert any(str(note).startswith("the coordinates were taken as metres") for note in got.notes)


def test_the_name_of_nuscenes_is_no_proof_against_the_numbers(tmp_path: Path) -> None:
    table = np.concatenate((cloud(840), extra("intensity", 840), extra("ring", 840)), axis=1).astype(np.float32)
    table[:, 4] = table[::-1, 4]  # rings that are none by their elevation
    table.tofile(tmp_path / "a.pcd.bin")
    assert "ring" in read_points(tmp_path / "a.pcd.bin", up="z", units="m").columns
    (tmp_path / "a.bin").write_bytes((tmp_path / "a.pcd.bin").read_bytes())
    with pytest.raises(DataError, match="may be ring or class"):
        read_points(tmp_path / "a.bin")
    table[:, 4] += 0.5
    table.tofile(tmp_path / "a.pcd.bin")
    with pytest.raises(DataError, match=r"column 5 .* is no ring"):
        read_points(tmp_path / "a.pcd.bin")


@pytest.mark.parametrize(("more", "width"), LAYOUTS[1:])  # x, y and z may be so much alike that nothing repeats
def test_columns_that_are_stated_must_be_as_many_as_repeat(tmp_path: Path, more: tuple[str, ...], width: int) -> None:
    table = np.concatenate((cloud(8400), *(extra(kind, 8400) for kind in more)), axis=1).astype(np.float32)
    table.tofile(tmp_path / "a.bin")
    assert len(read_points(tmp_path / "a.bin", columns=(*XYZ, *"_" * (width - 3)))) == 8400
    for other in {3, 4, 5, 7} - {width, width // 2}:
        with pytest.raises(
            DataError, match=rf"number of columns; got numbers that repeat every {width}, wanted {other}"
        ):
            read_points(tmp_path / "a.bin", columns=(*XYZ, *"_" * (other - 3)))


def test_numbers_that_do_not_repeat_are_taken_as_stated(tmp_path: Path) -> None:
    for values in (np.random.default_rng(0).random(4000), np.ones(4000), np.arange(20)):
        values.astype(np.float32).tofile(tmp_path / "a.bin")
        assert not read_points(tmp_path / "a.bin", columns=(*XYZ, "_"), up="z", units="m").columns
