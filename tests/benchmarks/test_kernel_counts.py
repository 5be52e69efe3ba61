"""Kernels and host waits of the CUDA path, as upper bounds: what is added here, every frame or step of a GPU pays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
BOUNDS = {
    "strided sparse map 3^3": (40, 1),
    "four levels of CenterPoint's encoder": (40, 1),
    "CenterPoint pillars, a frame: network": (215, 2),
    "CenterPoint pillars, a frame: boxes": (75, 1),
    "CenterPoint pillars, batch 4: network": (245, 2),
    "CenterPoint pillars, batch 4: loss": (200, 0),
    "CenterPoint voxels, a frame": (510, 4),
    "3DETR, a frame": (440, 2),
    "3DETR, batch 4: network": (460, 1),
    "3DETR, batch 4: loss": (600, 1),
    "3DETR-m, a frame": (510, 2),
    "3DETR-m, batch 4: network": (520, 1),
    "3DETR-m, batch 4: loss": (600, 1),
    "moving averages of 100 parameters": (1, 0),
    "segmentation, 16 planes": (390, 2),
    "segmentation, 8 mirrored views of a window": (165, 0),
}


@pytest.mark.slow
def test_kernels_and_waits_stay_below_their_bounds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.kernel_counts", "--json", str(tmp_path / "counts.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads((tmp_path / "counts.json").read_text())["rows"]
    assert {row["work"] for row in rows} == set(BOUNDS)
    over = [r for r in rows if r["kernels"] > BOUNDS[r["work"]][0] or r["waits"] > BOUNDS[r["work"]][1]]
    assert not over
