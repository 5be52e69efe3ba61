"""Points into voxels: hard (up to a number of points each, as a padded block) and dynamic (every point has its voxel).

Pillars are voxels on a grid with one cell in z. Voxels stand in the order in which their first point appears, points in
their own order: the result never depends on a device or on the number of threads.
Sources: VoxelNet (Zhou and Tuzel 2018, section 2.1.1), PointPillars (Lang et al. 2019, section 2.1), dynamic
voxelisation (Zhou et al. 2020, section 3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor

from vol3d.errors import DataError, UsageError
from vol3d.host import constant
from vol3d.ops.batching import require_clouds
from vol3d.ops.checks import require_floats, require_whole
from vol3d.ops.rows import put_rows
from vol3d.ops.scatter import scatter_reduce
from vol3d.ops.voxels_torch import Assignment, assign_torch, cell_of_points, place_torch
from vol3d.threads import parallel_for

_MOST_CELLS = 2**31 - 1


@dataclass(frozen=True)
class VoxelGrid:
    """Where voxels lie. voxel_size: x y z, metres. point_range: lowest x y z, then highest x y z, metres."""

    voxel_size: tuple[float, float, float]
    point_range: tuple[float, float, float, float, float, float]

    def __post_init__(self) -> None:
        if len(self.voxel_size) != 3 or not all(0 < s < float("inf") for s in self.voxel_size):
            raise UsageError("no voxel", where="voxel_size", got=self.voxel_size, wanted="three positive lengths")
        bounds = list(zip(self.point_range[:3], self.point_range[3:], strict=False))
        if len(self.point_range) != 6 or not all(-float("inf") < a < b < float("inf") for a, b in bounds):
            wanted = "lowest x y z, then highest x y z, each above the lowest"
            raise UsageError("no range", where="point_range", got=self.point_range, wanted=wanted)
        nz, ny, nx = self.shape
        if min(self.shape) < 1 or nz * ny * nx > _MOST_CELLS:
            wanted = f"1 to {_MOST_CELLS} cells"
            raise UsageError("not a usable grid", where="voxel_size", got=f"{nz} x {ny} x {nx} cells", wanted=wanted)

    @classmethod
    def pillars(
        cls, size: tuple[float, float], point_range: tuple[float, float, float, float, float, float]
    ) -> VoxelGrid:
        """A grid of columns of x y `size` that reach over the whole range in z."""
        return cls((*size, point_range[5] - point_range[2]), point_range)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cells (nz, ny, nx): the range over the voxel size, rounded as in spconv and mmcv."""
        extent = (high - low for low, high in zip(self.point_range[:3], self.point_range[3:], strict=True))
        nx, ny, nz = (round(e / s) for e, s in zip(extent, self.voxel_size, strict=True))
        return nz, ny, nx

    def centers(self, coordinates: Tensor) -> Float[Tensor, "v 3"]:
        """Centres x y z of voxels, metres, from coordinates (V, 3 or more) that end in z, y, x."""
        size, low = (constant(values, coordinates, torch.float32) for values in (self.voxel_size, self.point_range[:3]))
        return (coordinates[:, -3:].flip(1) + 0.5) * size + low


@dataclass(frozen=True)
class VoxelBlocks:
    """Hard voxels. points: (V, max_points, C), then zeros; coordinates: (V, 4) batch, z, y, x; counts: (V,) kept;
    left_out: (B,) voxels of each cloud beyond the limit, on the CPU."""

    points: Float[Tensor, "v p c"]
    coordinates: Int32[Tensor, "v 4"]
    counts: Int32[Tensor, " v"]
    left_out: Int64[Tensor, " b"]

    def mean(self) -> Float[Tensor, "v c"]:
        """Mean of the points kept in each voxel (SECOND's mean encoder). Differentiable."""
        return self.points.sum(1) / self.counts[:, None].to(self.points.dtype)


@dataclass(frozen=True)
class VoxelPoints:
    """Dynamic voxels. points: (N, C) of all clouds, one after the other; voxels: (N,) row of each point's voxel, -1 for
    points outside the range or the limit; coordinates: (V, 4) batch, z, y, x; counts: (V,) points of each voxel;
    left_out: (B,) voxels of each cloud beyond the limit, on the CPU."""

    points: Float[Tensor, "n c"]
    voxels: Int64[Tensor, " n"]
    coordinates: Int32[Tensor, "v 4"]
    counts: Int32[Tensor, " v"]
    left_out: Int64[Tensor, " b"]

    def mean(self, features: Float[Tensor, "n _"] | None = None) -> Float[Tensor, "v _"]:
        """Mean of features (N, C), by default the points themselves, in each voxel. Differentiable."""
        features = self.points if features is None else features
        return scatter_reduce(features, self.voxels, len(self.counts), "mean")

    def max(self, features: Float[Tensor, "n _"]) -> Float[Tensor, "v _"]:
        """Maximum of features (N, C) in each voxel. Differentiable."""
        return scatter_reduce(features, self.voxels, len(self.counts), "max")


def voxel_coordinates(points: Float[Tensor, "n c"], grid: VoxelGrid) -> Int32[Tensor, "n 3"]:
    """Voxel z, y, x of each point (N, C >= 3), -1 -1 -1 outside the range; mmcv's dynamic voxelisation.

    Computed in the dtype of the points (float32 for half precision) as floor((p - low) / size), like the originals:
    multiplying by 1 / size moves points across faces.

    >>> grid = VoxelGrid((1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 4.0, 4.0, 4.0))
    >>> voxel_coordinates(torch.tensor([[3.5, 1.5, 0.5], [9.0, 0, 0]]), grid)
    tensor([[ 0,  1,  3],
            [-1, -1, -1]], dtype=torch.int32)
    """
    _require_points([points], "points")
    cell, inside = cell_of_points(points.detach(), grid.voxel_size, grid.point_range[:3], grid.shape)
    return cell.masked_fill(~inside[:, None], -1).int()


def assign_voxels(clouds: Sequence[Tensor], grid: VoxelGrid, *, max_voxels: int | None = None) -> VoxelPoints:
    """Dynamic voxelisation: the voxel of every point, nothing dropped or padded.

    Args:
        clouds: points (N_i, C >= 3) of each cloud: x y z in metres, then anything. A cloud may be empty.
        max_voxels: voxels per cloud; points of later ones are dropped (-1). None: no limit.

    Raises:
        DataError: wrong dtype or shape, clouds that differ, coordinates that are not finite (CPU; on a GPU such points
            are outside the range).
    """
    points, assignment = _assign(clouds, grid, max_voxels)
    return VoxelPoints(points, *assignment)


def voxelize(
    clouds: Sequence[Tensor], grid: VoxelGrid, *, max_points: int, max_voxels: int | None = None
) -> VoxelBlocks:
    """Hard voxelisation, first come, first served: mmcv's and spconv's CPU voxelisers, to the bit.

    Args:
        clouds: as `assign_voxels`.
        max_points: points per voxel; later ones are dropped.
        max_voxels: voxels per cloud; points of later ones are dropped, earlier ones go on filling. None: no limit.

    Raises:
        DataError: as `assign_voxels`; max_points or max_voxels not positive.
    """
    require_whole(max_points, "max_points")
    points, assignment = _assign(clouds, grid, max_voxels, max_points)
    place, count = assignment.voxels, len(assignment.counts)
    if points.device.type != "cpu":
        place = place_torch(place, max_points)
    blocks = put_rows(points, place, count * max_points).view(count, max_points, points.shape[1])
    counts = assignment.counts.clamp_max(max_points)
    return VoxelBlocks(blocks, assignment.coordinates, counts, assignment.left_out)


def _require_points(clouds: Sequence[Tensor], name: str) -> None:
    for i, cloud in enumerate(clouds):
        where = name if name == "points" else f"{name}[{i}]"
        require_floats(cloud, where, "(N, C >= 3)", 2)
        if cloud.shape[1] < 3:
            raise DataError("wrong shape", where=where, got=tuple(cloud.shape), wanted="(N, C >= 3)")


def _assign(
    clouds: Sequence[Tensor], grid: VoxelGrid, max_voxels: int | None, room: int = 0
) -> tuple[Tensor, Assignment]:
    """The joined points and their voxels; on the CPU, with room, their rows in blocks of `room` rows a voxel."""
    require_clouds(clouds, "clouds")
    _require_points(clouds, "clouds")
    if max_voxels is not None:
        require_whole(max_voxels, "max_voxels")
    points = clouds[0] if len(clouds) == 1 else torch.cat(list(clouds))
    lengths = [len(cloud) for cloud in clouds]
    if points.device.type == "cpu":
        return points, _assign_cpu(points.detach(), lengths, grid, max_voxels, room)
    low = grid.point_range[:3]
    return points, assign_torch(points.detach(), lengths, grid.voxel_size, low, grid.shape, max_voxels)


def _assign_cpu(points: Tensor, lengths: list[int], grid: VoxelGrid, max_voxels: int | None, room: int) -> Assignment:
    from vol3d.ops.voxels_cpu import assign_clouds

    xyz = points if points.dtype in (torch.float32, torch.float64) else points[:, :3].float()
    array = xyz.contiguous().numpy()
    low, size = torch.tensor(grid.point_range[:3], dtype=xyz.dtype), torch.tensor(grid.voxel_size, dtype=xyz.dtype)
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    voxels = torch.empty(len(points), dtype=torch.int64)
    coordinates = torch.empty(len(points), 4, dtype=torch.int32)
    counts = torch.empty(len(points), dtype=torch.int32)
    found = torch.empty(len(lengths), dtype=torch.int64)  # cells of each cloud, or -1 - row of a bad point
    most = max_voxels or _MOST_CELLS
    outputs = (voxels.numpy(), coordinates.numpy(), counts.numpy(), found.numpy())
    geometry = (low.numpy(), size.numpy(), torch.tensor(grid.shape).numpy(), most, room)
    parallel_for(assign_clouds, len(lengths), array, offsets.numpy(), *geometry, *outputs)
    if bool((found < 0).any()):
        cloud = int((found < 0).nonzero()[0])
        row = -1 - int(found[cloud])
        got = points[int(offsets[cloud]) + row, :3].tolist()
        raise DataError(
            f"point {row} is not finite", where=f"clouds[{cloud}]", got=got, wanted="finite x y z", index=cloud
        )
    kept = found.clamp_max(most)
    before = 0  # voxels of the clouds before: those of a cloud's points count from there
    for begin, n, v in zip(offsets.tolist(), lengths, kept.tolist(), strict=False):
        own = voxels[begin : begin + n]
        if before:
            own += before * max(room, 1) * (own >= 0)
        before += v
    parts = [slice(begin, begin + v) for begin, v in zip(offsets.tolist(), kept.tolist(), strict=False)]
    coordinates, counts = (torch.cat([values[part] for part in parts]) for values in (coordinates, counts))
    return Assignment(voxels, coordinates, counts, found - kept)
