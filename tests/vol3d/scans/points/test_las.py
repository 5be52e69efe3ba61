"""LAS and LAZ against laspy's own arrays; what is cut, in degrees or without its package is refused."""

from __future__ import annotations

import contextlib
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
    sizes = [5, 100, 227, 300, len(whole) // 2, len(whole) - 30, len(whole) - 1]
    for size in sizes if name == "a.las" else sizes[1::3]:  # each takes a process
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
        (f'COMPD_CS["d",{PROJECTED.format("foot", 0.3048)},VERT_CS["e",UNIT["foot",0.3048]]]', 0.3048),
    ],
)
def test_the_stated_unit_is_taken(tmp_path: Path, text: str, metres: float) -> None:
    xyz = write(tmp_path / "a.las", version="1.4", point_format=7, vlrs=[wkt(text)])
    cloud = read_points(tmp_path / "a.las")
    name = "metres" if metres == 1 else f"units of {metres:g} m"
    assert any(str(note).startswith(f"the coordinates are in {name}, as the file says") for note in cloud.notes)
    assert np.abs(cloud.xyz + cloud.origin - xyz * metres).max() < 2e-5
    assert np.allclose(cloud.in_file(cloud.xyz), xyz, rtol=0, atol=1e-4)


HEIGHTS = 'COMPD_CS["d",{},VERT_CS["e",VERT_DATUM["f",2005],UNIT["{}",{}]]]'
WKT2 = (
    'COMPOUNDCRS["a",PROJCRS["b",BASEGEOGCRS["c",DATUM["d",ELLIPSOID["e",6378137,298,LENGTHUNIT["metre",1]]]],'
    'CONVERSION["f",PARAMETER["scale",0.9996,SCALEUNIT["unity",1]]],CS[Cartesian,2],AXIS["E",east],'
    'LENGTHUNIT["{}",{}]],VERTCRS["g",CS[vertical,1],AXIS["H",up],LENGTHUNIT["{}",{}]]]'
)


@pytest.mark.parametrize("name", ["a.las", "a.laz"])
@pytest.mark.parametrize(
    ("text", "metres", "z_metres"),
    [
        (HEIGHTS.format(PROJECTED.format("metre", 1), "foot", 0.3048), 1, 0.3048),
        (HEIGHTS.format(PROJECTED.format("US survey foot", 1200 / 3937), "metre", 1), 1200 / 3937, 1),
        (WKT2.format("metre", 1, "US survey foot", 1200 / 3937), 1, 1200 / 3937),
        (WKT2.format("foot", 0.3048, "foot", 0.3048), 0.3048, 0.3048),
    ],
)
def test_a_vertical_unit_of_its_own(tmp_path: Path, name: str, text: str, metres: float, z_metres: float) -> None:
    xyz = write(tmp_path / name, version="1.4", point_format=7, vlrs=[wkt(text)])
    cloud = read_points(tmp_path / name)
    assert np.abs(cloud.xyz + cloud.origin - xyz * (metres, metres, z_metres)).max() < 1e-4
    assert np.allclose(cloud.in_file(cloud.xyz), xyz, rtol=0, atol=1e-3)
    (note,) = (note for note in cloud.notes if note.code == "units-stated")
    assert note.numbers == {"metres": metres} | ({} if z_metres == metres else {"z_metres": z_metres})


def geo_keys(**codes: int) -> Any:
    ids = {"model": 1024, "linear": 3076, "vertical": 4099}
    record = laspy.vlrs.known.GeoKeyDirectoryVlr()
    entries = [(ids[name], 0, 1, code) for name, code in codes.items()]
    words = [1, 1, 0, len(entries), *(word for entry in entries for word in entry)]
    record.parse_record_data(np.array(words, "<u2").tobytes())
    return record


def test_units_in_geotiff_keys(tmp_path: Path) -> None:
    xyz = write(tmp_path / "a.las", vlrs=[geo_keys(model=1, linear=9003, vertical=9001)])
    cloud = read_points(tmp_path / "a.las")
    assert np.abs(cloud.xyz + cloud.origin - xyz * (1200 / 3937, 1200 / 3937, 1)).max() < 1e-4
    write(tmp_path / "a.las", vlrs=[geo_keys(model=1, linear=9014)])
    with pytest.raises(DataError, match=r"no one unit of length; got a unit of length with the code 9014.*--units"):
        read_points(tmp_path / "a.las")
    assert len(read_points(tmp_path / "a.las", units="m")) == 200
    write(tmp_path / "a.las", vlrs=[geo_keys(model=3, linear=9001)])
    with pytest.raises(DataError, match="coordinates from the middle of the earth"):
        read_points(tmp_path / "a.las")


@pytest.mark.parametrize("name", ["a.las", "a.laz"])
@pytest.mark.parametrize(("at", "value"), [(131, 0.0), (139, np.nan), (147, -0.01), (155, np.inf), (171, np.nan)])
def test_a_scale_or_offset_that_is_none(tmp_path: Path, name: str, at: int, value: float) -> None:
    write(tmp_path / name)
    data = bytearray((tmp_path / name).read_bytes())
    data[at : at + 8] = np.array(value, "<f8").tobytes()
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match="a scale or offset that is none"):
        read_points(tmp_path / name)


def test_each_axis_has_a_scale_of_its_own(tmp_path: Path) -> None:
    write(tmp_path / "a.las")
    las = laspy.read(tmp_path / "a.las")
    xyz = np.stack((las.x, las.y, las.z), axis=1)
    las.change_scaling(scales=[0.01, 0.001, 0.0001], offsets=SHIFT)
    las.write(str(tmp_path / "b.las"))
    cloud = read_points(tmp_path / "b.las")
    assert np.abs(cloud.xyz + cloud.origin - xyz).max() < 0.006


def test_withheld_points_and_wrong_bounds_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "a.las")
    las = laspy.read(tmp_path / "a.las")
    las.withheld[:7] = 1
    las.write(str(tmp_path / "b.las"))
    cloud = read_points(tmp_path / "b.las")
    assert len(cloud) == 193 and "7 of 200 points are marked as withheld and were left out" in map(str, cloud.notes)
    data = bytearray((tmp_path / "a.las").read_bytes())
    data[179:187] = np.array(SHIFT[0] + 15, "<f8").tobytes()  # the largest x
    (tmp_path / "a.las").write_bytes(data)
    (note,) = (note for note in read_points(tmp_path / "a.las").notes if note.code == "beyond-bounds")
    assert 50 < note.numbers["beyond"] < 150


def test_a_damaged_laz_ends_its_own_process_only(tmp_path: Path) -> None:
    write(tmp_path / "a.laz", version="1.4", point_format=7)
    whole = (tmp_path / "a.laz").read_bytes()
    start = int.from_bytes(whole[96:100], "little")
    rng = np.random.default_rng(0)
    for _ in range(2):
        data = bytearray(whole)
        for at in rng.integers(start - 60, len(whole), 6):  # the record of the compression, and what it describes
            data[at] = int(rng.integers(256))
        (tmp_path / "b.laz").write_bytes(data)
        with contextlib.suppress(DataError):
            assert len(read_points(tmp_path / "b.laz", units="m")) == 200


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
