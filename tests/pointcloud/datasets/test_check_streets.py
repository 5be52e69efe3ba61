"""`check` on streets: sizes unlike the class, intensities on another scale, boxes without a point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pointcloud.datasets.check import check
from pointcloud.datasets.scenes import Scene, SceneSplit, annotated
from tests.pointcloud.datasets.nuscenes_maker import write_small_nuscenes
from tests.pointcloud.evaluation.test_submission import untrained
from vol3d import evaluate
from vol3d.dataset_tools.fault import Fault
from vol3d.scans.points.cloud import PointCloud

CLASSES = ("car", "pedestrian")
Change = Callable[[np.ndarray], np.ndarray]


def same(values: np.ndarray) -> np.ndarray:
    return values


@dataclass(frozen=True)
class Street:
    """Twelve cars with points in them; `change` to their boxes (12, 7), `light` to the intensities of 0 to 1."""

    name: str
    seed: int
    change: Change = same
    light: Change = same

    def read(self) -> Scene:
        rng = np.random.default_rng(self.seed)
        middles = np.stack([np.arange(12) * 6.0, np.tile([3.0, -3.0], 6), np.full(12, -0.9)], axis=1)
        sizes = np.array([4.2, 1.8, 1.6]) * rng.uniform(0.95, 1.05, (12, 3))
        inside = (middles[:, None] + rng.uniform(-0.45, 0.45, (12, 60, 3)) * sizes[:, None]).reshape(-1, 3)
        ground = np.column_stack([rng.uniform(-5, 75, 3000), rng.uniform(-12, 12, 3000), np.full(3000, -1.7)])
        xyz = np.concatenate([inside, ground]).astype(np.float32)
        cloud = PointCloud(xyz, {"intensity": self.light(rng.uniform(0, 1, len(xyz))).astype(np.float32)})
        boxes = self.change(np.column_stack([middles, sizes, np.zeros(12)]))
        return Scene(self.name, cloud, annotated(boxes, self.labels(), CLASSES, "lidar"))

    def labels(self) -> np.ndarray:
        return np.zeros(12, np.int64)

    def fingerprint(self, quick: bool = False) -> str:
        return self.name


def found(*streets: Street) -> dict[str, Fault]:
    split = SceneSplit("mine", CLASSES, streets, (Street("held-out", 99),), max_intensity=1.0)
    return {fault.code: fault for fault in check(split, 0)}


def test_good_streets_have_none_of_these() -> None:
    codes = found(Street("a", 1), Street("b", 2))
    assert not codes.keys() & {"size-unlike-its-class", "intensity-of-another-scale", "empty-boxes"}


def test_one_car_in_feet() -> None:
    def in_feet(boxes: np.ndarray) -> np.ndarray:
        boxes[4, 3:6] /= 0.3048
        return boxes

    fault = found(Street("a", 1), Street("b", 2, in_feet))["size-unlike-its-class"]
    assert (fault.case, fault.severity, fault.numbers) == ("b", "warning", {"boxes": 1})
    assert "car 13." in fault.what


@pytest.mark.parametrize(("factor", "noted"), [(255.0, True), (1.04, False), (0.5, False), (0.01, True)])
def test_intensities_on_another_scale(factor: float, noted: bool) -> None:
    split = SceneSplit("mine", CLASSES, (Street("a", 1, light=lambda one: one * factor),), (), max_intensity=1.0)
    faults = [fault for fault in check(split, 0) if fault.code == "intensity-of-another-scale"]
    assert [fault.numbers["max"] for fault in faults] == ([pytest.approx(factor, rel=0.01)] if noted else [])


@pytest.mark.parametrize(("moved", "severity"), [(2, None), (6, "warning"), (12, "error")])
def test_boxes_without_a_point(moved: int, severity: str | None) -> None:
    def away(boxes: np.ndarray) -> np.ndarray:
        boxes[:moved, 2] += 50
        return boxes

    fault = found(Street("a", 1, away), Street("b", 2, away))
    if severity is None:
        assert "empty-boxes" not in fault
    else:
        one = fault["empty-boxes"]
        assert (one.severity, one.numbers) == (severity, {"boxes": 2 * moved, "of": 36})


def test_a_score_names_what_the_data_did_not_say(tmp_path: Path) -> None:
    root = write_small_nuscenes(tmp_path / "data", samples=1)
    summary = evaluate(untrained(tmp_path, "nuscenes", root), root, split="all", device="cpu").summary
    assert "notes" not in summary  # animals are among nuScenes' own categories
    tables = root / "v1.0-mini/category.json"
    tables.write_text(tables.read_text().replace('"animal"', '"vehicle.tank"'))
    summary = evaluate(tmp_path / "run", root, split="all", device="cpu").summary
    assert summary["notes"] == "2 objects of no class are left out: vehicle.tank (2)"
