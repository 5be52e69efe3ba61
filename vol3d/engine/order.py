"""Which samples make which step: a function of (seed, epoch), the same for any number of workers.

A step takes `batch * accumulate * processes` samples of the shuffled epoch. The last step of an epoch may have fewer;
they are spread evenly over the processes and batches, and every sample weighs the same in the gradient.
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from vol3d.engine.task import Batch, Samples, TrainingTask
from vol3d.engine.workers import prepare_worker
from vol3d.errors import DataError, UsageError, Vol3dError, first_line
from vol3d.terminal import progress, say

WORKER_TIMEOUT_S = 1800.0
POLL_S = 2.0
Item = tuple[int, int]
"""(epoch, index) of a sample."""


def open_samples(task: TrainingTask, show: bool, device: torch.device) -> Samples:
    """The training split of a task; with `show`, a person sees what comes before the first sample.

    Args:
        device: of the training, for models that this needs.

    Raises:
        UsageError: it is empty.
    """
    for note in task.notes() if show else ():
        say(f"warning: {note}")
    with progress("preparing") if show else nullcontext() as report:
        samples = task.samples(report, device)
    if not len(samples):
        raise UsageError("the training split is empty", where="data")
    return samples


@dataclass(frozen=True)
class Plan:
    """How the samples of an epoch are cut into steps, batches and shares of processes."""

    samples: int
    batch: int
    accumulate: int
    processes: int
    seed: int

    @property
    def per_step(self) -> int:
        """Samples of a full step, over all processes."""
        return self.batch * self.accumulate * self.processes

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.samples // self.per_step)

    def step(self, step: int, rank: int) -> list[tuple[list[Item], float]]:
        """The batches of process `rank` in the run's step `step`: their items, and their weight in the gradient.

        Weights of all processes add up to the number of processes (they average gradients). A process with nothing left
        to do computes a batch of weight 0.
        """
        epoch, offset = divmod(step, self.steps)
        order = _shuffled(self.seed, epoch, self.samples)
        chunk = order[offset * self.per_step : (offset + 1) * self.per_step]
        parts = np.array_split(chunk, self.accumulate * self.processes)
        batches = []
        for part in parts[rank :: self.processes]:
            weight = len(part) * self.processes / len(chunk)
            batches.append(([(epoch, int(index)) for index in (part if len(part) else chunk[:1])], weight))
        return batches


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, n: int) -> np.ndarray:
    # No item has the index n, so this generator is shared with none of them.
    return np.random.default_rng([seed, epoch, n]).permutation(n)


class _Order(Sampler[list[Item]]):
    """The batches of one process from step `start` to `stop`."""

    def __init__(self, plan: Plan, rank: int, start: int, stop: int) -> None:
        self.plan, self.rank, self.start, self.stop = plan, rank, start, stop

    def __iter__(self) -> Iterator[list[Item]]:
        for step in range(self.start, self.stop):
            for items, _ in self.plan.step(step, self.rank):
                yield items


@dataclass(frozen=True)
class _Failure:
    """An error on its way from a worker process, where torch would replace its type and text."""

    error: Vol3dError
    trace: str


class _Items(Dataset[Any]):
    def __init__(self, samples: Samples, seed: int) -> None:
        self.samples, self.seed = samples, seed

    def __getitem__(self, item: Item) -> Any:
        epoch, index = item
        try:
            return self.samples.sample(index, np.random.default_rng([self.seed, epoch, index]))
        except Vol3dError as error:
            return _Failure(error, traceback.format_exc())
        except Exception as error:
            name = self.samples.name(index)
            fault = DataError(f"the training sample cannot be made ({type(error).__name__}: {error})", where=name)
            return _Failure(fault, traceback.format_exc())

    def collate(self, samples: list[Any]) -> Batch | _Failure:
        return next((s for s in samples if isinstance(s, _Failure)), None) or self.samples.collate(samples)


class Loader:
    """Batches of one process in order, made in `workers` processes ahead of time or, with 0, on demand.

    With `pin` they lie in memory from which a GPU takes them while the host goes on.
    """

    def __init__(
        self, samples: Samples, plan: Plan, rank: int, start: int, stop: int, workers: int, pin: bool = False
    ) -> None:
        self.samples, self.plan, self.rank = samples, plan, rank
        items = _Items(samples, plan.seed)
        self.loader = DataLoader(
            items,
            batch_sampler=_Order(plan, rank, start, stop),
            collate_fn=items.collate,
            num_workers=workers,
            timeout=POLL_S if workers else 0,
            worker_init_fn=prepare_worker,
            pin_memory=pin,
        )
        self.batches = iter(self.loader)
        if workers and hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
            # torch's handler raises wherever the program happens to be; `_next` asks for the workers' health instead.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def step(self, step: int) -> Iterator[tuple[Batch, float]]:
        """The batches and weights of step `step`; steps are taken in order.

        Raises:
            Vol3dError: a sample could not be made, or a worker died; names the case.
        """
        for items, weight in self.plan.step(step, self.rank):
            yield self._next(step, items), weight

    def _next(self, step: int, items: list[Item]) -> Batch:
        began = time.monotonic()
        while True:
            try:
                batch = next(self.batches)
                break
            # A worker killed while it hands a batch over breaks the pipe instead; faults of samples come as `_Failure`.
            except (RuntimeError, OSError, EOFError) as error:
                if "timed out" in str(error) and time.monotonic() - began < WORKER_TIMEOUT_S:
                    continue  # the workers were all alive when it gave up waiting
                of_worker = any(word in str(error) for word in ("DataLoader", "shared memory", "ancdata"))
                if isinstance(error, RuntimeError) and not of_worker:
                    raise
                names = ", ".join(self.samples.name(index) for _, index in items)
                raise Vol3dError(
                    f"a data-loader worker died or hangs ({first_line(error)})",
                    where=f"step {step}, next batch: {names}",
                    do="Mostly memory runs out: fewer train.workers (0 works everywhere), or a larger /dev/shm.",
                ) from error
        if isinstance(batch, _Failure):
            raise batch.error from RuntimeError(f"in a data-loader worker\n{batch.trace}")
        return batch
