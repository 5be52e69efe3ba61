"""Windowed inference that streams: only a slab as deep as one window is held, never all outputs of all voxels.

Windows are visited plane by plane along one axis. Once the next plane of windows starts farther on, what lies before it
is finished, is normalised and handed to the caller. The weights and the `stride` placement are MONAI's, the `even`
placement is nnU-Net's; stitched scores equal `monai.inferers.sliding_window_inference`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from medical.inference import Amp
from vol3d.engine.settings import Settings

Predict = Callable[[Tensor], Tensor]
"""Windows (batch, channels, *size) -> scores (batch, outputs, *size), on the same device."""

DEVICE_SLAB_BYTES = 2 << 30
"""A larger slab is summed in main memory, so that the accelerator keeps room for the network."""


class WindowSettings(Settings):
    """How a volume is cut into windows and put together again."""

    size: tuple[int, int, int] = Field((96, 96, 96), description="voxels along i, j, k")
    overlap: float = Field(0.5, ge=0, lt=1, description="share of a window that the next one covers again")
    placement: Literal["even", "stride"] = Field(
        "even", description="even: all steps alike, border to border; stride: full steps, the last window shifted back"
    )
    blend: Literal["gaussian", "constant"] = Field(
        "gaussian", description="weight of a voxel by its place in the window"
    )
    mirror_axes: tuple[Literal[0, 1, 2], ...] = Field(
        (), description="predict every flip of these axes too, and average"
    )
    batch: int = Field(1, ge=1, description="windows per forward pass")
    amp: Amp = Field("off", description="precision; auto: bf16 where the processor or GPU has it, else float32")

    @field_validator("size")
    @classmethod
    def _positive(cls, value: tuple[int, int, int]) -> tuple[int, int, int]:
        if min(value) < 1:
            raise ValueError(f"size must be at least 1 along each axis, got {value}")
        return value

    @field_validator("mirror_axes")
    @classmethod
    def _unique(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"mirror_axes must be unique, got {value}")
        return value


@dataclass(frozen=True)
class Stitching:
    """How windows are added up, where it is not as `stream` does.

    Args:
        weights: of the voxels of a window, in place of those of the settings.
        dtype: of the sums.
        axis: along which slabs follow each other; the order of the windows, and so of the sums, depends on it.
    """

    weights: Tensor | None = None
    dtype: torch.dtype = torch.float32
    axis: int | None = None


@dataclass(frozen=True)
class Slab:
    """Finished scores (outputs, i, j, k) of the planes `start` to `stop` along `axis`, whole along the other two.

    The tensor is a view of a buffer that is written again as soon as the next slab is asked for.
    """

    axis: int
    start: int
    stop: int
    scores: Tensor


def window_starts(length: int, size: int, overlap: float, placement: Literal["even", "stride"]) -> list[int]:
    """First voxels of the windows along one axis of `length` >= `size` voxels.

    `even` places the fewest windows whose step is at most size * (1 - overlap), all steps alike (110 voxels, windows of
    64, overlap 0.5: 0, 23, 46); `stride` steps by int(size * (1 - overlap)) and shifts the last window back.
    """
    if length <= size:
        return [0]
    if placement == "stride":
        full = max(int(size * (1 - overlap)), 1)
        count = math.ceil((length - size) / full) + 1
        return [min(index * full, length - size) for index in range(count)]
    count = math.ceil((length - size) / max(size * (1 - overlap), 1.0)) + 1
    step = (length - size) / (count - 1)
    return [round(step * index) for index in range(count)]


def window_weights(size: tuple[int, int, int], blend: Literal["gaussian", "constant"]) -> Tensor:
    """Weight of each voxel of a window, float32: ones, or a Gaussian of sigma = size / 8 that is at least 1e-3."""
    weights = torch.ones(size)
    if blend == "constant":
        return weights
    for axis, length in enumerate(size):
        x = torch.arange(length, dtype=torch.float32) - (length - 1) / 2
        line = torch.exp(-0.5 * (x / (length / 8)).square())
        weights *= line.reshape([-1 if other == axis else 1 for other in range(3)])
    return weights.clamp_(min=max(float(weights.min()), 1e-3))


def streaming_axis(shape: tuple[int, ...], size: tuple[int, ...]) -> int:
    """The axis along which a slab one window deep has the fewest voxels."""
    return min(range(3), key=lambda axis: size[axis] * math.prod(shape) // shape[axis])


def slab_numbers(shape: tuple[int, ...], size: tuple[int, ...], outputs: int, axis: int | None = None) -> int:
    """Numbers of the scores and the weights of a slab one window deep along `axis`, or `streaming_axis`.

    Args:
        shape, size: voxels of the volume and of a window.
    """
    padded = tuple(max(pair) for pair in zip(shape, size, strict=True))
    axis = streaming_axis(padded, size) if axis is None else axis
    return (outputs + 1) * math.prod(padded) // padded[axis] * size[axis]


def stream(
    predict: Predict,
    image: Tensor,
    settings: WindowSettings,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
    stitching: Stitching = Stitching(),
) -> Iterator[Slab]:
    """Scores of a whole volume, slab by slab along `streaming_axis`.

    Axes shorter than the window are padded with zeros, half on each side. Sums are float32 unless `stitching` has
    another type.

    Args:
        predict: the network, or an average of several; it gets windows on `device`.
        image: (channels, i, j, k) float32 in main memory.
        progress: called as `progress(done, total)` in windows after every forward pass.
    """
    layout = _Layout.of(tuple(image.shape[1:]), settings, stitching.axis)
    image = layout.pad(image)
    corners = layout.corners()
    total = len(corners) * len(layout.starts[layout.axis])
    weights = window_weights(settings.size, settings.blend) if stitching.weights is None else stitching.weights
    sums = _Sums(layout.axis, layout.size, layout.shape, weights, device, stitching.dtype)

    done = 0
    for position, following in layout.slabs():
        for first in range(0, len(corners), settings.batch):
            group = corners[first : first + settings.batch]
            windows = torch.stack([_window(image, corner, layout.size, layout.axis, position) for corner in group])
            sums.add(predict(windows.to(device)), group)
            done += len(group)
            if progress is not None:
                progress(done, total)

        yield layout.slab(sums.finish(following - position), position, following)
        sums.advance(following - position)


@dataclass(frozen=True)
class _Layout:
    """Where the windows stand in a volume that is padded to at least one window.

    Args:
        size: voxels of a window.
        inner: voxels of the volume without the padding.
        shape: voxels with it.
        before: voxels of padding in front, along each axis.
        starts: first voxels of the windows along each axis.
        axis: the one along which slabs follow each other.
    """

    size: tuple[int, ...]
    inner: tuple[int, ...]
    shape: tuple[int, ...]
    before: tuple[int, ...]
    starts: tuple[list[int], ...]
    axis: int

    @classmethod
    def of(cls, inner: tuple[int, ...], settings: WindowSettings, axis: int | None = None) -> _Layout:
        """The layout of the settings for a volume of `inner` voxels, slab by slab along `axis`."""
        size = settings.size
        shape = tuple(max(length, window) for length, window in zip(inner, size, strict=True))
        before = tuple((padded - length) // 2 for padded, length in zip(shape, inner, strict=True))
        starts = tuple(
            window_starts(length, window, settings.overlap, settings.placement)
            for length, window in zip(shape, size, strict=True)
        )
        return cls(size, inner, shape, before, starts, streaming_axis(shape, size) if axis is None else axis)

    def pad(self, image: Tensor) -> Tensor:
        """(channels, *inner) -> (channels, *shape) with zeros around."""
        if self.shape == self.inner:
            return image
        after = [self.shape[a] - self.inner[a] - self.before[a] for a in range(3)]
        return F.pad(image, [width for a in (2, 1, 0) for width in (self.before[a], after[a])])

    def corners(self) -> list[tuple[int, ...]]:
        """First voxels of the windows of one slab, within the slab."""
        return list(product(*([0] if a == self.axis else self.starts[a] for a in range(3))))

    def slabs(self) -> Iterator[tuple[int, int]]:
        """For each plane of windows its first voxel and that of the next: what lies between is finished with it."""
        first = self.starts[self.axis]
        return zip(first, [*first[1:], self.shape[self.axis]], strict=True)

    def slab(self, scores: Tensor, position: int, following: int) -> Slab:
        """Finished scores of the planes `position` to `following` without the padding."""
        origin = self.before[self.axis]
        start, stop = max(position, origin), min(following, origin + self.inner[self.axis])
        for a in range(3):
            low, length = (start - position, stop - start) if a == self.axis else (self.before[a], self.inner[a])
            scores = scores.narrow(a + 1, low, length)
        return Slab(self.axis, start - origin, stop - origin, scores)


def _window(image: Tensor, corner: tuple[int, ...], size: tuple[int, ...], axis: int, position: int) -> Tensor:
    for a in range(3):
        image = image.narrow(a + 1, position if a == axis else corner[a], size[a])
    return image


class _Sums:
    """Weighted sums of scores and the sums of weights, of as many planes as one window covers along `axis`."""

    def __init__(
        self,
        axis: int,
        size: tuple[int, ...],
        shape: tuple[int, ...],
        weights: Tensor,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.axis, self.size, self.device = axis, size, device
        self.shape = [size[a] if a == axis else shape[a] for a in range(3)]
        self.weights = weights.to(device)
        self.scores: Tensor | None = None
        self.total = torch.zeros(self.shape, dtype=dtype)

    @torch.inference_mode()
    def add(self, scores: Tensor, corners: list[tuple[int, ...]]) -> None:
        """Adds scores (batch, outputs, *size) of the windows at `corners` of the slab."""
        if self.scores is None:
            slab = (scores.shape[1], *self.shape)
            fits = self.total.itemsize * math.prod(slab) <= DEVICE_SLAB_BYTES
            where = self.device if fits else torch.device("cpu")
            self.scores = torch.zeros(slab, dtype=self.total.dtype, device=where)
            self.total = self.total.to(where)
        weighted = (scores.float() * self.weights).to(self.scores.device)
        weights = self.weights.to(self.scores.device)
        for one, corner in zip(weighted, corners, strict=True):
            target, total = self.scores, self.total
            for a in range(3):
                target = target.narrow(a + 1, corner[a], self.size[a])
                total = total.narrow(a, corner[a], self.size[a])
            target += one
            total += weights

    @torch.inference_mode()
    def finish(self, planes: int) -> Tensor:
        """Normalised scores of the first `planes` planes, as a view."""
        assert self.scores is not None
        scores = self.scores.narrow(self.axis + 1, 0, planes)
        scores /= self.total.narrow(self.axis, 0, planes)
        return scores

    @torch.inference_mode()
    def advance(self, planes: int) -> None:
        """Drops the first `planes` planes and makes room for as many new ones."""
        assert self.scores is not None
        kept = self.size[self.axis] - planes
        for volume in (*self.scores, self.total):  # one output at a time: the copy that an overlap needs stays small
            volume.narrow(self.axis, 0, kept).copy_(volume.narrow(self.axis, planes, kept).clone())
            volume.narrow(self.axis, kept, planes).zero_()
