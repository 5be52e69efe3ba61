"""Model, optimiser, averages and scaler, and what one optimiser step does with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vol3d.engine import sharding
from vol3d.engine.distributed import Processes
from vol3d.engine.memory_format import to_channels_last
from vol3d.engine.optim import Ema, full_state, make_optimizer, set_schedule, unsharded, whole
from vol3d.engine.parts import freeze, shares
from vol3d.engine.settings import RunSettings, TrainSettings
from vol3d.engine.start_from import initial_model
from vol3d.engine.task import Batch, TrainingTask
from vol3d.errors import Vol3dError

_AMP = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class StepResult:
    """One optimiser step of this process.

    Args:
        terms: name -> term of the loss, weighted so that the mean over the processes is the mean over the samples.
        grad_norm: norm of the whole gradient before clipping.
        rate: the learning rate.
        ids: names of the cases.
    """

    terms: dict[str, float]
    grad_norm: float
    rate: float
    ids: tuple[str, ...]

    @property
    def loss(self) -> float:
        """Sum of the terms."""
        return math.fsum(self.terms.values()) if self.is_finite else math.nan

    @property
    def is_finite(self) -> bool:
        """Whether all terms are numbers."""
        return all(map(math.isfinite, self.terms.values()))


class Objective(nn.Module):
    """Batch -> terms of the loss. The forward pass runs in low precision if asked, the loss in float32."""

    def __init__(self, model: nn.Module, device: torch.device, amp: str, volumes_last: bool) -> None:
        super().__init__()
        self.model, self.device, self.dtype, self.volumes_last = model, device, _AMP[amp], volumes_last

    def forward(self, inputs: Any, targets: Any) -> dict[str, Tensor]:
        """Name -> term of the loss of one batch."""
        if self.volumes_last:
            inputs = _apply(inputs, _channels_last)
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            prediction = self.model(inputs)
        return self.model.loss(_apply(prediction, _float32), targets)  # type: ignore[operator]


class Learner:
    """Everything that an optimiser step changes; `kept` is what is evaluated and saved of the `model` that learns.

    Args:
        show: print what the model took over from the one that it starts from.
    """

    def __init__(
        self, task: TrainingTask, group: Processes, weights: dict[str, Tensor] | None = None, show: bool = True
    ) -> None:
        self.settings: RunSettings = task.settings
        self.group = group
        train = self.settings.train
        torch.manual_seed(train.seed)
        fresh = initial_model(task, show and group.is_main) if weights is None else task.model()
        self.kept = _placed(fresh, task, group.device)
        self.model = task.training_module(self.kept).to(group.device)
        if weights is not None:
            self.model.load_state_dict(weights)
        trunk = task.learning.trunk(self.kept)
        frozen = freeze(trunk, self.settings.freeze)
        self.is_sharded = train.shard and group.count > 1
        if self.is_sharded:
            sharding.shard(self.model, group)
        volumes_last = 3 in _last(train, group.device)
        self.objective: nn.Module = Objective(self.model, group.device, train.amp, volumes_last)
        if group.count > 1 and not self.is_sharded:
            self.objective = DistributedDataParallel(self.objective)
        optim = self.settings.optim
        self.optimizer = make_optimizer(self.model, optim, shares(trunk, optim.parts))
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=train.amp == "fp16")
        self.ema = Ema(self.kept, train.ema) if train.ema is not None else None
        self.model.train()
        for module in frozen:
            module.eval()  # the statistics of its norms stay, too

    def step(self, batches: Iterable[tuple[Batch, float]], step: int, total: int) -> StepResult:
        """Computes the clipped gradient of step `step` (0-based) of `total`; `apply` then uses it."""
        rate = set_schedule(self.optimizer, step, total, self.settings.optim)
        torch.manual_seed(_seed(self.settings.train.seed, step, self.group.rank))

        summed: dict[str, Tensor] = {}
        ids: list[str] = []
        for i, (batch, weight) in enumerate(batches, 1):
            ids += batch.ids
            batch = batch.to(self.group.device)
            with self._without_sync(i < self.settings.train.accumulate), _naming(batch.ids):
                terms = self.objective(batch.inputs, batch.targets)
                self.scaler.scale(torch.stack([*terms.values()]).sum() * weight).backward()
            for name, term in terms.items():
                summed[name] = summed.get(name, 0) + term.detach().float() * weight

        self.scaler.unscale_(self.optimizer)
        clip = self.settings.optim.clip or math.inf
        norm = unsharded(nn.utils.clip_grad_norm_(self.model.parameters(), clip))
        *values, length = torch.stack([*summed.values(), norm.to(self.group.device)]).tolist()  # the one wait of a step
        return StepResult(dict(zip(summed, values, strict=True)), length, rate, tuple(ids))

    def apply(self, step: int) -> None:
        """Moves the weights along the gradient of `step`, and the averages after them."""
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.update(self.kept, step)

    def _without_sync(self, more_to_come: bool) -> AbstractContextManager[Any]:
        if self.is_sharded:
            self.model.set_requires_gradient_sync(not more_to_come)  # type: ignore[operator]
        if more_to_come and isinstance(self.objective, DistributedDataParallel):
            return self.objective.no_sync()
        return nullcontext()

    def best_weights(self) -> dict[str, Tensor]:
        """Weights to evaluate, whole and on the CPU; all processes must call it together."""
        return full_state(self.kept, self.ema.averages if self.ema else None)

    def state(self) -> dict[str, Any]:
        """Everything of it for the resume point; all processes must call it together."""
        sharded = self.is_sharded
        optimizer = sharding.optimizer_state(self.model, self.optimizer) if sharded else self.optimizer.state_dict()
        return {
            "model": full_state(self.model),
            "optimizer": optimizer,
            "ema": {name: whole(value) for name, value in self.ema.averages.items()} if self.ema else None,
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over optimiser, averages and scaler; the weights came with the constructor."""
        if self.is_sharded:
            sharding.load_optimizer_state(self.model, self.optimizer, state["optimizer"])
        else:
            self.optimizer.load_state_dict(state["optimizer"])
        if self.ema:
            for name, average in self.ema.averages.items():
                average.copy_(sharding.like(state["ema"][name], average))
        self.scaler.load_state_dict(state["scaler"])


@contextmanager
def _naming(ids: Sequence[str]) -> Iterator[None]:
    """Puts the case's name before a fault of a sample: the model knows the sample's place only."""
    try:
        yield
    except Vol3dError as error:
        if error.index is not None and error.index < len(ids):
            error.where = f"{ids[error.index]}, {error.where}"
        raise


def fresh_model(task: TrainingTask, device: torch.device, weights: dict[str, Tensor]) -> nn.Module:
    """The task's model with `weights`, on the device in the memory format of its settings."""
    model = task.model()
    model.load_state_dict(weights)
    return _placed(model, task, device)


def _placed(model: nn.Module, task: TrainingTask, device: torch.device) -> nn.Module:
    model = model.to(device)
    to_channels_last(model, _last(task.settings.train, device))
    return model


def _last(train: TrainSettings, device: torch.device) -> set[int]:
    """The numbers of dimensions whose convolutions are channels last.

    On a CPU a step of UNETR takes 1.2 times as long with it in float32 and 1.7 times in bfloat16; one of CenterPoint on
    pillars the same (`benchmarks/results/segmentation_formats.json`).
    On a GPU kernels of tensor cores read 16-bit maps in this order, and others are turned around them; not measured.
    """
    if train.channels_last == "auto":
        return {2} if device.type == "cpu" or train.amp != "off" else set()
    return {2, 3} if train.channels_last else set()


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last_3d) if tensor.ndim == 5 else tensor


def _float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in {torch.bfloat16, torch.float16} else tensor


def _apply(value: Any, function: Any) -> Any:
    """`function` of all tensors in a nest of lists, tuples and dicts."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: _apply(item, function) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_apply(item, function) for item in value)
    return value


def _seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)
