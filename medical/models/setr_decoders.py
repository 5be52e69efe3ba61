"""SETR's three decoders in 3D: the rivals of UNETR's decoder in table 3 of its paper.

Zheng et al., "Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective with Transformers", CVPR 2021,
section 3.3, with 3D convolutions and trilinear upsampling. Each takes `(image, maps)` like UNETR's decoder: `maps` are
the chosen blocks' tokens (B, width, grid), shallow to deep; the result has the image's size. Batch norm as in SETR.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NaiveUpsampling(nn.Module):
    """NUP: two 1^3 convolutions on the last map, then one interpolation to the image's size."""

    def __init__(self, width: int, features: int, patch: int, out_channels: int) -> None:
        super().__init__()
        self.head = nn.Sequential(conv_norm_relu(width, 8 * features, 1), nn.Conv3d(8 * features, out_channels, 1))

    def forward(self, image: Tensor, maps: list[Tensor]) -> Tensor:
        """Logits (B, outputs, i, j, k) of the image's voxels."""
        return resize(self.head(maps[-1]), image.shape[2:])


class ProgressiveUpsampling(nn.Module):
    """PUP: a 3^3 convolution and a doubling, as often as the patch asks for."""

    def __init__(self, width: int, features: int, patch: int, out_channels: int) -> None:
        super().__init__()
        levels = patch.bit_length() - 1
        widths = [width] + [features * 2**level for level in reversed(range(levels))]
        self.steps = nn.ModuleList(conv_norm_relu(before, after, 3) for before, after in pairwise(widths))
        self.head = nn.Conv3d(widths[-1], out_channels, 1)

    def forward(self, image: Tensor, maps: list[Tensor]) -> Tensor:
        """Logits (B, outputs, i, j, k) of the image's voxels."""
        x = maps[-1]
        for step in self.steps:
            x = step(x)
            x = resize(x, [2 * size for size in x.shape[2:]])
        return self.head(x)


class MultiLevelAggregation(nn.Module):
    """MLA: maps of several depths, summed from deep to shallow, refined apart, joined and interpolated."""

    def __init__(self, width: int, features: int, patch: int, out_channels: int) -> None:
        super().__init__()
        streams = patch.bit_length() - 1
        middle = 8 * features
        self.enlarge = min(4, patch)
        self.entries = nn.ModuleList(conv_norm_relu(width, middle, 1) for _ in range(streams))
        self.refine = nn.ModuleList(
            nn.Sequential(conv_norm_relu(middle, middle, 3), conv_norm_relu(middle, middle // 2, 3))
            for _ in range(streams)
        )
        self.head = nn.Conv3d(streams * (middle // 2), out_channels, 1)

    def forward(self, image: Tensor, maps: list[Tensor]) -> Tensor:
        """Logits (B, outputs, i, j, k) of the image's voxels."""
        refined = []
        total: Tensor | None = None
        for entry, refine, tokens in zip(self.entries, self.refine, reversed(maps), strict=True):
            total = entry(tokens) if total is None else total + entry(tokens)
            x = refine(total)
            refined.append(resize(x, [self.enlarge * size for size in x.shape[2:]]))
        return resize(self.head(torch.cat(refined, dim=1)), image.shape[2:])


def conv_norm_relu(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Convolution that keeps the size, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )


def resize(x: Tensor, size: list[int] | torch.Size) -> Tensor:
    """Trilinear interpolation to `size`."""
    return F.interpolate(x, list(size), mode="trilinear", align_corners=False)


SETR_DECODERS = {"nup": NaiveUpsampling, "pup": ProgressiveUpsampling, "mla": MultiLevelAggregation}
