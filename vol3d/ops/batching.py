"""Clouds of different sizes as one padded batch, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vol3d.errors import DataError
from vol3d.host import send
from vol3d.ops.checks import require_floats, require_same_device


def require_clouds(clouds: Sequence[Tensor], name: str) -> None:
    """Refuses clouds that cannot be one batch: none, wrong dtype or shape, different columns, dtypes or devices."""
    if isinstance(clouds, Tensor) or len(clouds) == 0:
        got = "a tensor" if isinstance(clouds, Tensor) else "no cloud"
        raise DataError("not a list of clouds", where=name, got=got, wanted="a list of tensors (N, C), one at least")
    for i, cloud in enumerate(clouds):
        require_floats(cloud, f"{name}[{i}]", "(N, C)", 2)
        if cloud.shape[1] != clouds[0].shape[1] or cloud.dtype != clouds[0].dtype:
            got, wanted = (f"{c.shape[1]} columns of {c.dtype}" for c in (cloud, clouds[0]))
            raise DataError("clouds differ", where=f"{name}[{i}]", got=got, wanted=f"{wanted}, as in {name}[0]")
    require_same_device(**{f"{name}[{i}]": cloud for i, cloud in enumerate(clouds)})


def pad_clouds(clouds: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """A list of clouds (N_i, C) as one batch: points (B, max N, C), zeros behind each cloud, and counts (B,) int64.

    Differentiable in the points. Raises DataError where the clouds differ in columns, dtype or device.
    """
    require_clouds(clouds, "clouds")
    (counts,) = send([torch.tensor([len(cloud) for cloud in clouds])], clouds[0].device)
    return torch.nn.utils.rnn.pad_sequence(list(clouds), batch_first=True), counts


def split_clouds(values: Tensor, counts: Tensor) -> list[Tensor]:
    """The inverse of `pad_clouds`: the first counts[i] rows of each item of values (B, N, ...)."""
    return [row[:n] for row, n in zip(values, counts.tolist(), strict=True)]
