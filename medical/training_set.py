"""The training split as windows: prepared volumes in memory or mapped from disk, cut and distorted on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medical.augment import Augment
from medical.classes import Classes
from medical.datasets.cases import Case
from medical.datasets.pairs import read_pair
from medical.datasets.prepared import Prepared
from medical.preprocess import PreprocessSettings, prepare, prepare_labels
from vol3d.engine.task import Batch, Samples
from vol3d.errors import DataError
from vol3d.memory import free_memory


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A training case on the network's grid: image (c, i, j, k) float, label (1, i, j, k) integer."""

    name: str
    image: np.ndarray
    label: np.ndarray


@dataclass(frozen=True)
class Window:
    """One training sample: image (c, i, j, k), target (1, i, j, k) or (regions, i, j, k)."""

    image: Tensor
    target: Tensor
    name: str


def prepare_in_memory(
    cases: Sequence[Case], class_names: Sequence[str], channel_names: Sequence[str], preprocess: PreprocessSettings
) -> Callable[[str], PreparedCase]:
    """Reads and prepares all cases now, and returns what looks them up by name.

    Raises:
        DataError: a case cannot be read, or all of them need more than half of the memory that is free.
    """
    prepared = (prepare_case(case, class_names, channel_names, preprocess) for case in cases)
    return held_in_memory(prepared, len(cases))


def held_in_memory(cases: Iterable[PreparedCase], count: int) -> Callable[[str], PreparedCase]:
    """Takes `count` prepared cases as they come, and returns what looks them up by name.

    Raises:
        DataError: all of them need more than half of the memory that is free.
    """
    ready: dict[str, PreparedCase] = {}
    room, used = free_memory() // 2, 0
    for case in cases:
        ready[case.name] = case
        used += case.image.nbytes + case.label.nbytes
        if used > room:
            raise DataError(
                "the prepared volumes do not fit into memory",
                got=f"{used >> 20} MiB after {len(ready)} of {count} cases",
                wanted=f"at most {room >> 20} MiB, half of what is free",
                do="Run `vol3d data prepare` once and set `prepared` to the folder that it wrote.",
            )
    return ready.__getitem__


def map_prepared(prepared: Prepared) -> Callable[[str], PreparedCase]:
    """Looks up cases in a folder of `vol3d data prepare`; only what a window needs is read from disk."""
    return lambda name: PreparedCase(name, *prepared.read(name))


def prepare_case(
    case: Case, class_names: Sequence[str], channel_names: Sequence[str], preprocess: PreprocessSettings
) -> PreparedCase:
    """Reads a case and brings image and label to the network's grid."""
    image, label = read_pair(case, class_names, channel_names)
    prepared = prepare(image, preprocess)
    return PreparedCase(case.name, prepared.array, prepare_labels(label, prepared.grid).array)


class WindowSamples(Samples):
    """`per_volume` windows of each case in an epoch.

    Args:
        names: the cases, in a fixed order.
        read: name -> prepared case; cheap, as it is called for each sample.
        augment: cuts and distorts.
        classes: what the outputs stand for.
    """

    def __init__(
        self, names: Sequence[str], read: Callable[[str], PreparedCase], augment: Augment, classes: Classes
    ) -> None:
        self.names, self.read, self.augment, self.classes = tuple(names), read, augment, classes

    def __len__(self) -> int:
        return len(self.names) * self.augment.crop.per_volume

    def name(self, index: int) -> str:
        """The case that sample `index` is cut from."""
        return self.names[index % len(self.names)]

    def sample(self, index: int, rng: np.random.Generator) -> Window:
        """A window of case `index` (modulo the number of cases), drawn with `rng`."""
        return self.window(self.read(self.name(index)), rng)

    def window(self, case: PreparedCase, rng: np.random.Generator) -> Window:
        """A window of any case, cut and distorted as the samples are."""
        image, label = self.augment(case.image, case.label, rng)
        if self.classes.regions is not None:
            label = torch.from_numpy(self.classes.one_hot(label[0].numpy()))
        return Window(image, label, case.name)

    def collate(self, samples: Sequence[Window]) -> Batch:
        """Windows -> batch of images (B, c, i, j, k) and targets."""
        return Batch(
            torch.stack([sample.image for sample in samples]),
            torch.stack([sample.target for sample in samples]),
            tuple(sample.name for sample in samples),
        )
