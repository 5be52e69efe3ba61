"""Farthest-point sampling: repeatedly the point that is farthest from all points picked before.

Eldar et al., The Farthest Point Strategy for Progressive Image Sampling (1997); each level of PointNet++ (Qi et al.
2017, section 3.2) starts with it. Ties go to the lowest index.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vol3d.errors import DataError
from vol3d.host import send
from vol3d.kernels import takes_triton
from vol3d.ops.checks import cloud_counts, computable, require_floats, require_same_device, require_whole
from vol3d.ops.sampling_torch import sample_by_rows, usable_points
from vol3d.threads import parallel_for


def farthest_point_sample(
    points: Float[Tensor, "b n c"],
    k: int,
    *,
    counts: Tensor | Sequence[int] | None = None,
    start: int | Tensor = 0,
    skip_near_origin: bool = False,
) -> Int64[Tensor, "b k"]:
    """Indices of k points of each cloud, each the farthest from those before it: int64 (B, k).

    Args:
        points: (B, N, C), metres; C = 3 is fast, any other C (3DSSD's feature distance: coordinates and features side
            by side) computes every distance.
        k: picks per cloud, at most the points of the smallest cloud.
        counts: (B,) points of each cloud; all N if None. Rows behind them are ignored.
        start: index of the first pick, one for all or (B,).
        skip_near_origin: quirk of the code released with 3DETR and VoteNet: points with |p|^2 <= 1e-3 are never picked
            (but index `start` is), and where no other point is left index 0 repeats. C = 3 only.

    Raises:
        DataError: wrong dtype or shape; on the CPU also k above a cloud's points, start outside a cloud, points not
            finite. A GPU is not waited for: there such points are never picked, and picks beyond the last repeat.

    >>> farthest_point_sample(torch.tensor([[[0.0, 0, 0], [1, 0, 0], [5, 0, 0]]]), 2)
    tensor([[0, 2]])
    """
    require_floats(points, "points", "(B, N, C)", 3)
    if skip_near_origin and points.shape[2] != 3:
        raise DataError(
            "needs coordinates alone", where="skip_near_origin", got=tuple(points.shape), wanted="(B, N, 3)"
        )
    sizes = cloud_counts(points, counts, "points")
    starts = _starts(start, sizes, k)
    values = computable(points)
    if values.device.type != "cpu":
        usable = usable_points(values, sizes, skip_near_origin)
        if takes_triton(values) and values.shape[2] == 3 and values.dtype == torch.float32 and usable.numel():
            from vol3d.ops.sampling_steps import sample_on_cuda

            return sample_on_cuda(values, usable, starts, k)
        return sample_by_rows(values, usable, starts, k)
    from vol3d.ops import sampling_cpu  # numba takes a third of a second to import

    picks = torch.zeros(len(values), k, dtype=torch.int64)
    arrays = (values.numpy(), sizes.numpy(), starts.numpy())
    if values.shape[2] == 3:
        parallel_for(sampling_cpu.sample_clouds, len(values), *arrays, skip_near_origin, picks.numpy())
    else:
        parallel_for(sampling_cpu.sample_features, len(values), *arrays, picks.numpy())
    return picks


def farthest_point_sample_from_distances(
    distances: Float[Tensor, "b n n"],
    k: int,
    *,
    counts: Tensor | Sequence[int] | None = None,
    start: int | Tensor = 0,
) -> Int64[Tensor, "b k"]:
    """As `farthest_point_sample`, from distances (B, N, N) of any kind; row i holds the distances from point i."""
    require_floats(distances, "distances", "(B, N, N)", 3, distances.shape[1] if distances.ndim == 3 else None)
    if counts is not None:  # nor do columns of the padding matter
        padding = (
            torch.arange(distances.shape[2]) >= cloud_counts(distances[..., :0], counts, "distances").cpu()[:, None]
        )
        distances = distances.masked_fill(padding[:, None].to(distances.device), 0)
    sizes = cloud_counts(distances, counts, "distances")
    starts = _starts(start, sizes, k)
    values = computable(distances)
    if values.device.type != "cpu":
        usable = torch.arange(values.shape[1], device=values.device) < sizes[:, None]
        return sample_by_rows(values, usable, starts, k, given=True)
    from vol3d.ops.sampling_cpu import sample_distances

    picks = torch.zeros(len(values), k, dtype=torch.int64)
    parallel_for(sample_distances, len(values), values.numpy(), sizes.numpy(), starts.numpy(), picks.numpy())
    return picks


def _starts(start: int | Tensor, sizes: Tensor, k: int) -> Tensor:
    """First pick of each cloud (B,), after checks of start and k."""
    require_whole(k, "k", zero=True)
    starts = torch.as_tensor(start)
    if starts.dtype not in (torch.int64, torch.int32) or tuple(starts.shape) not in ((), tuple(sizes.shape)):
        got = f"{starts.dtype} {tuple(starts.shape)}"
        raise DataError("wrong start", where="start", got=got, wanted=f"one index or {len(sizes)} indices")
    if starts.ndim:
        require_same_device(points=sizes, start=starts)
    starts = send([starts.long()], sizes.device)[0].expand(len(sizes)).contiguous()
    if sizes.device.type == "cpu" and k > 0 and len(sizes):
        if k > int(sizes.min()):
            got = f"k = {k} and a cloud of {int(sizes.min())} points"
            raise DataError("more picks than points", where="k", got=got, wanted="k <= points of every cloud")
        if bool(((starts < 0) | (starts >= sizes)).any()):
            raise DataError(
                "outside the cloud", where="start", got=starts.tolist(), wanted=f"0 to below {sizes.tolist()}"
            )
    return starts
