"""What moves the weights: the optimiser, its learning rate, and the moving averages of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vol3d.engine.settings import OptimSettings


def make_optimizer(
    model: nn.Module, settings: OptimSettings, shares: Mapping[nn.Parameter, float] | None = None
) -> torch.optim.Optimizer:
    """The optimiser of the settings, fused where the device has it.

    Weight decay spares biases, norms (all parameters of one dimension) and position embeddings, as ViT and its
    descendants do (Dosovitskiy et al. 2021; Touvron et al. 2021, appendix); `decay_all` spares none.

    Args:
        shares: of the learning rate, where a parameter's is not 1; kept in its group under `share`.
    """
    groups = _groups(model, settings, shares or {})
    fused = all(p.device.type in {"cpu", "cuda"} for p in model.parameters())
    if settings.name == "sgd":
        nesterov = settings.momentum > 0
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov, fused=fused)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, fused=fused)


def _groups(model: nn.Module, settings: OptimSettings, shares: Mapping[nn.Parameter, float]) -> list[dict[str, Any]]:
    """One group for each share and decay, the decayed ones first."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    share_of = {parameter: shares.get(parameter, 1.0) for _, parameter in trained}
    groups: list[dict[str, Any]] = []
    for share in dict.fromkeys(share_of.values()):
        for is_spared, decay in ((False, settings.weight_decay), (True, 0.0)):
            chosen = [p for name, p in trained if share_of[p] == share and _spared(name, p, settings) == is_spared]
            groups += [{"params": chosen, "weight_decay": decay, "share": share}] if chosen else []
    return groups


def _spared(name: str, parameter: nn.Parameter, settings: OptimSettings) -> bool:
    return not settings.decay_all and (parameter.ndim <= 1 or "position" in name or "pos_embed" in name)


def set_schedule(optimizer: torch.optim.Optimizer, step: int, total: int, settings: OptimSettings) -> float:
    """Sets rate and momentum of step `step` (0-based) of `total`; returns the rate of parts that have no own share."""
    rate, momentum = learning_rate(step, total, settings), cycled_momentum(step, total, settings)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)  # resume points of earlier releases have no shares
        if momentum is not None and settings.name == "sgd":
            group["momentum"] = momentum
        elif momentum is not None:
            group["betas"] = (momentum, group["betas"][1])
    return rate


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


def cycled_momentum(step: int, total: int, settings: OptimSettings) -> float | None:
    """The momentum of step `step` (0-based) of `total`; None where it is constant.

        >>> cycle = OptimSettings(schedule="one_cycle", warmup=0.25, cycle_momentum=(0.95, 0.85))
        >>> [round(cycled_momentum(step, 4, cycle), 3) for step in range(4)]
        [0.9, 0.85, 0.875, 0.925]

    It falls along a cosine while the rate rises, and rises back along one while the rate falls (Smith & Topin 2019;
    as OpenPCDet's one-cycle optimiser and mmcv's cyclic momentum have it).
    """
    if settings.cycle_momentum is None:
        return None
    highest, lowest = settings.cycle_momentum
    rising = round(settings.warmup * total)
    if step < rising:
        return _cosine(highest, lowest, (step + 1) / (rising + 1))
    return _cosine(lowest, highest, (step - rising) / (total - rising))


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
        parameters = dict(model.named_parameters())
        averages = [self.averages[name] for name in parameters]
        torch._foreach_lerp_(averages, [parameter.detach().float() for parameter in parameters.values()], weight)


def full_state(model: nn.Module, averages: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The model's state on the CPU, contiguous and unsharded, with averages in the place of their parameters.

    With sharded weights all processes must call it together.
    """
    replaced = {id(p): averages[name] for name, p in model.named_parameters()} if averages else {}
    state = model.state_dict(keep_vars=True)
    return {name: whole(replaced.get(id(value), value)).to(value.dtype) for name, value in state.items()}


def whole(tensor: Tensor) -> Tensor:
    """A detached contiguous copy on the CPU of a tensor that may be sharded."""
    return unsharded(tensor).to("cpu", copy=True).contiguous()


def unsharded(tensor: Tensor) -> Tensor:
    """The whole of a tensor that may be sharded, detached, where it is."""
    tensor = tensor.detach()
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
