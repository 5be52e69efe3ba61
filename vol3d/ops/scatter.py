"""Points reduced into voxels, and voxels laid out as a bird's-eye-view image; differentiable and repeatable."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from vol3d.errors import DataError
from vol3d.ops.checks import require_floats, require_indices, require_same_device, require_whole
from vol3d.ops.rows import largest_rows, sum_rows, take_rows


def scatter_reduce(
    features: Float[Tensor, "n c"], index: Integer[Tensor, " n"], size: int, reduce: Literal["sum", "mean", "max"]
) -> Float[Tensor, "size c"]:
    """Reduces the rows of features (N, C) that share an index (N,) -> (size, C); index -1 is left out.

    A group without rows is 0. The maximum hands its gradient to the first of equal rows. NaN spreads to its group only.

    Raises:
        DataError: wrong dtype, shape or device, an index outside (on the CPU), an unknown reduction.

    >>> scatter_reduce(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([0, 0, 2]), 3, "sum").flatten()
    tensor([3., 0., 4.])
    """
    require_floats(features, "features", "(N, C)", 2)
    require_whole(size, "size", zero=True)
    require_indices(index, "index", (len(features),), size)
    require_same_device(features=features, index=index)
    index = index.long()
    if reduce == "max":
        winner = largest_rows(features, index, size)
        if not len(features):
            return features.new_zeros(winner.shape)
        return features.gather(0, winner.clamp_min(0)).masked_fill(winner < 0, 0)
    total = sum_rows(features, index, size)
    if reduce == "sum":
        return total
    if reduce == "mean":
        counts = torch.bincount(index + 1, minlength=size + 1)[1:]  # place 0 takes the -1
        return total / counts.clamp_min(1)[:, None].to(total.dtype)
    raise DataError("unknown reduction", where="reduce", got=repr(reduce), wanted="'sum', 'mean' or 'max'")


def scatter_to_bev(
    features: Float[Tensor, "v c"], coordinates: Integer[Tensor, "v 4"], batch_size: int, shape: tuple[int, int, int]
) -> Float[Tensor, "b _ ny nx"]:
    """Voxel features on a dense grid seen from above: (B, C * nz, ny, nx), zeros where there is no voxel.

    Args:
        features: (V, C); V may be 0.
        coordinates: (V, 4) batch, z, y, x, as of `voxelize`; none twice.
        batch_size: B; given by the caller, because the last clouds may have no voxel.
        shape: (nz, ny, nx); pillars have nz = 1 (PointPillars, section 2.1). Channel c of layer z is c * nz + z, the
            order of SECOND's dense middle layers.

    Raises:
        DataError: wrong dtype, shape or device; on the CPU also coordinates outside or twice.
    """
    require_floats(features, "features", "(V, C)", 2)
    require_indices(coordinates, "coordinates", (len(features), 4), 2**31)
    require_same_device(features=features, coordinates=coordinates)
    require_whole(batch_size, "batch_size", zero=True)
    if len(shape) != 3:
        raise DataError("not a grid", where="shape", got=shape, wanted="(nz, ny, nx)")
    for length in shape:
        require_whole(length, "shape")
    nz, ny, nx = shape
    b, z, y, x = coordinates.long().unbind(1)
    cell = ((b * nz + z) * ny + y) * nx + x
    if cell.device.type == "cpu":
        _require_own_cells(coordinates, cell, (batch_size, nz, ny, nx))
    # Which voxel stands in a cell: one small integer image, so that the features move once.
    voxel = cell.new_full((batch_size * nz * ny * nx,), -1)
    voxel[cell] = torch.arange(len(cell), device=cell.device)
    image = take_rows(features, voxel).view(batch_size, nz, ny, nx, features.shape[1])
    return image.permute(0, 4, 1, 2, 3).reshape(batch_size, features.shape[1] * nz, ny, nx)


def _require_own_cells(coordinates: Tensor, cell: Tensor, limits: tuple[int, ...]) -> None:
    outside = ((coordinates < 0) | (coordinates >= coordinates.new_tensor(limits))).any(1)
    if bool(outside.any()):
        row = int(outside.nonzero()[0])
        wanted = "batch, z, y, x below " + str(limits)
        raise DataError(f"row {row} is outside", where="coordinates", got=coordinates[row].tolist(), wanted=wanted)
    ordered, order = cell.sort(stable=True)
    twice = (ordered[1:] == ordered[:-1]).nonzero()
    if len(twice):
        row = int(order[int(twice[0]) + 1])
        raise DataError(f"row {row} is there twice", where="coordinates", got=coordinates[row].tolist())
