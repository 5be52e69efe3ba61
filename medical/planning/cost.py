"""What a training step needs: memory, counted without computing, and time, measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from medical.deep_supervision import Staged
from medical.models.common import Size

FLOAT = 4  # bytes
MARGIN = 1.25  # for gradients on their way and the convolutions' workspace, which are not counted
STATE = 5  # weight, gradient, two moments, average
LOSS = 8  # copies of the logits that softmax, one-hot targets and products of the loss hold


@dataclass(frozen=True)
class Memory:
    """Bytes of a training step in float32, with `MARGIN`; less with `amp`.

    Args:
        parameters: of the network.
        fixed: weights, gradients, moments, averages.
        per_sample: what the backward pass keeps of one window, and the loss.
    """

    parameters: int
    fixed: int
    per_sample: int

    def of(self, batch: int) -> int:
        """Bytes with a batch."""
        return self.fixed + batch * self.per_sample


def step_memory(model: Any, channels: int, outputs: int, window: Size) -> Memory:
    """Counts the tensors that autograd saves, on torch's meta device: exact for any network, and nothing is computed.

    Args:
        model: settings with `build`.
    """
    with torch.device("meta"):
        network = model.build(channels, outputs, window).train()
        image = torch.empty(1, channels, *window)
    weights = {tensor.untyped_storage()._cdata for tensor in network.parameters()}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor  # held, so that no other storage gets the same address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = _logits(network, image)
    activations = sum(tensor.untyped_storage().nbytes() for key, tensor in saved.items() if key not in weights)
    parameters = sum(tensor.numel() for tensor in network.parameters())
    lossy = LOSS * sum(one.numel() for one in logits) * FLOAT
    return Memory(parameters, parameters * STATE * FLOAT, round(MARGIN * (activations + lossy)))


def step_seconds(model: Any, channels: int, outputs: int, window: Size, device: torch.device, amp: str) -> float:
    """Measured seconds of forward and backward pass of one window; a first pass warms up."""
    network = model.build(channels, outputs, window).train().to(device)
    image = torch.zeros(1, channels, *window, device=device).normal_()
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(amp)
    for _ in range(2):
        began = time.perf_counter()
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            logits = _logits(network, image)
        sum((one.float().square().mean() for one in logits), torch.zeros((), device=device)).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return time.perf_counter() - began


def _logits(network: torch.nn.Module, image: Tensor) -> list[Tensor]:
    """Of every stage, as deep supervision has them; or of the one that there is."""
    return network.logits(image) if isinstance(network, Staged) else [network(image)]
