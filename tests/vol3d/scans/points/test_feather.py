"""Sweeps of Argoverse 2 in feather files: every column, and tables that are no points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vol3d.errors import DataError
from vol3d.scans import read_points
from vol3d.scans.points.find import find_point_files

pa = pytest.importorskip("pyarrow", reason="the extra `argoverse` is not installed")


def table(path: Path, **columns: np.ndarray) -> Path:
    from pyarrow import feather

    feather.write_feather(pa.table(columns), str(path))
    return path


def test_a_sweep_gives_its_columns_under_the_usual_names(tmp_path: Path) -> None:
    xyz = np.random.default_rng(0).uniform(-9, 9, (50, 3)).astype(np.float16)
    more = {"intensity": np.arange(50, dtype=np.uint8), "laser_number": np.arange(50, dtype=np.uint8)}
    path = table(tmp_path / "1.feather", **dict(zip("xyz", xyz.T, strict=True)), **more, offset_ns=np.arange(50) * 1000)
    cloud = read_points(path)
    np.testing.assert_array_equal(cloud.xyz, xyz.astype(np.float32))
    np.testing.assert_array_equal(cloud.columns["intensity"], np.arange(50))
    np.testing.assert_array_equal(cloud.columns["ring"], np.arange(50))
    assert "time" not in cloud.columns and find_point_files([path]) == [path]
    with pytest.raises(DataError, match="no point file in this folder"):
        find_point_files([tmp_path])  # a log's folder has tables of boxes and poses, too


def test_tables_of_something_else_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    boxes = table(tmp_path / "annotations.feather", tx_m=np.zeros(3))
    with pytest.raises(DataError, match=r"no table of points; got tx_m, wanted x, y, z"):
        read_points(boxes)
    (tmp_path / "cut.feather").write_bytes(boxes.read_bytes()[:200])
    with pytest.raises(DataError, match="damaged feather"):
        read_points(tmp_path / "cut.feather")
    (tmp_path / "page.feather").write_text("<html>", "utf-8")
    with pytest.raises(DataError, match=r"not a \.feather file"):
        read_points(tmp_path / "page.feather")
    missing = table(tmp_path / "null.feather", x=pa.array([1.0, None]), y=np.zeros(2), z=np.zeros(2))
    with pytest.raises(DataError, match="values are missing"):
        read_points(missing)
