"""What the engine, the command line and the report know of a problem: the one contract of detectors and segmenters.

A task joins a model, a data set and a metric. It is built from validated settings and holds no training state. What it
can do is three contracts: `TrainingTask` trains, `ScoringTask` scores on any data set, `PredictionTask` takes a
person's scans. The tasks of the catalogue do all three (`CompleteTask`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vol3d.config.chosen import Unread
from vol3d.engine.device import suited_precision
from vol3d.engine.evaluation import Evaluation as Evaluation
from vol3d.engine.evaluation import Metric as Metric
from vol3d.engine.seen import Seen
from vol3d.engine.settings import PredictionSettings, RunSettings, Settings
from vol3d.engine.trained_on import TrainedOn
from vol3d.errors import UsageError
from vol3d.notes import Note
from vol3d.prediction import Beside, Prediction, Unfinished
from vol3d.scans.results.attention import AttentionMap
from vol3d.scans.source import ScanSource
from vol3d.terminal import Progress

if TYPE_CHECKING:
    from vol3d.view.theme import Background


@dataclass(frozen=True)
class Batch:
    """One step's data: tensors (or lists of tensors) for the model, and the names of the cases they came from."""

    inputs: Any
    targets: Any
    ids: tuple[str, ...]

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(_to(self.inputs, device), _to(self.targets, device), self.ids)

    def pin_memory(self) -> Batch:
        """The same batch in memory from which a GPU takes it without the host: what torch's loader asks for."""
        return Batch(_pinned(self.inputs), _pinned(self.targets), self.ids)


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


def _pinned(value: Any) -> Any:
    if hasattr(value, "pin_memory"):
        return value.pin_memory()
    if isinstance(value, dict):
        return {key: _pinned(item) for key, item in value.items()}
    return type(value)(_pinned(item) for item in value) if isinstance(value, (list, tuple)) else value


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


Part = Literal["validation", "train", "all", "test"]
"""Which labelled cases of a data set are scored; or `test`, whose labels the benchmark keeps: nothing is scored."""
Windows = Callable[[int, int], None]
"""Called as `progress(done, total)` in windows, or whatever parts a task predicts one after the other."""
Scan = TypeVar("Scan")
"""What a task predicts: a volume, or a cloud of points."""
Training = TypeVar("Training", bound="TrainingTask")


class WindowedProgress(ABC):
    """Progress over cases that is called within a case, too, where its task predicts by windows."""

    @abstractmethod
    def __call__(self, done: int, total: int, name: str) -> None:
        """Before each case."""

    @abstractmethod
    def windows(self, done: int, total: int) -> None:
        """After some of the case's windows."""


class Task(ABC):
    """A problem: its settings and its classes.

    `settings_type` is what its configuration is validated as.
    """

    settings_type: ClassVar[type[PredictionSettings]]

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the model's outputs."""


class ModelTask(Task):
    """A problem whose model is built from settings, and scored on cases of a data set.

    `name` is its key in the catalogue; `shared` names settings that the models of an ensemble must have in common.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[RunSettings]]
    shared: ClassVar[frozenset[str]] = frozenset()

    @cached_property
    def data(self) -> Any:
        """The settings of the data set; those of a checkpoint are validated only when they are first used."""
        value = self.settings.data
        return value.read() if isinstance(value, Unread) else value

    def resolved(self) -> RunSettings:
        """The settings that travel in checkpoints: with what the data set decided (class names, channels) filled in.

        A task built from these makes its model and predicts without the data set.
        """
        return self.settings

    @abstractmethod
    def model(self) -> nn.Module:
        """A freshly initialised model: `forward(inputs) -> prediction`, `loss(prediction, targets) -> dict of terms`.

        The engine sums the terms; what they are called is what the log shows.
        """

    def holding(self, model: nn.Module) -> nn.Module:
        """A network that was made elsewhere, as the module that `model` gives; most tasks run a network as it is."""
        return model

    @abstractmethod
    def evaluate(
        self, model: nn.Module, device: torch.device, progress: Progress, pictures: Background | None = None
    ) -> Evaluation:
        """Scores `model` on the validation split; `pictures` adds those of the report.

        An `nn.ModuleList` is an ensemble, averaged before the decision.
        """


class TrainingTask(ModelTask):
    """A problem that the engine trains; `starts_from` names further tasks with whose weights its model may begin."""

    starts_from: ClassVar[frozenset[str]] = frozenset()

    def recipe(self) -> RunSettings:
        """The settings that decide what a run learns: its `config.yaml`, and what may not change before it goes on."""
        return self.resolved()

    @property
    def learning(self) -> TrainingTask:
        """The task of the model that learns: this one, or that of a student."""
        return self

    def teachers(self) -> tuple[str, ...]:
        """Models that it learns from besides those that it starts from, as the settings name them."""
        return ()

    def on(self: Training, device: torch.device) -> Training:
        """With what the device decides: bfloat16 or float32 in place of `train.amp: auto`, and of fp16 on a CPU.

        A run's files state what it was, so that it predicts as it learned and does not go on elsewhere in another.
        """
        amp = suited_precision(self.settings.train.amp, device)
        if amp == self.settings.train.amp:
            return self
        train = self.settings.train.model_copy(update={"amp": amp})
        task = copy(self)
        task.settings = self.settings.model_copy(update={"train": train})
        return task

    def trunk(self, model: nn.Module) -> nn.Module:
        """The module whose children are the parts that `start_from`, `freeze` and `optim.parts` name."""
        return model

    def other_outputs(self, model: nn.Module, other: Any) -> tuple[str, ...]:
        """Layers of `trunk` whose outputs stand for something else than in the task `other`, for other classes.

        They begin anew when weights of `other` are taken over. Names, with `*` for any: `head.class_heads.*.6`.
        """
        return ()

    def adapt(self, other: Any, network: nn.Module) -> tuple[Note, ...]:
        """Makes the network of the task `other` expect what this one's is shown, in place, before it is taken over.

        Returns:
            What was converted, and what differs without being refused.

        Raises:
            UsageError: it was trained on other features, or on a scale that cannot be converted.
        """
        return ()

    def notes(self) -> tuple[Note, ...]:
        """What a person should know before the training starts."""
        return ()

    def seen(self) -> Seen | None:
        """What the training scans are like, for the checkpoint; None where a task does not measure it."""
        return None

    def trained_on(self, progress: Progress) -> TrainedOn | None:
        """The scans that a training learns from, for the checkpoint; None where a task does not record them.

        Those of weights that it starts from are not its concern. `progress` is called before each scan.
        """
        return None

    def training_module(self, model: nn.Module) -> nn.Module:
        """What the training steps: `model`, or a module that holds it and adds to its loss.

        Further weights of such a module are trained and resumed with the model's, and are in no checkpoint.
        """
        return model

    @abstractmethod
    def samples(self, progress: Progress | None = None, device: torch.device | None = None) -> Samples:
        """The training split.

        Args:
            progress: reports work that comes before the first sample.
            device: where models work that this needs; None takes CUDA where there is some.
        """

    @abstractmethod
    def overfit(self, n: int) -> TrainingTask:
        """The same problem with its first `n` training cases, unaugmented, as both training and validation split."""

    @abstractmethod
    def folds(self) -> int:
        """Number of folds of a cross-validation, of which `data.fold` chooses one; 0 for a data set without folds."""


class ScoringTask(ModelTask):
    """A problem whose model can be scored on any data set that has some of its classes; they are matched by name.

    Args:
        submission: where `evaluate` also writes what the benchmark takes; see `with_submission`.
    """

    submission: Path | None = None

    @abstractmethod
    def for_dataset(self, data: Settings, part: Part = "validation") -> ScoringTask:
        """The same problem, ready to predict and to `evaluate` on `part` of another data set.

        Args:
            data: the settings of a data set, as under `data` in a configuration.
            part: which labelled cases become the validation split; of `test`, `evaluate` writes the submission only.

        Raises:
            CheckpointError: the data set has none of the model's classes.
            DataError: it has no cases to test on.
        """

    def scored_keys(self, progress: Progress) -> tuple[str, ...]:
        """What each scored scan is known by, see `vol3d.engine.trained_on`; () where a task does not record scans."""
        return ()

    @abstractmethod
    def with_submission(self, path: Path) -> ScoringTask:
        """The same problem, whose evaluation also writes what the data set's own benchmark takes, to `path`.

        Raises:
            UsageError: there is no such benchmark.
        """


class PredictionTask(Task, Generic[Scan]):
    """A problem whose model is applied to a person's scans, files or arrays.

    `name` is what messages call it; `result_suffix` is that of the main file that a prediction is written to, `.json`;
    `unrecorded` names the settings that do not change what is in it.
    """

    name: ClassVar[str]
    result_suffix: ClassVar[str]
    unrecorded: ClassVar[frozenset[str]] = frozenset()

    def with_options(self, options: Mapping[str, Any]) -> PredictionTask[Scan]:
        """The same problem as the options of `vol3d predict` want it: name with `_` for dashes -> value.

        Raises:
            UsageError: an option that this task does not have, or a value that is none.
        """
        for name in options:
            raise UsageError(f"{self.name} has no such option", where=f"--{name.replace('_', '-')}")
        return self

    @abstractmethod
    def find_inputs(self, paths: Sequence[Path]) -> list[ScanSource]:
        """Files and folders of a person -> what `read` takes, one entry a scan."""

    @abstractmethod
    def read(self, source: ScanSource) -> Scan:
        """One scan as the task's options say.

        Raises:
            DataError: it cannot be read, or lacks what the model needs.
        """

    def attention(
        self, models: Sequence[nn.Module], scan: Scan, device: torch.device, place: np.ndarray
    ) -> AttentionMap:
        """Where the encoder looks from the encoded point nearest to a place (3,) in metres, as boxes have them.

        Raises:
            UsageError: the model has no attention among points.
        """
        do = "Take a 3DETR, or a VoteNet with encoder=transformer."
        raise UsageError("the model has no attention among points", where="--model", got=self.name, do=do)

    def writers(self, source: ScanSource) -> dict[str, Beside]:
        """What is to be written beside the main file, by the suffix of its name.

        Raises:
            UsageError: it needs what is not there.
        """
        return {}

    @abstractmethod
    def scan_of(self, value: Any, affine: np.ndarray | None) -> Scan:
        """An array, or a scan that was read before, as `read` would give it, with the same checks and notes.

        Raises:
            UsageError: an array of another form, a scan of another kind, or an affine that is missing or means nothing.
        """

    @abstractmethod
    def predict(
        self,
        models: Sequence[nn.Module],
        scan: Scan,
        device: torch.device,
        progress: Windows | None = None,
        unfinished: Unfinished | None = None,
    ) -> Prediction:
        """What the models find in one scan; several are an ensemble, averaged before the decision.

        Args:
            progress: called where one scan takes long.
            unfinished: the result to be; what is predicted in parts goes on from those that are kept beside it.
        """


class CompleteTask(TrainingTask, ScoringTask, PredictionTask[Scan]):
    """A problem of the catalogue: trained, scored and applied."""


class TakesModel(Protocol):
    """A task that can describe a model made elsewhere."""

    settings: Any

    def for_model(self, model: nn.Module) -> CompleteTask[Any]:
        """The same problem with the sizes and the classes of a model, as released weights bring them."""
        ...
