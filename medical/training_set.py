"""The training split as windows: prepared volumes in memory or mapped from disk, cut and distorted on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medical.augment import Augment
from medical.classes import Classes
from vol3d.engine.task import Batch, Samples


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

    def sample(self, index: int, rng: np.random.Generator) -> Window:
        """A window of case `index` (modulo the number of cases), drawn with `rng`."""
        case = self.read(self.names[index % len(self.names)])
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
