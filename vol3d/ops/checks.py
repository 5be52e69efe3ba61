"""What the point operations require of their arguments; all refusals name argument, got and wanted.

Values (finite coordinates, counts within the padding) are checked on the CPU only: on a GPU every such check would wait
for the device. There, points that are not finite are no point's neighbours, and counts are clamped to the padding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vol3d.errors import DataError
from vol3d.host import send


def computable(values: Tensor) -> Tensor:
    """Detached and contiguous, at least float32: what the compiled kernels read."""
    values = values.detach()
    return (values if values.dtype in (torch.float32, torch.float64) else values.float()).contiguous()


def require_floats(values: Tensor, name: str, shape: str, dims: int, channels: int | None = None) -> None:
    """Refuses anything but a floating-point tensor of `dims` dimensions whose last one is `channels`, if given.

    Args:
        shape: the wanted shape in words, `(B, N, 3)`.

    Raises:
        DataError: not a tensor, wrong dtype or wrong shape; names the argument.
    """
    if not isinstance(values, Tensor):
        raise DataError("not a tensor", where=name, got=type(values).__name__, wanted=f"a tensor {shape}")
    if not values.is_floating_point():
        raise DataError("wrong dtype", where=name, got=values.dtype, wanted="a floating-point dtype")
    if values.ndim != dims or (channels is not None and values.shape[-1] != channels):
        raise DataError("wrong shape", where=name, got=tuple(values.shape), wanted=shape)


def require_indices(indices: Tensor, name: str, shape: tuple[int | None, ...], below: int) -> None:
    """Refuses anything but integers of that shape (None: any length) from -1 to below `below`.

    The values are looked at on a CPU only, and not while a graph is traced, which has none.
    """
    if not isinstance(indices, Tensor) or indices.dtype not in (torch.int64, torch.int32):
        got = indices.dtype if isinstance(indices, Tensor) else type(indices).__name__
        raise DataError("wrong dtype", where=name, got=got, wanted="int64 or int32")
    _require_shape(indices, name, shape)
    if indices.device.type == "cpu" and indices.numel() and not torch.compiler.is_compiling():
        low, high = (int(v) for v in indices.aminmax())
        if low < -1 or high >= below:
            raise DataError("index outside", where=name, got=f"{low} to {high}", wanted=f"-1 (missing) to {below - 1}")


def _require_shape(values: Tensor, name: str, shape: tuple[int | None, ...]) -> None:
    fits = len(shape) == values.ndim and all(w in (None, g) for g, w in zip(values.shape, shape, strict=True))
    if not fits:
        wanted = tuple("any" if w is None else w for w in shape)
        raise DataError("wrong shape", where=name, got=tuple(values.shape), wanted=wanted)


def require_same_device(**tensors: Tensor) -> None:
    """Refuses tensors on different devices, naming them."""
    if len({t.device for t in tensors.values()}) > 1:
        got = ", ".join(f"{name} on {t.device}" for name, t in tensors.items())
        raise DataError("mixed devices", where=" and ".join(tensors), got=got, wanted="one device")


def require_positive(value: int | float, name: str, zero: bool = False) -> None:
    """Refuses numbers that are not finite and positive (or zero, where that has a meaning)."""
    # `not (a < b)` would let NaN pass; a bool is an int, but surely a mistake here.
    in_range = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
    if not in_range or (value == 0 and not zero):
        raise DataError("out of range", where=name, got=value, wanted="0 or more" if zero else "more than 0")


def require_whole(value: int, name: str, zero: bool = False) -> None:
    """Refuses what is not a positive whole number (or zero, where that has a meaning)."""
    if not isinstance(value, int):
        raise DataError("not a whole number", where=name, got=repr(value), wanted="an int")
    require_positive(value, name, zero)


def cloud_counts(points: Tensor, counts: Tensor | Sequence[int] | None, name: str, prefix: str = "") -> Tensor:
    """Points of each cloud of a padded batch (B, N, C): int64 (B,), on the device of the points.

    Raises:
        DataError: counts have a wrong dtype, shape or value, or a point within them is not finite.
    """
    batch, padded = points.shape[:2]
    if counts is None:
        sizes = torch.full((batch,), padded, dtype=torch.int64, device=points.device)
    else:
        sizes = torch.as_tensor(counts)
        if sizes.dtype not in (torch.int64, torch.int32) or tuple(sizes.shape) != (batch,):
            got = f"{sizes.dtype} {tuple(sizes.shape)}"
            raise DataError("wrong counts", where=f"{prefix}counts", got=got, wanted=f"{batch} whole numbers")
        if sizes.device.type == "cpu" and batch and not 0 <= int(sizes.min()) <= int(sizes.max()) <= padded:
            raise DataError("out of range", where=f"{prefix}counts", got=sizes.tolist(), wanted=f"0 to {padded}")
        sizes = send([sizes.long()], points.device)[0].clamp(0, padded)
    if points.device.type == "cpu":
        _require_finite(points, sizes, name)
    return sizes


def _require_finite(points: Tensor, sizes: Tensor, name: str) -> None:
    finite = torch.isfinite(points.detach())
    if bool(finite.all()):
        return
    bad = ~finite.all(-1) & (torch.arange(points.shape[1]) < sizes[:, None])
    if bool(bad.any()):  # what stands in the padding does not matter
        cloud, row = bad.nonzero()[0].tolist()
        got = points[cloud, row].tolist()
        raise DataError(f"point {row} of cloud {cloud} is not finite", where=name, got=got, wanted="finite numbers")
