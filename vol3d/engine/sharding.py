"""Weights and optimiser cut over the processes (torch's fully_shard), for models that do not fit one device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from vol3d.engine.distributed import Processes

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def shard(model: nn.Module, group: Processes) -> None:
    """Shards `model` in place: each layer of its lists of layers is one unit, gathered while it computes."""
    mesh = init_device_mesh(group.device.type, (group.count,))
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    for layers in reversed(lists):  # inner ones first
        for layer in layers:
            if not isinstance(layer, (nn.ModuleList, nn.ModuleDict)):
                fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The whole state on process 0, by parameter name; all processes must call it together."""
    return get_optimizer_state_dict(model, optimizer, options=_WHOLE)


def load_optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Each process takes its part of the whole state that it read."""
    set_optimizer_state_dict(model, optimizer, state, options=StateDictOptions(full_state_dict=True))


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """`tensor` on the device of `other`, and sharded as it is."""
    if isinstance(other, DTensor):
        return distribute_tensor(tensor.to(other.device), other.device_mesh, other.placements)
    return tensor.to(other.device)
