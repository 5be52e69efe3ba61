"""Features at some positions of a batch of 3D grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import torch
from torch import Tensor

from vol3d.errors import DataError
from vol3d.sparse import backend as backend_choice
from vol3d.sparse.geometry import Packing, Triple, triple
from vol3d.sparse.sites import MOST_KEYS, ActiveSites

INTEGERS = (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64)


class SparseTensor:
    """Features at active positions. Rows are kept sorted by (batch, z, y, x), whatever order they came in.

    Args:
        coordinates: integers [n, 4], batch z y x, unique.
        features: floating [n, c], on the same device.
        spatial_shape: number of positions along z, y, x.
        batch_size: number of samples; a sample may have no position.
        check: look for positions outside the grid and for duplicates; on CUDA this waits for the device.
        check_finite: refuse NaN and infinite features.

    Raises:
        DataError: an argument does not fit; names it, with what was got and wanted.
        UsageError: `spatial_shape` or `batch_size` is not positive.

    >>> x = SparseTensor(torch.tensor([[0, 2, 2, 2], [0, 0, 0, 1]]), torch.ones(2, 4), (8, 8, 8), batch_size=1)
    >>> x.coordinates
    tensor([[0, 0, 0, 1],
            [0, 2, 2, 2]], dtype=torch.int32)
    """

    def __init__(
        self,
        coordinates: Tensor,
        features: Tensor,
        spatial_shape: Sequence[int],
        batch_size: int,
        *,
        check: bool = True,
        check_finite: bool = False,
    ) -> None:
        _check_form(coordinates, features)
        shape = triple(spatial_shape, "spatial_shape", 1)
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 0:
            raise DataError("not a number of samples", where="batch_size", got=batch_size, wanted="an integer >= 0")
        if batch_size * shape[0] * shape[1] * shape[2] >= MOST_KEYS:
            got = f"{batch_size} x {shape}"
            raise DataError("the grid has too many positions", where="spatial_shape", got=got, wanted="< 2**60")
        if check_finite and not bool(torch.isfinite(features).all()):
            rows = (~torch.isfinite(features)).any(1).nonzero().squeeze(1)
            got = f"{len(rows)} rows, first row {int(rows[0])}"
            raise DataError("NaN or infinite features", where="features", got=got, wanted="finite numbers")
        builder = backend_choice.for_maps(coordinates.device)
        order, rows, sound = builder.sort_positions(coordinates, shape, batch_size, check)
        if check and not sound:
            _refuse(coordinates, (batch_size, *shape))
        self.sites = ActiveSites(rows, shape, batch_size)
        self.features = features if order is None else features.index_select(0, order)
        self.order = order

    @classmethod
    def at(cls, sites: ActiveSites, features: Tensor, order: Tensor | None = None) -> SparseTensor:
        """Features [n, c] at known positions, row for row; shares the positions and their kernel maps.

        Raises:
            DataError: the number of rows or the device differs from the positions'.
        """
        if features.ndim != 2 or len(features) != len(sites):
            got, wanted = list(features.shape), f"[{len(sites)}, channels]"
            raise DataError("features do not fit the positions", where="features", got=got, wanted=wanted)
        if features.device != sites.coordinates.device:
            wanted = f"{sites.coordinates.device}, as the positions"
            raise DataError("tensors are on different devices", where="features", got=features.device, wanted=wanted)
        tensor = cls.__new__(cls)
        tensor.sites, tensor.features, tensor.order = sites, features, order
        return tensor

    @classmethod
    def from_dense(cls, dense: Tensor, active: Tensor | None = None) -> SparseTensor:
        """From [batch, c, z, y, x]; active: bool [batch, z, y, x], by default where any channel is not zero.

        Raises:
            DataError: shapes do not fit.
        """
        if dense.ndim != 5:
            raise DataError("not a batch of grids", where="dense", got=list(dense.shape), wanted="[batch, c, z, y, x]")
        wanted = [dense.shape[0], *dense.shape[2:]]
        if active is None:
            active = (dense != 0).any(1)
        if active.dtype != torch.bool or list(active.shape) != wanted:
            got = f"{active.dtype} {list(active.shape)}"
            raise DataError("not a mask of the grid", where="active", got=got, wanted=f"torch.bool {wanted}")
        coordinates = active.nonzero()
        features = dense.movedim(1, -1)[active]
        return cls(coordinates, features, dense.shape[2:], dense.shape[0], check=False)

    @property
    def coordinates(self) -> Tensor:
        """int32 [n, 4], batch z y x, sorted."""
        return self.sites.coordinates

    @property
    def spatial_shape(self) -> Triple:
        return self.sites.spatial_shape

    @property
    def batch_size(self) -> int:
        return self.sites.batch_size

    @property
    def channels(self) -> int:
        return self.features.shape[1]

    def __len__(self) -> int:
        return len(self.sites)

    def __repr__(self) -> str:
        kind = f"{self.features.dtype}, {self.features.device}"
        return f"SparseTensor({list(self.features.shape)} in {self.batch_size} x {list(self.spatial_shape)}, {kind})"

    def with_features(self, features: Tensor) -> SparseTensor:
        """Other features [n, c] at the same positions."""
        return SparseTensor.at(self.sites, features, self.order)

    def features_as_given(self) -> Tensor:
        """Features [n, c] in the row order of the coordinates that the tensor, or the one before it, was made from."""
        if self.order is None:
            return self.features
        back = torch.empty_like(self.order)
        back[self.order] = torch.arange(len(self.order), device=self.order.device)
        return self.features.index_select(0, back)

    def to(self, device: torch.device | str) -> SparseTensor:
        """On another device; kernel maps are built anew there."""
        target = torch.device(device)
        order = None if self.order is None else self.order.to(target)
        return SparseTensor.at(self.sites.to(target), self.features.to(target), order)

    def to_dense(self) -> Tensor:
        """[batch, c, z, y, x], zero where no position is active; differentiable."""
        z, y, x = self.spatial_shape
        flat = self.features.new_zeros(self.batch_size * z * y * x, self.channels)
        keys = Packing(self.spatial_shape).keys(self.coordinates)
        flat = flat.index_copy(0, keys, self.features)
        return flat.view(self.batch_size, z, y, x, self.channels).movedim(-1, 1).contiguous()

    def __add__(self, other: SparseTensor) -> SparseTensor:
        """Sum of features at the same positions (a residual connection).

        Raises:
            DataError: the two have different positions.
        """
        if self.sites is not other.sites:
            wanted = "tensors that share their positions"
            raise DataError("positions differ", where="+", got=f"{self} and {other}", wanted=wanted)
        return self.with_features(self.features + other.features)


def _check_form(coordinates: Tensor, features: Tensor) -> None:
    if coordinates.ndim != 2 or coordinates.shape[1] != 4:
        wanted = "[n, 4]: batch, z, y, x"
        raise DataError("not a list of positions", where="coordinates", got=list(coordinates.shape), wanted=wanted)
    if coordinates.dtype not in INTEGERS:
        raise DataError("wrong type", where="coordinates", got=coordinates.dtype, wanted="integers")
    if features.ndim != 2 or len(features) != len(coordinates):
        got, wanted = list(features.shape), f"[{len(coordinates)}, channels]"
        raise DataError("features do not fit the coordinates", where="features", got=got, wanted=wanted)
    if not features.is_floating_point():
        raise DataError("wrong type", where="features", got=features.dtype, wanted="a floating type")
    if features.device != coordinates.device:
        wanted = f"{coordinates.device}, as the coordinates"
        raise DataError("tensors are on different devices", where="features", got=features.device, wanted=wanted)


def _refuse(coordinates: Tensor, size: tuple[int, int, int, int]) -> NoReturn:
    """Says which positions are outside the grid, or there twice."""
    low, high = (bound.tolist() for bound in torch.aminmax(coordinates, dim=0))
    for axis, name in enumerate(("batch", "z", "y", "x")):
        if low[axis] < 0 or high[axis] >= size[axis]:
            column = coordinates[:, axis]
            row = int(((column < 0) | (column >= size[axis])).to(torch.uint8).argmax())
            got = f"{name} {low[axis]} to {high[axis]} (first at row {row})"
            raise DataError("positions outside the grid", where="coordinates", got=got, wanted=f"0 to {size[axis] - 1}")
    keys, order = torch.sort(Packing((size[1], size[2], size[3])).keys(coordinates), stable=True)
    same = keys[1:] == keys[:-1]
    first = int(order[int(same.to(torch.uint8).argmax())])
    got = f"{int(same.sum())} repeated, the first {coordinates[first].tolist()}"
    raise DataError("duplicate positions", where="coordinates", got=got, wanted="each position once")
