"""Exponential moving average of the weights, evaluated and kept instead of the last ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Ema:
    """Averages of a model's parameters in float32; buffers (running statistics) are taken from the model as they are.

    The decay grows as (1 + step) / (10 + step) up to `decay`, so that a short run does not keep its initial weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.averages = {name: p.detach().float().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Moves the averages after optimiser step `step` (0-based)."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, parameter in model.named_parameters():
            self.averages[name].lerp_(parameter.detach().float(), weight)


def full_state(model: nn.Module, averages: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The model's state on the CPU, contiguous and unsharded, with averages in the place of their parameters.

    With sharded weights all processes must call it together.
    """
    replaced = {id(p): averages[name] for name, p in model.named_parameters()} if averages else {}
    state = model.state_dict(keep_vars=True)
    return {name: whole(replaced.get(id(value), value)).to(value.dtype) for name, value in state.items()}


def whole(tensor: Tensor) -> Tensor:
    """A detached contiguous copy on the CPU of a tensor that may be sharded."""
    tensor = tensor.detach()
    if hasattr(tensor, "full_tensor"):
        tensor = tensor.full_tensor()
    return tensor.to("cpu", copy=True).contiguous()
