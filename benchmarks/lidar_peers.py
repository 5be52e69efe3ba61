"""What LiDAR's speed is compared with: the nuScenes devkit's way to ten sweeps, and a network of spconv's layers."""

from __future__ import annotations

import os
import subprocess
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.sparse import peer
from pointcloud.datasets.nuscenes.sample import NuScenesSample
from pointcloud.models.layers.sparse_encoder import SparseEncoder
from pointcloud.structures.voxels import VoxelSettings
from vol3d.ops import VoxelGrid
from vol3d.sparse import state_to_spconv

_DEVKIT = """
import sys, time
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
root, version, token, repeats = sys.argv[1:]
nusc, best = NuScenes(version, root, verbose=False), float("inf")
sample = nusc.get("sample", token)
for _ in range(int(repeats) + 1):
    start = time.process_time()
    LidarPointCloud.from_file_multisweep(nusc, sample, "LIDAR_TOP", "LIDAR_TOP", nsweeps=10)
    best = min(best, time.process_time() - start)
print(1e3 * best)
"""


def load_as_devkit(sample: NuScenesSample) -> NDArray[np.float32]:
    """Points (N, 5) x y z intensity seconds of a sample's sweeps as the devkit's loop joins them, one after the other.

    Rows of a matrix are coordinates, every motion is a product of homogeneous matrices, and the cloud so far is copied
    with each sweep. The matrices are at hand, which the devkit makes of its tables; it cuts the keyframe's near points,
    too.
    """
    index, cloud, times = sample.index, np.zeros((4, 0), np.float32), np.zeros((1, 0))
    rows = index.sweeps_of(sample.row, sample.sweeps)
    to_lidar = np.linalg.inv(sample.global_from_lidar)
    for row in rows:
        points = np.fromfile(sample.data / index.path(row), np.float32).reshape(-1, 5)[:, :4].T
        near_x, near_y = np.abs(points[0]) < sample.close_m, np.abs(points[1]) < sample.close_m
        points = points[:, np.logical_not(np.logical_and(near_x, near_y))]
        motion = reduce(np.dot, [to_lidar, index.global_from_lidar[row]])
        points[:3] = motion.dot(np.vstack((points[:3], np.ones(points.shape[1]))))[:3]
        lag = 1e-6 * (index.time_us[rows[0]] - index.time_us[row])
        times = np.hstack((times, lag * np.ones((1, points.shape[1]))))
        cloud = np.hstack((cloud, points))
    return np.vstack((cloud, times)).T.astype(np.float32)


def devkit_ms(root: Path, version: str, token: str, repeats: int) -> float | None:
    """Least CPU time of the devkit itself, in the Python that `VOL3D_DEVKIT_PYTHON` names; None without."""
    python = os.environ.get("VOL3D_DEVKIT_PYTHON")
    if not python:
        return None
    command = [python, "-c", _DEVKIT, str(root), version, token, str(repeats)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


class SpconvEncoder(nn.Module):
    """Our sparse encoder in spconv's layers and with our weights; equal names, so that a state fits both."""

    def __init__(self, ours: SparseEncoder, channels: int) -> None:
        super().__init__()
        spconv, settings = peer(), ours.settings
        widths = settings.widths

        def layer(convolution: nn.Module, width: int) -> Any:
            return spconv.SparseSequential(convolution, _norm(width), nn.ReLU())

        def inner(stage: int) -> nn.Module:
            w, key = widths[stage], f"stage {stage}"
            if settings.block == "residual":
                return SpconvResidual(w, settings.bias, key)
            return layer(spconv.SubMConv3d(w, w, 3, bias=False, indice_key=key), w)

        first = spconv.SubMConv3d(channels, widths[0], 3, bias=False, indice_key="stage 0")
        self.input, self.stages = layer(first, widths[0]), nn.ModuleList()
        for stage, blocks in enumerate(settings.blocks):
            down = []
            if stage:
                pad, (before, w) = settings.paddings[stage - 1], widths[stage - 1 : stage + 1]
                down = [layer(spconv.SparseConv3d(before, w, 3, 2, pad, bias=False), w)]
            self.stages.append(nn.Sequential(*down, *(inner(stage) for _ in range(blocks))))
        pad, w = (settings.out_padding, 0, 0), settings.out_width
        self.output = layer(spconv.SparseConv3d(widths[-1], w, (3, 1, 1), (2, 1, 1), pad, bias=False), w)
        self.load_state_dict(state_to_spconv(ours, 2))

    def forward(self, features: Tensor, coordinates: Tensor, grid: VoxelGrid) -> Tensor:
        """Voxels of one cloud, (V, C) at (V, 4) sample z y x -> (1, C, Y, X)."""
        nz, ny, nx = grid.shape
        x = self.input(peer().SparseConvTensor(features, coordinates, [nz + 1, ny, nx], 1))
        for stage in self.stages:
            x = stage(x)
        dense: Tensor = self.output(x).dense()
        return dense.flatten(1, 2)


class SpconvResidual(nn.Module):
    """As `ResidualBlock`."""

    def __init__(self, width: int, bias: bool, key: str) -> None:
        super().__init__()
        self.first, self.second = (peer().SubMConv3d(width, width, 3, bias=bias, indice_key=key) for _ in range(2))
        self.first_norm, self.second_norm = _norm(width), _norm(width)

    def forward(self, x: Any) -> Any:
        inner = self.first(x)
        inner = self.second(inner.replace_feature(self.first_norm(inner.features).relu()))
        return inner.replace_feature((self.second_norm(inner.features) + x.features).relu())


class SpconvVoxels:
    """spconv's hard voxels of one cloud: it keeps its tables and hands out its own buffers."""

    def __init__(self, settings: VoxelSettings, columns: int, device: str) -> None:
        from spconv.pytorch.utils import PointToVoxel

        grid, limits = settings.grid, (settings.max_voxels, settings.max_points)
        self._make = PointToVoxel(list(grid.voxel_size), list(grid.point_range), columns, *limits, torch.device(device))

    def __call__(self, cloud: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Points (V, max_points, C), coordinates (V, 4) sample z y x, counts (V,)."""
        points, coordinates, counts = self._make(cloud)
        return points, nn.functional.pad(coordinates, (1, 0)), counts

    def means(self, cloud: Tensor) -> tuple[Tensor, Tensor]:
        """Means of the voxels' points (V, C) and the coordinates."""
        points, coordinates, counts = self(cloud)
        return points.sum(1) / counts[:, None], coordinates


def _norm(width: int) -> nn.Module:
    return nn.BatchNorm1d(width, eps=1e-3, momentum=0.01)
