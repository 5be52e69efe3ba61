"""The official nuScenes devkit, run by a Python of its own, since it wants other versions of packages.

`VOL3D_DEVKIT_PYTHON` names that Python; by default it is `../venvs/devkit/bin/python` beside the project.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parents[3]
_SCRIPT = """
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


def devkit_reads(root: Path, version: str, out: Path, most: int = 1_000_000) -> dict[str, np.ndarray]:
    """What the devkit makes of the first samples: `TOKEN.points` (N, 5) x y z intensity seconds, `.boxes` (n, 7) in the
    frame of the lidar, `.velocity` (n, 2) in the world, `.names`. Skips where there is no devkit."""
    python = Path(os.environ.get("VOL3D_DEVKIT_PYTHON", PROJECT.parent / "venvs/devkit/bin/python"))
    if not python.is_file():
        pytest.skip("no nuScenes devkit; set VOL3D_DEVKIT_PYTHON to a Python that has it")
    command = [str(python), "-c", _SCRIPT, str(root), version, str(out), str(most)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert ran.returncode == 0, ran.stderr[-2000:]
    with np.load(out) as arrays:
        return dict(arrays)
