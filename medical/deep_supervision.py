"""Deep supervision: coarser outputs of a decoder are trained with the finest (Lee et al., AISTATS 2015).

The weights are nnU-Net's: each coarser output counts half of the one before, and all of them together 1.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor, nn

from medical.segmenter import Segmenter


class DeepSupervision(nn.Module):
    """A segmenter whose network has `outputs`, as it is trained; it adds no weights of its own.

    Args:
        model: with a network that gives logits at 1, 1/2, 1/4 ... of the resolution.
    """

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Float[Tensor, "b c i j k"]) -> list[Tensor]:
        """Logits (B, outputs, ...) of the network's levels, finest first."""
        return self.model.network.outputs(image)  # type: ignore[operator]

    def loss(self, prediction: list[Tensor], target: Integer[Tensor, "b t i j k"]) -> dict[str, Tensor]:
        """The weighted mean of the levels' terms; a coarser target is every second, fourth ... voxel."""
        shares = [0.5**level for level in range(len(prediction))]
        terms: dict[str, Tensor] = {}
        for logits, share in zip(prediction, shares, strict=True):
            for name, term in self.model.loss(logits, coarser(target, logits)).items():
                terms[name] = terms.get(name, 0) + term * (share / sum(shares))
        return terms


def coarser(target: Integer[Tensor, "b t i j k"], like: Tensor) -> Integer[Tensor, "b t x y z"]:
    """The target on the grid of `like` (..., x, y, z), nearest voxels; labels are never mixed."""
    size = like.shape[2:]
    if target.shape[2:] == size:
        return target
    return F.interpolate(target.float(), size, mode="nearest-exact").to(target.dtype)
