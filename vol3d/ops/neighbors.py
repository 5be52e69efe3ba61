"""Neighbours in space: all points within a radius (up to k), or the k nearest. Clouds come as padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vol3d.errors import DataError
from vol3d.kernels import takes_triton
from vol3d.ops import neighbors_torch
from vol3d.ops.checks import (
    cloud_counts,
    computable,
    require_floats,
    require_positive,
    require_same_device,
    require_whole,
)
from vol3d.threads import parallel_for

_GRAIN = 64  # query points that are worth a call to another thread


class Ball(NamedTuple):
    """Points within a radius: indices (B, M, k), -1 behind the last, and hits (B, M), which may exceed k."""

    indices: Int64[Tensor, "b m k"]
    hits: Int64[Tensor, "b m"]


class Nearest(NamedTuple):
    """The nearest points, nearest first: distances (B, M, k) in metres, infinite where indices (B, M, k) are -1."""

    distances: Float[Tensor, "b m k"]
    indices: Int64[Tensor, "b m k"]


def ball_query(
    points: Float[Tensor, "b n 3"],
    centers: Float[Tensor, "b m 3"],
    radius: float,
    k: int,
    *,
    counts: Tensor | Sequence[int] | None = None,
    center_counts: Tensor | Sequence[int] | None = None,
    padding: Literal["missing", "first"] = "missing",
) -> Ball:
    """Points strictly nearer than radius to each center: the first k in order of index (PointNet++, section 3.2).

    Args:
        points, centers: (B, N, 3) and (B, M, 3), metres, one dtype.
        radius: metres; points at d^2 < radius^2 belong to the ball, both rounded to the dtype of the points.
        counts, center_counts: (B,) points and centers of each cloud; all if None. Rows behind them: no neighbours.
        padding: "missing" leaves -1 behind the last neighbour. "first" is what released PointNet++ code does, 3DETR's
            too: the first neighbour is repeated, and a ball without any holds index 0 throughout.

    Raises:
        DataError: wrong dtype, shape, device, radius or k; coordinates that are not finite.
    """
    sizes, center_sizes = _check(points, centers, "centers", counts, center_counts, k)
    require_positive(radius, "radius")
    if padding not in ("missing", "first"):
        raise DataError("unknown padding", where="padding", got=repr(padding), wanted="'missing' or 'first'")
    values, queries = computable(points), computable(centers)
    # As the original: the radius is rounded first, then its square.
    radius2 = float(torch.tensor(radius, dtype=values.dtype) ** 2)
    if takes_triton(values) and values.dtype == torch.float32:
        from vol3d.ops.neighbors_triton import ball_triton

        indices, hits = ball_triton(values, queries, sizes, center_sizes, radius2, k)
    elif values.device.type != "cpu":
        indices, hits = neighbors_torch.ball(values, queries, sizes, center_sizes, radius2, k)
    else:
        indices, hits = _ball_cpu(values, queries, sizes, center_sizes, radius, radius2, k)
    if padding == "first" and k > 0:
        indices = torch.where(indices < 0, indices[..., :1].clamp_min(0), indices)
    return Ball(indices, hits)


def knn(
    points: Float[Tensor, "b n c"],
    queries: Float[Tensor, "b m c"],
    k: int,
    *,
    counts: Tensor | Sequence[int] | None = None,
    query_counts: Tensor | Sequence[int] | None = None,
) -> Nearest:
    """The k nearest points of each query, nearest first, lowest index first among equally near ones.

    Args:
        points, queries: (B, N, C) and (B, M, C), one dtype; C = 3 is fast, any other C compares all pairs.
        k: neighbours; a cloud with fewer points gives index -1 at distance infinity for the rest.
        counts, query_counts: (B,) points and queries of each cloud; all if None. Rows behind them: no neighbours.

    Distances are exact differences, not |a|^2 + |b|^2 - 2ab, whose rounding reorders close neighbours. They carry no
    gradient; `interpolate_nearest` shows how to compute differentiable ones.

    Raises:
        DataError: wrong dtype, shape, device or k; coordinates that are not finite.

    >>> points = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [5, 0, 0]]])
    >>> knn(points, points, 2).indices
    tensor([[[0, 1],
             [1, 0],
             [2, 1]]])
    """
    sizes, query_sizes = _check(points, queries, "queries", counts, query_counts, k, channels=None)
    values, targets = computable(points), computable(queries)
    if values.device.type == "cpu" and values.shape[2] == 3:
        return _knn_cpu(values, targets, sizes, query_sizes, k)
    if takes_triton(values) and values.dtype == torch.float32 and values.shape[2] == 3 and k:
        from vol3d.ops.neighbors_triton import MOST_NEAREST, nearest_triton

        if k <= MOST_NEAREST:
            return Nearest(*nearest_triton(values, targets, sizes, query_sizes, k))
    return Nearest(*neighbors_torch.nearest(values, targets, sizes, query_sizes, k))


def _check(
    points: Tensor,
    queries: Tensor,
    name: str,
    counts: Tensor | Sequence[int] | None,
    query_counts: Tensor | Sequence[int] | None,
    k: int,
    channels: int | None = 3,
) -> tuple[Tensor, Tensor]:
    width = channels or "C"
    require_floats(points, "points", f"(B, N, {width})", 3, channels)
    require_floats(queries, name, f"(B, M, {width})", 3, channels)
    require_same_device(points=points, **{name: queries})
    if queries.dtype != points.dtype or (queries.shape[0], queries.shape[2]) != (points.shape[0], points.shape[2]):
        got, wanted = (f"{t.dtype} {tuple(t.shape)}" for t in (queries, points))
        raise DataError("does not fit points", where=name, got=got, wanted=f"batch, columns and dtype of {wanted}")
    require_whole(k, "k", zero=True)
    prefix = f"{name[:-1] if name != 'queries' else 'query'}_"
    return cloud_counts(points, counts, "points"), cloud_counts(queries, query_counts, name, prefix)


def _ball_cpu(
    points: Tensor, centers: Tensor, sizes: Tensor, center_sizes: Tensor, radius: float, radius2: float, k: int
) -> tuple[Tensor, Tensor]:
    from vol3d.ops.neighbors_cpu import ball_range, build_cells

    indices = torch.full((*centers.shape[:2], k), -1, dtype=torch.int64)
    hits = torch.zeros(centers.shape[:2], dtype=torch.int64)
    limit = points.numpy().dtype.type(radius2)
    for cloud, (n, m) in enumerate(zip(sizes.tolist(), center_sizes.tolist(), strict=True)):
        if n > 0:
            # A little more than the radius: two points whose rounded distance is below it are never two cells apart.
            cells = build_cells(points[cloud].numpy(), n, radius * (1 + 1e-6))
            arrays = (centers[cloud].numpy(), limit, cells, indices[cloud].numpy(), hits[cloud].numpy())
            parallel_for(ball_range, m, *arrays, grain=_GRAIN)
    return indices, hits


def _knn_cpu(points: Tensor, queries: Tensor, sizes: Tensor, query_sizes: Tensor, k: int) -> Nearest:
    from vol3d.ops.neighbors_cpu import build_cells, likely_cell_size, nearest_range

    distances = torch.full((*queries.shape[:2], k), torch.inf, dtype=points.dtype)
    indices = torch.full((*queries.shape[:2], k), -1, dtype=torch.int64)
    for cloud, (n, m) in enumerate(zip(sizes.tolist(), query_sizes.tolist(), strict=True)):
        wanted = min(k, n)  # lists as long as the cloud end full
        if wanted > 0:
            array = points[cloud].numpy()
            cells = build_cells(array, n, likely_cell_size(array, n, wanted))
            lists = distances[cloud, :, :wanted].numpy(), indices[cloud, :, :wanted].numpy()
            parallel_for(nearest_range, m, queries[cloud].numpy(), cells, *lists, grain=_GRAIN)
    return Nearest(distances.sqrt_(), indices)
