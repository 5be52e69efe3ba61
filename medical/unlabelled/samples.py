"""Labelled windows with unlabelled ones beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medical.distortions import shade
from medical.training_set import PreparedCase, Window, WindowSamples
from vol3d.engine.task import Batch, Samples


@dataclass(frozen=True)
class UnlabelledWindow:
    """What the student sees, and what it is compared with.

    Args:
        image: (c, i, j, k), distorted.
        other: the same window undistorted, for a teacher; or its pseudo labels (1 or regions, i, j, k).
        name: of the scan.
    """

    image: Tensor
    other: Tensor
    name: str


class MixedSamples(Samples):
    """The samples of a training with labels, each with `count` windows of scans without them.

    An epoch shows every labelled sample once; the unlabelled scans are drawn. The labelled windows are those of the
    training without unlabelled scans, to the bit.

    Args:
        labelled: the training's own samples.
        names: the unlabelled scans, in a fixed order.
        read: name -> prepared scan; its label is its pseudo label, if there are such.
        count: unlabelled windows beside each labelled one.
        pseudo: the labels are pseudo labels; else there are none, and the undistorted window is kept.
    """

    def __init__(
        self,
        labelled: WindowSamples,
        names: Sequence[str],
        read: Callable[[str], PreparedCase],
        count: int,
        pseudo: bool,
    ) -> None:
        self.labelled, self.names, self.read, self.count, self.pseudo = labelled, tuple(names), read, count, pseudo

    def __len__(self) -> int:
        return len(self.labelled)

    def name(self, index: int) -> str:
        """The labelled case that sample `index` is cut from."""
        return self.labelled.name(index)

    def sample(self, index: int, rng: np.random.Generator) -> tuple[Window, list[UnlabelledWindow]]:
        """A labelled window, and unlabelled ones of scans that are drawn after it."""
        window = self.labelled.sample(index, rng)
        drawn = [self.names[int(rng.integers(len(self.names)))] for _ in range(self.count)]
        return window, [self._unlabelled(self.read(name), rng) for name in drawn]

    def _unlabelled(self, case: PreparedCase, rng: np.random.Generator) -> UnlabelledWindow:
        if self.pseudo:
            window = self.labelled.window(case, rng)
            return UnlabelledWindow(window.image, window.target, case.name)
        augment = self.labelled.augment
        plain, _ = augment.moved(case.image, case.label, rng)
        return UnlabelledWindow(shade(plain, augment.settings, rng).contiguous(), plain.contiguous(), case.name)

    def collate(self, samples: Sequence[tuple[Window, list[UnlabelledWindow]]]) -> Batch:
        """Images of both kinds, and the targets of those that have some."""
        batch = self.labelled.collate([window for window, _ in samples])
        windows = [one for _, beside in samples for one in beside]
        others = torch.stack([one.other for one in windows])
        inputs = {"labelled": batch.inputs, "unlabelled": torch.stack([one.image for one in windows])}
        targets = {"labelled": batch.targets}
        (targets if self.pseudo else inputs)["other"] = others
        return Batch(inputs, targets, (*batch.ids, *(one.name for one in windows)))
