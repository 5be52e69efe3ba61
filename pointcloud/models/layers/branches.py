"""Many small branches on one map as two convolutions: on a GPU every operation costs more than such a branch's work.

A branch is a convolution with norm and ReLU, then a last convolution to a few channels. All first convolutions read the
same map, so they are one with more channels; all last ones are one of as many groups as there are branches. Both
compute the sums that the branches compute alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def joinable(x: Tensor, branches: Sequence[nn.Sequential]) -> bool:
    """Whether they are worth joining and may be: on a GPU, alike, all in one mode and none of them sharded."""
    if x.device.type == "cpu" or torch.compiler.is_exporting():
        return False
    norms = [branch[0][1] for branch in branches]  # type: ignore[index]
    alike = len({(type(norm), norm.training, norm.eps, norm.momentum, norm.num_features) for norm in norms}) == 1
    plain = type(norms[0]) is nn.BatchNorm2d and norms[0].momentum is not None
    return alike and plain and not hasattr(norms[0].weight, "full_tensor")


def joined(x: Tensor, branches: Sequence[nn.Sequential]) -> list[Tensor]:
    """What each branch makes of x (B, C, Y, X), float32; running statistics move as those of each branch alone."""
    first, norms, last = zip(*((branch[0][0], branch[0][1], branch[1]) for branch in branches), strict=True)  # type: ignore[index]
    hidden = F.conv2d(x, torch.cat([layer.weight for layer in first]), padding=first[0].padding)
    hidden = F.relu(_normed(hidden, norms))
    # A grouped convolution needs groups of one size: missing channels are zeros, and are left out behind it.
    sizes = [layer.out_channels for layer in last]
    most = max(sizes)
    zeros = last[0].weight.new_zeros(most, *last[0].weight.shape[1:])
    weight = torch.cat([part for layer in last for part in (layer.weight, zeros[: most - layer.out_channels])])
    bias = torch.cat([part for layer in last for part in (layer.bias, zeros[: most - layer.out_channels, 0, 0, 0])])
    maps = F.conv2d(hidden, weight, bias, padding=last[0].padding, groups=len(last)).float()
    return [group[:, :size] for group, size in zip(maps.split(most, dim=1), sizes, strict=True)]


def _normed(x: Tensor, norms: Sequence[nn.BatchNorm2d]) -> Tensor:
    def of_all(name: str) -> list[Tensor]:
        return [getattr(norm, name) for norm in norms]

    training, count = norms[0].training, norms[0].num_features
    parts = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (torch.cat(of_all(name)) for name in parts)
    out = F.batch_norm(x, mean, variance, weight, bias, training, norms[0].momentum or 0.0, norms[0].eps)
    if training:
        torch._foreach_copy_(of_all("running_mean"), list(mean.split(count)))
        torch._foreach_copy_(of_all("running_var"), list(variance.split(count)))
        torch._foreach_add_(of_all("num_batches_tracked"), 1)
    return out
