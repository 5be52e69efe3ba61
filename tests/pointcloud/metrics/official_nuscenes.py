"""The original's nuScenes cases as the package's arrays, and the original itself where there is one.

The devkit wants other versions of packages, so it is run by a Python of its own (`VOL3D_DEVKIT_PYTHON`).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pointcloud.conventions.nuscenes import NuscenesBoxes
from pointcloud.metrics.nuscenes.boxes import (
    ATTRIBUTES,
    CLASSES,
    NuscenesTruth,
    from_columns,
)

_PROJECT = Path(__file__).resolve().parents[3]
_SCORE = """
import json, sys
import numpy as np
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.common.loaders import load_prediction
from nuscenes.eval.detection.config import config_factory
from nuscenes.eval.detection.data_classes import DetectionBox
from nuscenes.eval.detection.evaluate import DetectionEval
from nuscenes.utils.data_classes import Box
from nuscenes.utils.geometry_utils import points_in_box
from pyquaternion import Quaternion
truth = json.load(open(sys.argv[2]))
for box in (box for boxes in truth["results"].values() for box in boxes):
    box["velocity"] = [np.nan if v is None else v for v in box["velocity"] or (None, None)]
run = object.__new__(DetectionEval)
run.cfg, run.verbose = config_factory("detection_cvpr_2019"), False
run.pred_boxes, _ = load_prediction(sys.argv[1], 500, DetectionBox)
run.gt_boxes = EvalBoxes.deserialize(truth["results"], DetectionBox)
def counts(box, ego, racks):  # what the devkit looks up in the tables of a data set
    box.ego_translation = tuple(np.subtract(box.translation, ego))
    parked = any(points_in_box(rack, np.array(box.translation)[:, None]).any() for rack in racks)
    two_wheeled = box.detection_name in ("bicycle", "motorcycle")
    return box.ego_dist < run.cfg.class_range[box.detection_name] and box.num_pts != 0 and not (parked and two_wheeled)
for token, ego in truth["ego_translation"].items():
    racks = [Box(r["translation"], r["size"], Quaternion(r["rotation"])) for r in truth["bike_racks"].get(token, [])]
    for boxes in (run.pred_boxes.boxes, run.gt_boxes.boxes):
        boxes[token] = [box for box in boxes[token] if counts(box, ego, racks)]
metrics, _ = run.evaluate()
print(json.dumps({"nds": metrics.nd_score, "map": metrics.mean_ap, "errors": list(metrics.tp_errors.values())}))
"""


def devkit_scores(results: Path, truth: Path) -> dict[str, Any]:
    """NDS, mean AP and mean errors that the devkit gives a result file; skips where there is no devkit."""
    python = Path(os.environ.get("VOL3D_DEVKIT_PYTHON", _PROJECT.parent / "venvs/devkit/bin/python"))
    if not python.is_file():
        pytest.skip("no nuScenes devkit; set VOL3D_DEVKIT_PYTHON to a Python that has it")
    command = [str(python), "-c", _SCORE, str(results), str(truth)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout.splitlines()[-1])


def read_truth(path: Path) -> dict[str, NuscenesTruth]:
    """Annotation of one of the original's cases."""
    content = json.loads(path.read_text())
    return {
        token: NuscenesTruth(
            boxes=global_boxes(rows),
            labels=np.array([CLASSES.index(row["detection_name"]) for row in rows], np.int64),
            attributes=np.array(
                [ATTRIBUTES.index(row["attribute_name"]) if row["attribute_name"] else -1 for row in rows], np.int64
            ),
            points=np.array([row["num_pts"] for row in rows], np.int64),
            ego_position=np.array(content["ego_translation"][token]),
            bicycle_racks=global_boxes(content["bike_racks"].get(token, []))[:, :7],
        )
        for token, rows in content["results"].items()
    }


def global_boxes(rows: list[dict[str, Any]]) -> np.ndarray:
    """(N, 9) of rows in the original's format; null velocities are NaN, absent ones 0."""
    velocities = [row.get("velocity", [0, 0]) or [None, None] for row in rows]
    columns = NuscenesBoxes(
        _tensor([row["translation"] for row in rows], 3),
        _tensor([row["size"] for row in rows], 3),
        _tensor([row["rotation"] for row in rows], 4),
        _tensor([[np.nan if v is None else v for v in pair] for pair in velocities], 2),
    )
    return from_columns(columns)


def _tensor(values: list[list[float]], width: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(-1, width)
