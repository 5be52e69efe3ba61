"""What the layouts share: the check of a table of another project's boxes, and bottom and centre heights."""

from __future__ import annotations

import torch
from torch import Tensor

from vol3d.errors import DataError


def check_columns(table: Tensor, argument: str, columns: tuple[int, ...], meaning: str) -> None:
    """Refuse a table whose last dimension does not hold the columns of the layout.

    Raises:
        DataError: wrong number of columns or not floating point.
    """
    if table.ndim < 1 or table.shape[-1] not in columns or not table.is_floating_point():
        wanted = f"(..., {' or '.join(map(str, columns))}) floating point: {meaning}"
        raise DataError(
            "not boxes of this layout", where=argument, got=f"{tuple(table.shape)} {table.dtype}", wanted=wanted
        )


def raise_z(table: Tensor, share_of_height: float) -> Tensor:
    """The table x y z l w h ... with z moved up by a share of h: 0.5 takes a bottom to the centre, -0.5 back."""
    lift = torch.zeros_like(table)
    lift[..., 2] = share_of_height * table[..., 5]
    return table + lift
