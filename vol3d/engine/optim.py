"""What moves the weights: the optimiser, its learning rate, and the moving averages of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vol3d.engine.settings import OptimSettings


def make_optimizer(model: nn.Module, settings: OptimSettings) -> torch.optim.Optimizer:
    """The optimiser of the settings, fused where the device has it.

    Weight decay spares biases, norms (all parameters of one dimension) and position embeddings, as ViT and its
    descendants do (Dosovitskiy et al. 2021; Touvron et al. 2021, appendix); `decay_all` spares none.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            spare = not settings.decay_all and (parameter.ndim <= 1 or _is_position(name))
            (spared if spare else decayed).append(parameter)
    kinds = ((decayed, settings.weight_decay), (spared, 0.0))
    groups = [{"params": parameters, "weight_decay": decay} for parameters, decay in kinds if parameters]
    fused = all(p.device.type in {"cpu", "cuda"} for p in model.parameters())
    if settings.name == "sgd":
        nesterov = settings.momentum > 0
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov, fused=fused)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, fused=fused)


def _is_position(name: str) -> bool:
    return "position" in name or "pos_embed" in name


def learning_rate(step: int, total: int, settings: OptimSettings) -> float:
    """The rate of step `step` (0-based) of `total`, and of nothing else: a resumed run needs no scheduler state.

        >>> [round(learning_rate(step, 4, OptimSettings(lr=1.0, warmup=0.25, final=0.0)), 3) for step in range(4)]
        [0.5, 1.0, 0.75, 0.25]

    All schedules rise over the share `warmup` of the steps: linearly, but `one_cycle` along a cosine from a 25th of the
    peak (Smith & Topin 2019, as torch's OneCycleLR). Then they fall to `final`: along a cosine (`warmup_cosine`,
    `one_cycle`), along the later part of a cosine that spans the whole run (`whole_cosine`, 3DETR's code), as
    (1 - t)^0.9 (`poly`, nnU-Net) or not at all (`constant`).
    """
    rising = round(settings.warmup * total)
    if step < rising:
        t = (step + 1) / (rising + 1)
        return settings.lr * (_cosine(1 / 25, 1.0, t) if settings.schedule == "one_cycle" else t)
    t = (step - rising) / (total - rising)  # below 1: no step is taken at a rate of 0
    if settings.schedule == "constant":
        return settings.lr
    if settings.schedule == "poly":
        return settings.lr * (settings.final + (1 - settings.final) * (1 - t) ** 0.9)
    if settings.schedule == "whole_cosine":
        t = step / total
    return settings.lr * _cosine(1.0, settings.final, t)


def _cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2


class Ema:
    """Moving averages of a model's parameters in float32, evaluated and kept instead of the last ones.

    Buffers (running statistics) are taken from the model as they are.

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
