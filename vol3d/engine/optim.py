"""The optimiser: AdamW or SGD, without decay on what should not shrink."""

from __future__ import annotations

import torch
from torch import nn

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
