"""Test sets without labels: what each benchmark takes is written, read back, and nothing is scored."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointcloud.conventions.kitti_objects import read_kitti_objects
from pointcloud.datasets.argoverse2.dataset import Argoverse2Settings
from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.evaluation.benchmark import submit
from pointcloud.metrics.nuscenes.submission import read_submission
from tests.pointcloud.datasets.argoverse2_maker import write_small_argoverse2
from tests.pointcloud.datasets.nuscenes_maker import write_small_nuscenes
from tests.pointcloud.datasets.test_kitti import root as root  # four frames and one to test
from vol3d.engine.task import Evaluation
from vol3d.errors import DataError, UsageError
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections


def submitted(settings: Any, path: Path) -> Evaluation:
    split = settings.for_test().split().only_test().require("validation")

    def detect(cloud: PointCloud) -> Detections:
        box = np.array([[20, -1, -1, 4, 1.6, 1.5, 0.1]], np.float32)
        return Detections(box, np.array([0.7], np.float32), np.array([0]), split.class_names, "lidar")

    return submit(settings.name, split.validation, detect, split.class_names, lambda *_: None, path)


def test_kitti_takes_a_file_for_each_number(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    out.mkdir()
    (root / "training/label_2").rename(root / "labels")  # labels do not matter to the test set
    found = submitted(KittiSettings(root=root), out)
    assert found.summary == {"frames": 1, "boxes": 1, "submission": str(out)}
    assert math.isnan(found.score) and found.score_name == ""
    assert [path.name for path in out.iterdir()] == ["000000.txt"]
    (row,) = (out / "000000.txt").read_text().splitlines()
    assert len(row.split()) == 16 and read_kitti_objects(out / "000000.txt", scored=True).scores[0] == pytest.approx(
        0.7
    )


def test_nuscenes_takes_the_test_tables_beside_others(tmp_path: Path) -> None:
    data = write_small_nuscenes(tmp_path / "data")
    write_small_nuscenes(tmp_path / "two", "v1.0-test", ("scene-0077",), samples=2)
    (tmp_path / "two/v1.0-test").rename(data / "v1.0-test")
    for kind in ("samples", "sweeps"):
        for path in (tmp_path / f"two/{kind}/LIDAR_TOP").iterdir():
            path.rename(data / kind / "LIDAR_TOP" / path.name)
    out = tmp_path / "results.json"
    assert submitted(NuScenesSettings(root=data), out).summary["frames"] == 2
    results = read_submission(out, ["0s0", "0s1"]).results
    assert [len(boxes) for boxes in results.values()] == [1, 1]


def test_argoverse2_takes_one_table(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    found = submitted(Argoverse2Settings(root=write_small_argoverse2(tmp_path)), tmp_path / "out.feather")
    assert (found.summary["frames"], found.summary["boxes"]) == (1, 1)


def test_without_test_scenes_or_a_benchmark_there_is_an_error(root: Path, tmp_path: Path) -> None:
    (root / "testing").rename(root / "elsewhere")
    with pytest.raises(DataError, match="there are no test scenes"):
        KittiSettings(root=root).split().only_test()
    with pytest.raises(UsageError, match="needs a benchmark"):
        submit("point_folder", (), lambda cloud: None, (), lambda *_: None, tmp_path)  # type: ignore[arg-type]
