"""In which order the weights of convolutions lie in memory."""

from __future__ import annotations

import torch
from torch import nn


def to_channels_last(model: nn.Module, volumes: bool) -> None:
    """Turns the weights of dense convolutions in place: elsewhere, weights of as many dimensions mean something else.

    Args:
        volumes: those of 3D convolutions as well.
    """
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
        elif volumes and isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d)):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)
