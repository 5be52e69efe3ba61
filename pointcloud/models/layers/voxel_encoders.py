"""Points to features of the voxels they lie in: what every LiDAR network here starts with.

One stack of linear maps and maxima is VoxelNet's VFE (Zhou, Tuzel, CVPR 2018, section 2.1.1), PointPillars' pillar
network (Lang et al., CVPR 2019, section 2.1) and mmdetection3d's hard and dynamic VFE; SECOND takes the mean.

Where released code differs from the papers, options say so: `padding` (empty places of a voxel take part in its
maximum), `replace_xyz` (mmdetection3d subtracts the voxel's centre in place, so that coordinates are lost).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int32
from pydantic import Field
from torch import Tensor, nn

from pointcloud.models.layers.clouds import check_clouds
from pointcloud.structures.features import Feature
from pointcloud.structures.voxels import VoxelSettings
from vol3d.engine.settings import Settings
from vol3d.ops import VoxelBlocks, VoxelGrid, VoxelPoints, assign_voxels, voxelize
from vol3d.sparse import SparseBatchNorm
from vol3d.threads import parallel_for

NORM_EPS, NORM_MOMENTUM = 1e-3, 0.01  # of SECOND's batch norms, and of all that followed it
_GRAIN = 256  # voxels that are worth a call to another thread


class PointStackSettings(Settings):
    """The network of `PointStack`; the defaults are PointPillars' on nuScenes as published with CenterPoint."""

    widths: tuple[int, ...] = Field(
        (64,), min_length=1, description="of the linear maps; maxima double all but the last"
    )
    cluster_offset: bool = Field(True, description="a point sees its offset from the mean of its voxel's points")
    centre_offset: Literal["none", "xy", "xyz"] = Field("xy", description="and from the centre of its voxel")
    distance: bool = Field(False, description="and its distance from the sensor")
    replace_xyz: bool = Field(
        False, description="as mmdetection3d's pillars: the offset from the centre instead of xyz"
    )
    pool: Literal["max", "mean"] = Field("max", description="of a voxel's points")
    padding: Literal["first", "each"] = Field(
        "first",
        description="empty places are zeroed before the first linear map only, or after each (SECOND's VoxelNet)",
    )

    def inputs(self, columns: int) -> int:
        """Inputs of the first linear map for a point with this number of columns."""
        return columns + 3 * self.cluster_offset + CENTRE_AXES[self.centre_offset] + self.distance


CENTRE_AXES = {"none": 0, "xy": 2, "xyz": 3}


@dataclass(frozen=True, eq=False)
class Voxels:
    """Features of the voxels of a batch.

    features: (V, C).
    coordinates: (V, 4) sample, z, y, x.
    samples: how many there are; the last ones may have no voxel.
    left_out: for each sample, voxels with points that were beyond the limit; points of the later ones are not seen.
    """

    features: Float[Tensor, "v c"]
    coordinates: Int32[Tensor, "v 4"]
    samples: int
    left_out: tuple[int, ...]


class MeanEncoder(nn.Module):
    """The mean of each voxel's points (SECOND's later encoder; mmdetection3d's HardSimpleVFE)."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.width = columns

    def forward(self, voxels: VoxelBlocks | VoxelPoints, grid: VoxelGrid) -> Float[Tensor, "v c"]:
        """Voxels with points (.., C) -> (V, C)."""
        return voxels.mean()


class PointStack(nn.Module):
    """Linear map, norm, ReLU for every point, then the maximum over its voxel joined to it; the last gives the voxel.

    Args:
        columns: of a point, coordinates included.
        settings: sizes and inputs.
    """

    def __init__(self, columns: int, settings: PointStackSettings) -> None:
        super().__init__()
        self.settings, self.width = settings, settings.widths[-1]
        inputs = [settings.inputs(columns), *(2 * w for w in settings.widths[:-1])]
        sizes = list(zip(inputs, settings.widths, strict=True))
        self.linears = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in sizes)
        self.norms = nn.ModuleList(SparseBatchNorm(b, eps=NORM_EPS, momentum=NORM_MOMENTUM) for _, b in sizes)

    def forward(self, voxels: VoxelBlocks | VoxelPoints, grid: VoxelGrid) -> Float[Tensor, "v c"]:
        """Hard or dynamic voxels -> (V, widths[-1])."""
        if isinstance(voxels, VoxelPoints):
            return self._dynamic(voxels, grid)
        # A GPU computes empty places sooner than it tells the host how many there are.
        dense = self.training or voxels.points.is_cuda
        return self._hard(voxels, grid) if dense else self._hard_rows(voxels, grid)

    def _hard(self, voxels: VoxelBlocks, grid: VoxelGrid) -> Tensor:
        count, places, _ = voxels.points.shape
        centre = grid.centers(voxels.coordinates)[:, None]  # (V, 1, 3)
        means = voxels.mean()[:, None, :3] if self.settings.cluster_offset else None
        there = torch.arange(places, device=voxels.counts.device) < voxels.counts[:, None]  # (V, P)
        x = self._inputs(voxels.points, means, centre) * there[..., None]  # (V, P, inputs)
        pooled = x
        for index, out in enumerate(self.settings.widths):
            x = self._layer(index, x.flatten(0, 1)).view(count, places, out)
            last = index == len(self.linears) - 1
            seen = x * there[..., None] if self._unseen_padding(last) else x
            if self.settings.pool == "max":
                pooled = seen.amax(dim=1, keepdim=True)  # (V, 1, W)
            else:
                pooled = seen.sum(dim=1, keepdim=True) / voxels.counts[:, None, None]
            if last:
                break
            x = torch.cat([x, pooled.expand_as(x)], dim=2)
            if self.settings.padding == "each":
                x = x * there[..., None]
        return pooled[:, 0]

    def _hard_rows(self, voxels: VoxelBlocks, grid: VoxelGrid) -> Tensor:
        """`_hard` with running statistics: the empty places of a voxel are alike, and one stands for all of them."""
        places = voxels.points.shape[1]
        place, counts = torch.arange(places, device=voxels.counts.device), voxels.counts[:, None]
        rows = place <= counts  # (V, P)
        taken = rows.flatten().nonzero()[:, 0]  # (N,), found once for all that is taken
        owner, there = taken // places, (place < counts).flatten()[taken, None]  # (N,), (N, 1)
        means = voxels.mean()[:, :3][owner] if self.settings.cluster_offset else None
        points, centres = voxels.points.flatten(0, 1)[taken], grid.centers(voxels.coordinates)[owner]
        x = self._inputs(points, means, centres) * there  # (N, inputs)
        pooled = x
        for index in range(len(self.linears)):
            x = self._layer(index, x)
            last = index == len(self.linears) - 1
            seen = x * there if self._unseen_padding(last) else x
            lengths = rows.sum(dim=1)
            if self.settings.pool == "max":
                pooled = torch.segment_reduce(seen, "max", lengths=lengths, unsafe=True)  # (V, W)
            else:
                pooled = torch.segment_reduce(seen, "sum", lengths=lengths, unsafe=True) / counts
            if last:
                break
            x = torch.cat([x, pooled[owner]], dim=1)
            if self.settings.padding == "each":
                x = x * there
        return pooled

    def _unseen_padding(self, last: bool) -> bool:
        """Whether the empty places of a voxel are zeros where its points are pooled; a mean is of the points alone."""
        return self.settings.pool == "mean" or (last and self.settings.padding == "each")

    def _dynamic(self, voxels: VoxelPoints, grid: VoxelGrid) -> Tensor:
        inside = voxels.voxels >= 0
        points, owner = voxels.points[inside], voxels.voxels[inside]
        kept = replace(voxels, points=points, voxels=owner)
        means = kept.mean()[:, :3][owner] if self.settings.cluster_offset else None
        x = self._inputs(points, means, grid.centers(voxels.coordinates)[owner])  # (N, inputs)
        pooled = x
        for index in range(len(self.linears)):
            x = self._layer(index, x)
            pooled = kept.max(x) if self.settings.pool == "max" else kept.mean(x)  # (V, W)
            if index < len(self.linears) - 1:
                x = torch.cat([x, pooled[owner]], dim=1)
        return pooled if len(points) else pooled + x.sum()  # nothing, but gradients exist

    def compiled(self, points: Tensor) -> bool:
        """Whether `encode` may stand for `forward`: nothing is learned from the result, and numba knows the device."""
        learning = torch.is_grad_enabled() or any(norm.training for norm in self.norms)
        return not learning and self.settings.pool == "max" and points.device.type == "cpu"

    def encode(self, voxels: VoxelPoints, grid: VoxelGrid, max_points: int | None) -> Float[Tensor, "v c"]:
        """`forward` in one compiled loop, straight from the points, in float32 and without a gradient.

        Args:
            max_points: kept of each voxel, as in hard voxels; None: all, as in dynamic ones.
        """
        from pointcloud.models.layers.point_stack_cpu import encode_range
        from vol3d.ops.rows_cpu import group

        settings, count = self.settings, len(voxels.counts)
        order, starts = group(voxels.voxels.numpy(), count)
        axes, zeroed = CENTRE_AXES[settings.centre_offset], settings.padding == "each"
        choice = (settings.cluster_offset, axes, settings.replace_xyz, settings.distance, zeroed)
        centres, out = grid.centers(voxels.coordinates), torch.empty(count, self.width)
        arrays = (voxels.points.contiguous().numpy(), order, starts, centres.numpy(), max_points or 0, choice)
        parallel_for(encode_range, count, *arrays, *self._folded(), out.numpy(), grain=_GRAIN)
        return out

    def _folded(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights, biases and sizes as `encode_range` takes them, with the norms in them."""
        from pointcloud.models.layers.point_stack_cpu import padded, panels

        layers = cast("list[tuple[nn.Linear, SparseBatchNorm]]", [*zip(self.linears, self.norms, strict=True)])
        sizes = np.array([(linear.in_features, padded(linear.out_features)) for linear, _ in layers])
        sizes[1:, 0] //= 2  # the rows' own; the other half is their maximum
        weights = np.zeros((len(sizes), 2, sizes.prod(axis=1).max()), np.float32)
        biases = np.zeros((len(sizes), sizes[:, 1].max()), np.float32)
        for index, (linear, norm) in enumerate(layers):
            mean, variance = norm.get_buffer("running_mean").double(), norm.get_buffer("running_var").double()
            scale = norm.weight / (variance + norm.eps).sqrt()
            matrix = (linear.weight * scale[:, None]).T.float().numpy()
            for half, part in enumerate(np.split(matrix, [sizes[index, 0]])[: 1 + (index > 0)]):
                flat = panels(part)
                weights[index, half, : len(flat)] = flat
            biases[index, : linear.out_features] = (norm.bias - mean * scale).numpy()
        return weights, biases, sizes

    def _layer(self, index: int, x: Float[Tensor, "n i"]) -> Float[Tensor, "n w"]:
        return F.relu(self.norms[index](self.linears[index](x)))

    def _inputs(self, points: Tensor, means: Tensor | None, centre: Tensor) -> Tensor:
        """What the first linear map sees: (..., C) -> (..., inputs)."""
        xyz, axes = points[..., :3], CENTRE_AXES[self.settings.centre_offset]
        away = xyz[..., :axes] - centre[..., :axes]
        parts = [points]
        if self.settings.replace_xyz:
            parts = [away, points[..., axes:]]
        distance = torch.cat(parts, dim=-1)[..., :3].norm(dim=-1, keepdim=True)
        if means is not None:
            parts.append(xyz - means)
        if axes:
            parts.append(away)
        if self.settings.distance:
            parts.append(distance)
        return torch.cat(parts, dim=-1)


def encode_voxels(
    clouds: Sequence[Tensor], settings: VoxelSettings, features: Sequence[Feature], encoder: MeanEncoder | PointStack
) -> Voxels:
    """Clouds (N_i, 3 + C) to features of voxels. A cloud may be empty or lie outside the range.

    Raises:
        DataError: not a list of clouds, other columns than the features, values that are not finite.
    """
    check_clouds(clouds, features)
    grid, limit = settings.grid, settings.max_voxels
    clouds = [cloud.float() for cloud in clouds]
    voxels: VoxelBlocks | VoxelPoints
    if isinstance(encoder, PointStack) and encoder.compiled(clouds[0]):
        voxels = assign_voxels(clouds, grid, max_voxels=limit)
        encoded = encoder.encode(voxels, grid, settings.max_points)
    elif settings.max_points is None:
        voxels = assign_voxels(clouds, grid, max_voxels=limit)
        encoded = encoder(voxels, grid)
    else:
        voxels = voxelize(clouds, grid, max_points=settings.max_points, max_voxels=limit)
        encoded = encoder(voxels, grid)
    left_out = tuple(voxels.left_out.tolist())
    if any(left_out):
        what = f"a cloud has voxels beyond max_voxels {limit}: those of its first points are kept"
        warnings.warn(what, stacklevel=2)
    return Voxels(encoded, voxels.coordinates, len(clouds), left_out)
