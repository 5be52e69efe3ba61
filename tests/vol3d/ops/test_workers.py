"""Import costs nothing; operations work in forked data-loader workers and give there what they give here."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vol3d.ops import VoxelGrid, assign_voxels, ball_query, farthest_point_sample, knn

GRID = VoxelGrid((0.5, 0.5, 0.5), (-2, -2, -2, 2, 2, 2))


class Prepared(Dataset[list[Tensor]]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, item: int) -> list[Tensor]:
        points = torch.randn(1, 3000, 3, generator=torch.Generator().manual_seed(item))
        picks = farthest_point_sample(points, 200)
        centers = points[:, picks[0]].contiguous()
        balls, near = ball_query(points, centers, 0.3, 8), knn(points, centers, 4)
        return [picks, balls.indices, near.indices, assign_voxels([points[0]], GRID).voxels]


def test_import_compiles_nothing() -> None:
    code = "import sys, vol3d.ops; print('numba' in sys.modules)"  # without numba nothing can be
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stdout + done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on Windows")
def test_forked_workers_agree_with_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOL3D_NUM_THREADS", "2")
    here = [Prepared()[i] for i in range(4)]  # the pool has threads before the fork
    loader = DataLoader(Prepared(), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=300)
    for mine, theirs in zip(here, loader, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
