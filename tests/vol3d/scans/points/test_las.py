"""LAS and LAZ against laspy's own arrays; what is cut, in degrees or without its package is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vol3d.errors import DataError, Vol3dError
from vol3d.scans import read_points

laspy = pytest.importorskip("laspy")
SHIFT = np.array([500_000.0, 5_400_000.0, 100.0])


def write(path: Path, n: int = 200, version: str = "1.2", point_format: int = 3, **more: Any) -> np.ndarray:
    header = laspy.LasHeader(version=version, point_format=point_format)
    header.scales, header.offsets = np.full(3, 0.001), SHIFT
    for record in more.pop("vlrs", ()):
        header.vlrs.append(record)
    las = laspy.LasData(header)
    rng = np.random.default_rng(0)
    xyz = np.round(rng.random((n, 3)) * (30, 20, 4), 3) + SHIFT
    las.x, las.y, las.z = xyz.T
    las.intensity, las.classification = rng.integers(0, 65536, n), rng.integers(0, 9, n)
    las.red = las.green = las.blue = rng.integers(0, 256, n).astype(np.uint16) * 257
    las.write(str(path))
    return xyz


@pytest.mark.parametrize("name", ["a.las", "a.laz"])
@pytest.mark.parametrize(("version", "point_format"), [("1.2", 3), ("1.4", 7)])
def test_points_and_columns(tmp_path: Path, name: str, version: str, point_format: int) -> None:
    xyz = write(tmp_path / name, version=version, point_format=point_format)
    cloud, las = read_points(tmp_path / name), laspy.read(tmp_path / name)
    assert np.abs(cloud.xyz + cloud.origin - xyz).max() < 2e-5
    assert np.array_equal(cloud.columns["intensity"], las.intensity.astype(np.float32))
    assert np.array_equal(cloud.columns["class"], las.classification) and cloud.columns["class"].dtype == np.int64
    assert np.array_equal(cloud.columns["rgb"][:, 0], las.red // 257)
    assert np.array_equal(cloud.columns["gps_time"], las.gps_time)
    assert "z is up, as in all files of this format; override with --up" in map(str, cloud.notes)
    assert cloud.origin.tolist()[:2] == [500_015, 5_400_010]


def test_colours_that_were_never_set_are_none(tmp_path: Path) -> None:
    write(tmp_path / "a.las")
    las = laspy.read(tmp_path / "a.las")
    las.red = las.green = las.blue = np.zeros(200, np.uint16)
    las.write(str(tmp_path / "b.las"))
    assert not {"rgb", "red", "green", "blue"} & read_points(tmp_path / "b.las").columns.keys()
    las.blue[7] = 65535
    las.write(str(tmp_path / "c.las"))
    assert read_points(tmp_path / "c.las").columns["rgb"][7].tolist() == [0, 0, 255]


def test_no_points(tmp_path: Path) -> None:
    write(tmp_path / "a.las", 0)
    with pytest.raises(DataError, match="no points"):
        read_points(tmp_path / "a.las")


@pytest.mark.parametrize("name", ["a.las", "a.laz"])
def test_cut_files(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for size in (5, 100, 227, 300, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        (tmp_path / name).write_bytes(whole[:size])
        with pytest.raises(DataError, match=name):
            read_points(tmp_path / name)


@pytest.mark.parametrize("at", [100, 107, 243, 247])
@pytest.mark.parametrize("name", ["a.las", "a.laz"])
def test_a_header_of_billions_takes_no_memory(tmp_path: Path, name: str, at: int) -> None:
    write(tmp_path / name, version="1.4", point_format=7)
    data = bytearray((tmp_path / name).read_bytes())
    data[at : at + 4] = b"\xff\xff\xff\xf0"
    if at == 107:  # the count of versions before 1.4
        data[25] = 2
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match="announces more than the file can hold"):
        read_points(tmp_path / name)


def test_surplus_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.las")
    (tmp_path / "a.las").write_bytes((tmp_path / "a.las").read_bytes() + bytes(34))
    with pytest.raises(DataError, match="goes on after its last point"):
        read_points(tmp_path / "a.las")


def wkt(text: str) -> Any:
    record = laspy.vlrs.known.WktCoordinateSystemVlr(text)
    return record


PROJECTED = 'PROJCS["a",GEOGCS["b",SPHEROID["c",6378137,298],UNIT["degree",0.01745]],UNIT["{}",{}]]'


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        (PROJECTED.format("metre", 1), 1.0),
        (PROJECTED.format("US survey foot", 0.304800609601219), 0.304800609601219),
        (f'COMPD_CS["d",{PROJECTED.format("foot", 0.3048)},VERT_CS["e",UNIT["metre",1]]]', 0.3048),
    ],
)
def test_the_stated_unit_is_taken(tmp_path: Path, text: str, metres: float) -> None:
    xyz = write(tmp_path / "a.las", version="1.4", point_format=7, vlrs=[wkt(text)])
    cloud = read_points(tmp_path / "a.las")
    assert any(str(note).startswith(f"the file states its unit, {metres:g} m") for note in cloud.notes)
    assert np.abs(cloud.xyz + cloud.origin - xyz * metres).max() < 2e-5
    assert np.allclose(cloud.in_file(cloud.xyz), xyz, rtol=0, atol=1e-4)


def test_degrees_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.las", version="1.4", point_format=7, vlrs=[wkt('GEOGCS["b",UNIT["degree",0.01745]]')])
    with pytest.raises(DataError, match="coordinates in degrees"):
        read_points(tmp_path / "a.las")


def test_without_its_package_the_line_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.laz")
    monkeypatch.setattr(laspy.LazBackend, "detect_available", classmethod(lambda cls: ()))
    with pytest.raises(Vol3dError, match=r"lazrs.*pip install 'vol3d\[lidar\]'"):
        read_points(tmp_path / "a.laz")
    monkeypatch.setitem(sys.modules, "laspy", None)
    with pytest.raises(Vol3dError, match=r"laspy.*pip install 'vol3d\[lidar\]'"):
        read_points(tmp_path / "a.laz")
