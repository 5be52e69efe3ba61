"""The official nuScenes devkit, run by a Python of its own, since it wants other versions of packages.

`VOL3D_DEVKIT_PYTHON` names that Python; by default it is `../venvs/devkit/bin/python` beside the project.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parents[3]
_READS = """
import sys, numpy as np
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
root, version, out, most = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
nusc, found = NuScenes(version, root, verbose=False), {}
for sample in nusc.sample[:most]:
    cloud, times = LidarPointCloud.from_file_multisweep(nusc, sample, "LIDAR_TOP", "LIDAR_TOP", nsweeps=10)
    found[sample["token"] + ".points"] = np.vstack([cloud.points, times]).T
    boxes = nusc.get_sample_data(sample["data"]["LIDAR_TOP"])[1]
    found[sample["token"] + ".boxes"] = np.array(
        [[*box.center, *box.wlh[[1, 0, 2]], np.arctan2(*box.rotation_matrix[[1, 0], 0])] for box in boxes])
    found[sample["token"] + ".velocity"] = np.array([nusc.box_velocity(token)[:2] for token in sample["anns"]])
    found[sample["token"] + ".names"] = np.array([box.name for box in boxes])
np.savez(out, **found)
"""

_SCORES = """
import sys, json
from nuscenes.nuscenes import NuScenes
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.evaluate import DetectionEval
root, version, out, part, results = sys.argv[1:6]
nusc = NuScenes(version, root, verbose=False)
task = DetectionEval(nusc, config_factory("detection_cvpr_2019"), results, part, out + "_folder", verbose=False)
json.dump(task.evaluate()[0].serialize(), open(out, "w"))
"""


def devkit_reads(root: Path, version: str, out: Path, most: int = 1_000_000) -> dict[str, np.ndarray]:
    """What the devkit makes of the first samples: `TOKEN.points` (N, 5) x y z intensity seconds, `.boxes` (n, 7) in the
    frame of the lidar, `.velocity` (n, 2) in the world, `.names`. Skips where there is no devkit."""
    _run(_READS, root, version, out, most)
    with np.load(out) as arrays:
        return dict(arrays)


def devkit_scores(root: Path, version: str, out: Path, part: str, results: Path) -> dict[str, Any]:
    """What the devkit's evaluation says of a result file; skips where there is no devkit."""
    _run(_SCORES, root, version, out, part, results)
    scores: dict[str, Any] = json.loads(out.read_text())
    return scores


def _run(script: str, *words: object) -> None:
    python = Path(os.environ.get("VOL3D_DEVKIT_PYTHON", PROJECT.parent / "venvs/devkit/bin/python"))
    if not python.is_file():
        pytest.skip("no nuScenes devkit; set VOL3D_DEVKIT_PYTHON to a Python that has it")
    command = [str(python), "-c", script, *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert ran.returncode == 0, ran.stderr[-2000:]
