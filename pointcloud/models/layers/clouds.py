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
    check_clouds(clouds, features)
    for index, cloud in enumerate(clouds):
        if not len(cloud):
            raise DataError("no points", where=f"clouds[{index}]", do="Leave the scan out.", index=index)
    padded = pad_clouds(clouds)[0].float()
    low = torch.stack([cloud[:, :3].amin(dim=0) for cloud in clouds])
    high = torch.stack([cloud[:, :3].amax(dim=0) for cloud in clouds])
    beyond = padded[..., 3:].contiguous() if features else None
    return padded[..., :3].contiguous(), beyond, [len(cloud) for cloud in clouds], Bounds(low.float(), high.float())


def check_clouds(clouds: Sequence[Tensor], features: Sequence[Feature]) -> None:
    """Refuses what is no batch of clouds with these features; an empty cloud is one.

    Raises:
        DataError: not a list of clouds, other columns than the features, values that are not finite.
    """
    if not isinstance(clouds, (list, tuple)) or not clouds:
        raise DataError("not a list of clouds", where="clouds", got=type(clouds).__name__, wanted="one cloud or more")
    columns = 3 + width(features)
    for index, cloud in enumerate(clouds):
        if not isinstance(cloud, Tensor) or cloud.ndim != 2 or cloud.shape[1] != columns:
            got = tuple(cloud.shape) if isinstance(cloud, Tensor) else type(cloud).__name__
            wanted = f"(N, {columns}): " + ", ".join(("x y z", *features))
            raise DataError("wrong columns", where=f"clouds[{index}]", got=got, wanted=wanted, index=index)
    if bool(torch.stack([cloud.sum() for cloud in clouds]).isfinite().all()):  # what is not finite shows in the sum
        return
    for index, cloud in enumerate(clouds):
        finite = cloud.isfinite().all(dim=1)
        if not bool(finite.all()):  # else the sum overflowed
            row = int((~finite).nonzero()[0, 0])
            what = f"values that are not finite in {int((~finite).sum())} of {len(cloud)} points"
            where, do = f"clouds[{index}][{row}]", "Take them out."
            raise DataError(what, where=where, got=cloud[row].tolist(), do=do, index=index)
