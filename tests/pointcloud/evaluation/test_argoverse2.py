"""Argoverse 2 from a recipe to its benchmark's score and its submission, raw and prepared, on short logs in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pointcloud.conventions.feather import read_feather
from pointcloud.datasets.argoverse2.dataset import Argoverse2Settings
from pointcloud.datasets.tools import prepare
from pointcloud.evaluation.argoverse2 import benchmark
from tests.pointcloud.datasets.argoverse2_maker import write_small_argoverse2
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.errors import DataError
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections

pytest.importorskip("pyarrow")
CPU = torch.device("cpu")
NAMES = ("REGULAR_VEHICLE", "PEDESTRIAN", "DOG")
RECIPE = """
model:
  name: centerpoint
  features: [intensity]
  voxels: {point_range_m: [-51.2, -51.2, -3, 51.2, 51.2, 5], voxel_size_m: [1.6, 1.6, 8]}
  pillars: {widths: [16]}
  backbone: {widths: [16, 16], layers: [1, 1], strides: [1, 2]}
  neck: {widths: [16, 16], upsample: [1, 2]}
  head: {velocity: false, shared_width: 16, width: 16}
data: {name: argoverse2, root: ROOT}
balance: true
train: {epochs: 1, batch: 2}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_argoverse2(tmp_path_factory.mktemp("argoverse2") / "sensor")


def silent(done: int, total: int, name: str) -> None:
    pass


def scored(root: Path, found: list[tuple[float, ...]], sweeps: int = 1, **options: object) -> dict[str, object]:
    """The summary for a detector that always finds these: x y z, label, score, in boxes like those of the cars."""
    scenes = Argoverse2Settings(root=root, class_names=NAMES, sweeps=sweeps).split().validation
    boxes = np.array([(x, y, z, 4.5, 2.0, 1.6, 0.3) for x, y, z, _, _ in found], np.float32).reshape(-1, 7)
    labels, scores = np.array([row[3:] for row in found], np.float32).reshape(-1, 2).T

    def detect(cloud: PointCloud) -> Detections:
        return Detections(boxes, scores, labels.astype(np.int64), NAMES, "ego")

    evaluation = benchmark(scenes, detect, NAMES, silent, {"data": "mine"}, **options)  # type: ignore[arg-type]
    assert evaluation.score_name == "cds" and evaluation.score == pytest.approx(evaluation.summary["cds"], nan_ok=True)
    return evaluation.summary | {"rows": evaluation.rows, "pictures": evaluation.pictures}


def test_detections_are_scored_by_the_benchmark(root: Path) -> None:
    summary = scored(root, [(12, 3, 0.8, 0, 0.9)], pictures="dark")
    classes = summary["classes"]
    assert isinstance(classes, dict) and classes["REGULAR_VEHICLE"]["ground_truths"] == 4
    assert classes["REGULAR_VEHICLE"]["ap_4m"] == pytest.approx(51 / 101)  # one of two cars of each sweep
    assert classes["REGULAR_VEHICLE"]["ap_0.5m"] == pytest.approx(25.5 / 101)  # exactly there in the first alone
    assert classes["REGULAR_VEHICLE"]["ate_m"] == pytest.approx(0.5, abs=1e-5)  # 0 m and 1 m
    assert classes["PEDESTRIAN"]["cds"] == 0 and classes["DOG"]["ground_truths"] == 0
    assert summary["map"] == pytest.approx(classes["REGULAR_VEHICLE"]["ap"] / 3)
    assert summary["map_of_annotated_classes"] == pytest.approx(classes["REGULAR_VEHICLE"]["ap"] / 2)
    assert str(summary["region_of_interest"]).startswith("not applied")
    assert summary["classes_scored"] == "3 of the benchmark's 26" and summary["data"] == "mine"
    assert summary["rows"] and len(summary["pictures"]) == 2  # type: ignore[arg-type]


def test_prepared_sweeps_are_scored_as_the_raw_ones(root: Path, tmp_path: Path) -> None:
    found = [(12.0, 3.0, 0.8, 0.0, 0.9), (8.5, -3.0, 0.9, 1.0, 0.5), (60.0, 0.0, 0.0, 2.0, 0.7)]
    data = Argoverse2Settings(root=root, class_names=NAMES, sweeps=2)
    prepare(data, None, tmp_path / "ready", 0, None)
    one, other = (json.dumps(scored(folder, found, 2)) for folder in (root, tmp_path / "ready"))
    assert one == other and '"0 to 50 m"' in one


def test_what_cannot_be_scored_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="not finite"):
        scored(root, [(float("nan"), 0, 0, 0, 0.5)])
    with pytest.raises(DataError, match="no sweep"):
        benchmark([], lambda cloud: Detections(np.zeros((0, 7)), np.zeros(0), np.zeros(0), NAMES), NAMES, silent)


def test_from_the_shell(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "argoverse2", str(root)]) == 0
    assert main(["data", "stats", "argoverse2", str(root), "--json"]) == 0
    recipe, run, file = tmp_path / "recipe.yaml", tmp_path / "run", tmp_path / "sent" / "found.feather"
    recipe.write_text(RECIPE.replace("ROOT", str(root)))
    assert main(["train", str(recipe), "-o", str(run), "--device", "cpu"]) == 0
    summary = json.loads((run / "evaluation.json").read_text())
    assert summary["score_name"] == "cds" and (run / "report.html").is_file()
    capsys.readouterr()
    words = ["evaluate", str(run), "--data", str(root), "--split", "all", "--submission", str(file), "--json"]
    assert main([*words, "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["sweeps"] == 5
    stamps = read_feather(file, {"timestamp_ns": "int64", "log_id": "text", "score": "float64"})
    assert set(stamps["log_id"].tolist()) <= {"log-train", "log-val"} and len(stamps["score"])


def test_a_set_without_training_logs_is_evaluated_and_overfitted(root: Path, tmp_path: Path) -> None:
    only = tmp_path / "only"
    only.mkdir()
    (only / "val").symlink_to(root / "val")
    recipe, run = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(RECIPE.replace("ROOT", str(only)))
    assert main(["train", str(recipe), "-o", str(run), "--device", "cpu", "--overfit", "2"]) == 0
    assert main(["evaluate", str(run), "--data", str(only), "--device", "cpu"]) == 0


def test_a_model_of_few_categories_is_scored_on_these_of_a_whole_data_set(root: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace("ROOT", str(root)))
    task = load_task(recipe, [f"data.class_names=[{', '.join(NAMES[1::-1])}]"])
    summary = task.for_dataset(Argoverse2Settings(root=root)).evaluate(task.model(), CPU, silent).summary
    assert summary["classes_scored"] == "2 of the benchmark's 26" and summary["remarks"][0]["numbers"]["common"] == 2
    assert list(summary["classes"])[:2] == ["PEDESTRIAN", "REGULAR_VEHICLE"] and len(summary["classes"]) == 26
    objects = summary["classes"]["DOG"]["ground_truths"]
    assert summary["remarks"][0]["numbers"]["missed"] == sum(
        row["ground_truths"] for name, row in summary["classes"].items() if name not in NAMES[:2]
    )
    assert objects >= 0 and summary["ground_truths"] > 0
