"""What the engine, the command line and the report know of a problem: the one contract of detectors and segmenters.

A task joins a model, a data set and a metric. It is built from a validated configuration and holds no training state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from vol3d.engine.settings import RunSettings, Settings
from vol3d.errors import CheckpointError, UsageError
from vol3d.terminal import Progress


@dataclass(frozen=True)
class Batch:
    """One step's data: tensors (or lists of tensors) for the model, and the names of the cases they came from."""

    inputs: Any
    targets: Any
    ids: tuple[str, ...]

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(_to(self.inputs, device), _to(self.targets, device), self.ids)


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if hasattr(value, "to"):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _to(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_to(item, device) for item in value)
    return value


@dataclass(frozen=True)
class Metric:
    """One kind of number in an evaluation, and how a reader is to see it.

        >>> Metric("hd95_mm", "HD95", unit="mm", better="lower").label
        'HD95 (mm)'

    Args:
        key: what the summary, its tables and the rows call it, `hd95_mm`.
        title: what the reader sees, without the unit.
        unit: `mm`, or None for a share or a count.
        better: which values are the better ones, None where neither is.
        interval: key of its 95 % confidence interval [low, high], which stands beside it.
        headline: whether a report shows it next to the score.
        by_case: whether a report draws its distribution over the cases.
    """

    key: str
    title: str
    unit: str | None = None
    better: Literal["higher", "lower"] | None = None
    interval: str | None = None
    headline: bool = False
    by_case: bool = False

    @property
    def label(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True)
class Evaluation:
    """What a model scored on a data set.

    Args:
        score: the one number that ranks checkpoints, higher is better.
        score_name: what it is, `mean_dice`.
        summary: JSON-ready totals, printed by `vol3d evaluate --json`.
        rows: one JSON-ready dict per case and class, written as CSV.
        pictures: title -> PNG bytes for the report (best, median, worst case ...).
        metrics: what keys of the summary and the rows mean; a key without one is shown as it is.
    """

    score: float
    score_name: str
    summary: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()


class Samples(ABC):
    """A training set whose item is a function of (seed, epoch, index) and of nothing else."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples in an epoch."""

    @abstractmethod
    def sample(self, index: int, rng: np.random.Generator) -> Any:
        """Item `index`, augmented with draws from `rng` only."""

    def name(self, index: int) -> str:
        """What item `index` is called in messages."""
        return f"sample {index}"

    @abstractmethod
    def collate(self, samples: Sequence[Any]) -> Batch:
        """Items of one step as one batch."""


class Task(ABC):
    """A problem that can be trained, evaluated and applied to files.

    `name` is its key in the catalogue, `settings_type` what its configuration is validated as.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[RunSettings]]

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def resolved(self) -> RunSettings:
        """The settings that travel in checkpoints: with what the data set decided (class names, channels) filled in.

        A task built from these makes its model and predicts without the data set.
        """
        return self.settings

    def recipe(self) -> RunSettings:
        """The settings that decide what a run learns: its `config.yaml`, and what may not change before it goes on."""
        return self.resolved()

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the model's outputs."""

    @abstractmethod
    def model(self) -> nn.Module:
        """A freshly initialised model: `forward(inputs) -> prediction`, `loss(prediction, targets) -> dict of terms`.

        The engine sums the terms; what they are called is what the log shows.
        """

    def initial_model(self) -> nn.Module:
        """The model that a new training starts from: `model`, or one that took over weights from elsewhere."""
        return self.model()

    def trainee(self, model: nn.Module) -> nn.Module:
        """What the training steps: `model`, or a module that holds it and adds to its loss.

        Further weights of such a module are learnt and resumed with the model's, and are in no checkpoint.
        """
        return model

    @abstractmethod
    def samples(self, progress: Progress | None = None) -> Samples:
        """The training split; `progress` is told of work that comes before the first sample."""

    @abstractmethod
    def evaluate(
        self, model: nn.Module, device: torch.device, progress: Progress, pictures: bool = False
    ) -> Evaluation:
        """Scores `model` on the validation split; `pictures` adds those of the report.

        An `nn.ModuleList` is an ensemble, averaged before the decision.
        """

    def holding(self, model: nn.Module) -> Task:
        """The same problem for a model that was made elsewhere: with its sizes and its classes.

        Raises:
            UsageError: this task's models cannot say what they are.
        """
        raise UsageError(f"{self.name} cannot take over a model")

    def overfit(self, n: int) -> Task:
        """The same problem with its first `n` training cases, unaugmented, as both training and validation split."""
        raise UsageError(f"{self.name} cannot be trained on a few samples only")

    def folds(self) -> int:
        """Number of folds of a cross-validation; `data.fold` chooses one."""
        raise UsageError(f"the data set of this configuration has no folds ({self.name})", where="data")

    def on(self, data: Settings, part: Literal["validation", "train", "all"] = "validation") -> Task:
        """The same problem, ready to predict and to `evaluate` on `part` of another data set.

        Args:
            data: the settings of a data set, as under `data` in a configuration.
            part: which labelled cases become the validation split.
        """
        raise UsageError(f"{self.name} cannot be evaluated on another data set")

    def submitting(self, path: Path) -> Task:
        """The same problem, whose evaluation also writes what the data set's own benchmark takes, to `path`.

        Raises:
            UsageError: there is no such benchmark.
        """
        raise UsageError("this data set has no benchmark to submit to", where="--submission", got=path)

    def with_options(self, options: Mapping[str, Any]) -> Task:
        """The same problem as the options of `vol3d predict` want it: name with `_` for dashes -> value.

        Raises:
            UsageError: an option that this task does not have, or a value that is none.
        """
        for name in options:
            raise UsageError(f"{self.name} has no such option", where=f"--{name.replace('_', '-')}")
        return self

    def require_classes(self, found: Sequence[str], where: str) -> None:
        """Checks that a data set has the model's classes, in their order.

        Raises:
            CheckpointError: it has others.
        """
        if tuple(found) != tuple(self.class_names):
            raise CheckpointError(
                "the model was trained for other classes",
                where=where,
                got=", ".join(found),
                wanted=", ".join(self.class_names),
                do="Evaluate on a data set with the model's classes, in their order.",
            )

    @abstractmethod
    def find_inputs(self, paths: Sequence[Path]) -> list[Path]:
        """Files and folders of a person -> what `predict` takes, one entry per scan."""

    def result_path(self, source: Path, out: Path) -> Path:
        """The main file that `predict` writes for `source` into `out`; where it exists, the scan is done."""
        return out / f"{source.name.split('.')[0]}.json"

    @abstractmethod
    def predict(self, models: Sequence[nn.Module], source: Path, out: Path, device: torch.device) -> dict[str, Any]:
        """Predicts one scan, writes the results into the folder `out` and returns a JSON-ready line for the table.

        Several models are an ensemble, averaged before the decision.
        """
