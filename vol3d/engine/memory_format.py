"""In which order the weights of convolutions lie in memory."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn


def to_channels_last(model: nn.Module, dimensions: Collection[int]) -> None:
    """Turns the weights of dense convolutions in place: elsewhere, weights of as many dimensions mean something else.

    Args:
        dimensions: 2 for 2D convolutions, 3 for those of volumes.
    """
    for layer in model.modules():
        if 2 in dimensions and isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
        elif 3 in dimensions and isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d)):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)
