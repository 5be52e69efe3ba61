"""rerun's `.rrd`, read back by its own reader; skipped where the large package is not installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointcloud.evaluation.exports import writer_of
from pointcloud.evaluation.rerun_file import BOXES, NUMBER, POINTS, TIME, write_rerun
from tests.pointcloud.evaluation import test_markers
from vol3d.errors import Vol3dError
from vol3d.scans.source import ScanSource


def rows_of(path: Path, entity: str) -> list[dict[str, Any]]:
    from rerun.chunk import RrdReader

    batches = [chunk.to_record_batch() for chunk in RrdReader(path).stream() if chunk.entity_path == f"/{entity}"]
    rows = [row for batch in batches for row in _plain(batch).to_pylist()]
    return sorted((row for row in rows if row.get(NUMBER) is not None), key=lambda row: row[NUMBER])


def _plain(batch: Any) -> Any:
    """With times in nanoseconds: Python's own have microseconds."""
    import pyarrow as pa

    times = [pa.types.is_timestamp(field.type) for field in batch.schema]
    arrays = [column.cast("int64") if time else column for column, time in zip(batch.columns, times, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def test_clouds_and_boxes_are_read_back(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="the extra `rerun` is not installed")
    write_rerun(test_markers.predicted(test_markers.bag(tmp_path / "drive")), tmp_path / "drive.rrd")
    points, boxes = (rows_of(tmp_path / "drive.rrd", entity) for entity in (POINTS, BOXES))
    assert [row[NUMBER] for row in points] == [row[NUMBER] for row in boxes] == [0, 2]
    assert [row[TIME] % 10**9 for row in boxes] == [123_456_789, 123_456_791]
    np.testing.assert_array_equal(
        np.array(points[1]["Points3D:positions"], np.float32), test_markers.wall(seed=2).astype(np.float32)[:, :3]
    )
    wanted, row = test_markers.BOXES, boxes[0]
    np.testing.assert_allclose(row["Boxes3D:centers"], wanted[:, :3])
    np.testing.assert_allclose(2 * np.array(row["Boxes3D:half_sizes"]), wanted[:, 3:6])
    turns = np.array(row["Boxes3D:quaternions"])
    np.testing.assert_allclose(2 * np.arctan2(turns[:, 2], turns[:, 3]), wanted[:, 6], atol=1e-6)
    assert row["Boxes3D:labels"] == ["car 0.90", "van 0.40"] and row["name"] == ["car", "van"]
    np.testing.assert_allclose(row["score"], [0.9, 0.4])
    (cleared,) = rows_of(tmp_path / "drive.rrd", "scan")
    assert cleared[NUMBER] == 1  # the cloud that failed shows nothing
    assert len(rows_of(tmp_path / "drive.rrd", f"{BOXES}/velocities")[0]["Arrows3D:vectors"]) == 1


def test_without_the_package_it_is_refused_before_any_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(Vol3dError, match=r"pip install 'vol3d\[rerun\]'"):
        writer_of("rrd", ScanSource(test_markers.bag(tmp_path / "drive"), "drive"), None)
