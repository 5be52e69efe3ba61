"""A comment or a column states a unit only where it is that of the coordinates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.scans.points.maker import room, write_pcd, write_ply
from vol3d.errors import DataError
from vol3d.scans import read_points
from vol3d.scans.points.unit_words import unit_in_comments, unit_in_names

FOOT = 1200 / 3937
STATED = [
    *(("units in mm", 0.001), ("Units in MM.", 0.001), ("coordinate units in metres", 1), ("unit=m", 1)),
    *(("unit: inch", 0.0254), ("unit: in", 0.0254), ("1 unit = 1 in", 0.0254), ("units in inches", 0.0254)),
    *(("Length unit: cm", 0.01), ("unit of length: mm", 0.001), ("units (cm)", 0.01), ("units [m]", 1)),
    *(("1 unit = 1 mm", 0.001), ("1 unit = 0.01 m", 0.01), ("metersPerUnit = 0.01", 0.01), ("mm units", 0.001)),
    *(("XYZ coordinates are given in millimeters", 0.001), ("points in cm", 0.01), ("X, Y, Z in metres", 1)),
    *(("units: US survey feet", FOOT), ("units: feet", 0.3048), ('{"unit": "mm"}', 0.001), ("units: um", 1e-6)),
    *(("made by A; units: mm", 0.001), ("units: m (intensity 0-255)", 1), ("all coordinates use mm units", 0.001)),
]
NOT_STATED = [
    *("normals are unit in length", "unit normals", "normals are unit vectors in m", "unit length", "unit in"),
    *("accuracy in mm: 5", "resolution in mm", "point spacing in mm", "voxel size 5 mm", "scanned at 30 m"),
    *("time units: s", "time unit: m", "angle unit: deg", "intensity unit: m", "speed unit: m/s", "units: m/s"),
    *("units unknown", "unit: none", "points in cm resolution", "every point is in the room", "points in m2"),
]


@pytest.mark.parametrize(("comment", "metres"), STATED)
def test_comments_that_state_it(comment: str, metres: float) -> None:
    unit, fault = unit_in_comments(["made for a test", comment])
    assert fault is None and unit is not None and unit.metres == pytest.approx(metres)


@pytest.mark.parametrize("comment", NOT_STATED)
def test_comments_that_do_not(comment: str) -> None:
    assert unit_in_comments([comment]) == (None, None)


def test_names_of_columns() -> None:
    for names in (["x[mm]", "y[mm]", "z[mm]"], ["x (mm)", "y (mm)", "z (mm)"], ["x_mm", "y_mm", "z_mm"]):
        plain, unit, fault = unit_in_names([*names, "time [s]"])
        assert (plain, fault) == (("x", "y", "z", "time [s]"), None)
        assert unit is not None and unit.metres == 0.001 and unit.z_metres is None
    assert unit_in_names(["x", "y", "z_m"]) == (("x", "y", "z_m"), None, None)
    assert unit_in_names(["x [deg]", "y [deg]", "z [m]"])[2] == "x in deg, y in deg, z in m"


@pytest.mark.parametrize("name", ["a.ply", "a.pcd", "a.xyz", "a.csv", "b.csv"])
def test_the_same_scan_whatever_its_unit(tmp_path: Path, name: str) -> None:
    xyz = room(np.random.default_rng(0)).astype(np.float32)
    columns = {axis: xyz[:, number] * np.float32(1000) for number, axis in enumerate("xyz")}
    rows = "".join(f"{x:.6g},{y:.6g},{z:.6g}\n" for x, y, z in xyz * 1000)
    path = tmp_path / name
    if name == "a.ply":
        write_ply(path, columns, comment="Units in mm")
    elif name == "a.pcd":
        write_pcd(path, columns)
        path.write_bytes(b"# units: mm\n" + path.read_bytes())
    else:
        path.write_text(("// coordinates in mm\n" if name == "a.xyz" else "x [mm],y [mm],z [mm]\n") + rows)
    cloud = read_points(path)
    assert "the coordinates are in millimetres, as the file says; override with --units" in map(str, cloud.notes)
    assert np.allclose(cloud.xyz, xyz, atol=1e-4)


def test_z_with_a_unit_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x[m],y[m],z[ft]\n1,2,10\n4,5,20\n7,8,30\n")
    cloud = read_points(tmp_path / "a.csv", up="z")
    assert np.allclose(cloud.xyz, [[1, 2, 3.048], [4, 5, 6.096], [7, 8, 9.144]])
    assert np.allclose(cloud.in_file(cloud.xyz), [[1, 2, 10], [4, 5, 20], [7, 8, 30]])
    assert str(cloud.notes[0]).startswith("the file states its units, 1 m for x and y and 0.3048 m for z")


def test_two_units_and_none_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    for head, got in (("# units: mm\n# units: m\n", "0.001 m and 1 m"), ("x[deg] y[deg] z[m]\n", "x in deg, y in deg")):
        path.write_text(head + "1 2 3\n4 5 6\n")
        with pytest.raises(DataError, match=rf"states no one unit of length; got {got}.*--units"):
            read_points(path)
        assert read_points(path, units="cm", up="z").xyz[1].tolist() == pytest.approx([0.04, 0.05, 0.06])
