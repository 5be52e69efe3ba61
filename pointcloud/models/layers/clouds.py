"""Clouds as a detector takes them: checked, padded to one tensor, with the bounds of each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pointcloud.structures.bounds import Bounds
from pointcloud.structures.features import Feature, width
from vol3d.errors import DataError
from vol3d.ops import pad_clouds


def batch_clouds(clouds: list[Tensor], features: Sequence[Feature]) -> tuple[Tensor, Tensor | None, list[int], Bounds]:
    """Places (B, N, 3) and features (B, N, C) or None, padded; the points of each cloud; the bounds of each.

    Args:
        clouds: (N_i, 3 + C) each: coordinates in metres with z up, then the features.
        features: what the columns behind the coordinates are.

    Raises:
        DataError: a cloud is empty, has other columns than the features, or values that are not finite.
    """
    for index, cloud in enumerate(clouds):
        _check(cloud, index, features)
    padded = pad_clouds(clouds)[0].float()
    low = torch.stack([cloud[:, :3].amin(dim=0) for cloud in clouds])
    high = torch.stack([cloud[:, :3].amax(dim=0) for cloud in clouds])
    beyond = padded[..., 3:].contiguous() if features else None
    return padded[..., :3].contiguous(), beyond, [len(cloud) for cloud in clouds], Bounds(low.float(), high.float())


def _check(cloud: Tensor, index: int, features: Sequence[Feature]) -> None:
    where, columns = f"clouds[{index}]", 3 + width(features)
    if cloud.ndim != 2 or cloud.shape[1] != columns:
        wanted = f"(N, {columns}): " + ", ".join(("x y z", *features))
        raise DataError("wrong columns", where=where, got=tuple(cloud.shape), wanted=wanted, index=index)
    if not len(cloud):
        raise DataError("no points", where=where, do="Leave the scan out.", index=index)
    finite = cloud.isfinite().all(dim=1)
    if not bool(finite.all()):
        row = int((~finite).nonzero()[0, 0])
        what = f"values that are not finite in {int((~finite).sum())} of {len(cloud)} points"
        got, do = cloud[row].tolist(), "Take them out."
        raise DataError(what, where=f"{where}[{row}]", got=got, do=do, index=index)
