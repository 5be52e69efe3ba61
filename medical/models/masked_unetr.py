"""UNETR's encoder with a linear map in place of the decoder, which reconstructs hidden patches: no label is needed.

Xie et al., "SimMIM: A Simple Framework for Masked Image Modeling", CVPR 2022: the encoder sees all patches, the hidden
ones without their content, and one linear map predicts their voxels. He et al., "Masked Autoencoders Are Scalable
Vision Learners", CVPR 2022: of each patch what is left once its own mean and deviation are taken out.

Hidden voxels are 0, the mean of a z-score, before the stem or the patch embedding; SimMIM's learned vector behind the
embedding would let a convolutional stem look into them.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from medical.models.common import Size
from medical.models.unetr import Unetr, UnetrSettings

_LEAST_VARIANCE = 1e-6
"""A patch without any detail becomes zeros."""


class MaskedUnetrSettings(UnetrSettings):
    """Settings of the encoder, those of the UNETR that will begin with it; what concerns its decoder has no effect."""

    name: Literal["masked_unetr"] = "masked_unetr"  # type: ignore[assignment]
    hidden: float = Field(0.6, gt=0, lt=1, description="share of the patches that are hidden and reconstructed")

    def build(self, in_channels: int, out_channels: int, window: Size = (96, 96, 96)) -> Unetr:
        """The network with fresh weights for windows of (i, j, k) voxels, multiples of the patch."""
        network = Unetr(self, in_channels, out_channels, window)
        network.decoder = Reconstruction(self.width, self.patch, in_channels)
        return network


class Reconstruction(nn.Module):
    """Tokens -> the voxels of their patches, by one linear map."""

    def __init__(self, width: int, patch: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.ConvTranspose3d(width, channels, patch, patch)  # whose stride is its kernel

    def forward(self, image: Tensor, maps: list[Tensor], *early: Tensor) -> Float[Tensor, "b c x y z"]:
        """The last of the chosen tokens (B, width, *grid) -> an image."""
        return self.linear(maps[-1])


def patches(image: Float[Tensor, "b c x y z"], patch: int) -> Float[Tensor, "b c v i j k"]:
    """The voxels of each patch, v = patch^3, on the grid of the patches."""
    for axis in (2, 4, 6):
        image = image.unflatten(axis, (-1, patch))  # at last (b, c, i, p, j, p, k, p)
    return image.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(2, 4)


def hide(image: Float[Tensor, "b c x y z"], hidden: Bool[Tensor, "b i j k"], patch: int) -> Float[Tensor, "b c x y z"]:
    """The image with 0 in the hidden patches."""
    voxels = hidden.unsqueeze(1)
    for axis in (2, 3, 4):
        voxels = voxels.repeat_interleave(patch, axis)
    return image.masked_fill(voxels, 0.0)


def reconstruction_loss(
    prediction: Float[Tensor, "b c x y z"], image: Float[Tensor, "b c x y z"], hidden: Bool[Tensor, "b i j k"]
) -> Float[Tensor, ""]:
    """Mean squared error in the hidden patches, each normalised by its own mean and deviation; 1 if nothing is known.

    Args:
        image: as it was before patches were hidden.
    """
    patch = image.shape[2] // hidden.shape[1]
    target = patches(image, patch)
    centred = target - target.mean(dim=2, keepdim=True)
    target = centred * (centred.square().mean(dim=2, keepdim=True) + _LEAST_VARIANCE).rsqrt()
    error = (patches(prediction.float(), patch) - target).square().mean(dim=(1, 2))
    return torch.where(hidden, error, 0).sum() / hidden.sum()
