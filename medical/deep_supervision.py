"""Deep supervision: the loss counts the logits of coarser stages of the decoder, too.

Isensee et al., "nnU-Net", Nature Methods 2021: weights 1, 1/2, 1/4 ... from the finest stage on, normalised to a sum
of 1; the truth is taken at the nearest voxel.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol, cast, runtime_checkable

import torch.nn.functional as F
from torch import Tensor, nn

from medical.segmenter import Segmenter


@runtime_checkable
class Staged(Protocol):
    """A network with logits at several resolutions."""

    def logits(self, image: Tensor) -> list[Tensor]:
        """(B, channels, i, j, k) -> logits (B, outputs, *grid) of each stage, the finest first."""
        ...


class DeepSupervision(nn.Module):
    """What is trained in place of a segmenter whose network has logits at several stages; it adds no weights."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        if not isinstance(segmenter.network, Staged):
            raise TypeError(f"{type(segmenter.network).__name__} has logits of one stage only")
        self.segmenter = segmenter

    def forward(self, image: Tensor) -> list[Tensor]:
        """Logits of each stage, the finest first."""
        return cast(Staged, self.segmenter.network).logits(image)

    def loss(self, prediction: list[Tensor], target: Tensor) -> dict[str, Tensor]:
        """The named terms of the segmenter's loss, summed over stages with their weights."""
        summed = defaultdict[str, Tensor | float](float)
        for logits, weight in zip(prediction, stage_weights(len(prediction)), strict=True):
            terms = self.segmenter.loss(logits, nearest(target, tuple(logits.shape[2:])))
            for name, term in terms.items():
                summed[name] = summed[name] + weight * term
        return dict(summed)  # type: ignore[arg-type]  # each is a tensor by now


def stage_weights(count: int) -> list[float]:
    """1, 1/2, 1/4 ..., divided by their sum.

    >>> stage_weights(2)
    [0.6666666666666666, 0.3333333333333333]
    """
    weights = [0.5**stage for stage in range(count)]
    return [weight / sum(weights) for weight in weights]


def nearest(target: Tensor, size: tuple[int, ...]) -> Tensor:
    """(B, t, i, j, k) integers at the nearest voxels of a coarser grid of the same extent."""
    if tuple(target.shape[2:]) == size:
        return target
    return F.interpolate(target.float(), size, mode="nearest-exact").to(target.dtype)
