"""One seed after the other in one process, which opens the training data once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from vol3d.engine.loop import train
from vol3d.engine.order import open_samples
from vol3d.engine.stop import Stopped
from vol3d.engine.task import Samples, TrainingTask
from vol3d.errors import UsageError, Vol3dError
from vol3d.lock import FolderBusyError
from vol3d.terminal import counted, say

Load = Callable[[str | Path, Sequence[str]], TrainingTask]

OF_THE_USER = (UsageError, Stopped, FolderBusyError)
"""What ends the whole study, since it is not the seed's fault."""
OF_THE_SEED = (Vol3dError, MemoryError, torch.OutOfMemoryError)
"""What makes one seed fail, while the others are trained."""


@dataclass(frozen=True)
class SeedWork:
    """How the seeds of a study are trained; it can be sent to another process.

    Args:
        path, overrides: the configuration.
        out: folder of the study, with one run for each seed.
        device: None takes CUDA where there is some.
        load: makes a task of a configuration.
    """

    path: str | Path
    overrides: tuple[str, ...]
    out: Path
    device: str | torch.device | None
    load: Load

    def task(self, seed: int) -> TrainingTask:
        """The task of one seed."""
        return self.load(self.path, [*self.overrides, f"train.seed={seed}"])

    def name(self, seed: int) -> str:
        """What the run of a seed is called."""
        return f"seed{seed}"


class SeedTrainer:
    """Trains seeds in this process. The samples are opened for the first one: no sample depends on `train.seed`."""

    def __init__(self, work: SeedWork) -> None:
        self.work = work
        self._samples: Samples | None = None

    def train(self, seed: int) -> None:
        """Trains a seed to its end; raises as `vol3d.engine.loop.train`."""
        run = self.work.out / self.work.name(seed)
        train(self.work.task(seed), run, device=self.work.device, open_data=self._open)

    def attempt(self, seed: int) -> str | None:
        """As `train`; why the seed failed, or None. What is not a seed's fault (`OF_THE_USER`) is raised."""
        try:
            self.train(seed)
        except OF_THE_USER:
            raise
        except OF_THE_SEED as error:
            return str(error) or type(error).__name__
        return None

    def attempt_all(self, seeds: Sequence[int], together: bool, show: bool = True) -> dict[int, str]:
        """Trains one seed after the other; why those failed that did.

        Args:
            together: this process is one of several that train together; they all leave at the first error.
            show: whether each seed is named when it begins.
        """
        failed: dict[int, str] = {}
        for number, seed in enumerate(seeds, 1):
            if show:
                say(f"{self.work.out / self.work.name(seed)}: {number} of {counted(len(seeds), 'seed')}")
            if together:
                self.train(seed)
            elif (error := self.attempt(seed)) is not None:
                failed[seed] = error
        return failed

    def _open(self, task: TrainingTask, show: bool, device: torch.device) -> Samples:
        if self._samples is None:
            self._samples = open_samples(task, show, device)
        return self._samples
