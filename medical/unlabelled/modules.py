"""What is trained where windows without labels stand beside those with labels."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medical.unlabelled.settings import UnlabelledSettings

Prediction = Tensor | list[Tensor]


class PseudoLabelled(nn.Module):
    """The loss of labelled windows, plus that of windows with pseudo labels by a weight that rises.

    Args:
        model: with `loss(prediction, target)`; what is trained without unlabelled scans.
        settings: weight and ramp.
    """

    batches: Tensor

    def __init__(self, model: nn.Module, settings: UnlabelledSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))  # so far; a resumed run goes on from there

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Prediction]:
        """Predictions for the labelled and the unlabelled windows (B, c, i, j, k)."""
        self.batches += 1
        count = len(inputs["labelled"])
        both: Prediction = self.model(torch.cat([inputs["labelled"], inputs["unlabelled"]]))
        if isinstance(both, Tensor):
            return {"labelled": both[:count], "unlabelled": both[count:]}
        return {"labelled": [one[:count] for one in both], "unlabelled": [one[count:] for one in both]}

    def loss(self, prediction: dict[str, Prediction], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms of the labelled windows by their names, and those of the others as `unlabelled_...`."""
        return {**self._terms(prediction["labelled"], targets["labelled"]), **self._unlabelled(prediction, targets)}

    def _unlabelled(self, prediction: dict[str, Any], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        terms = self._terms(prediction["unlabelled"], targets["other"])
        return {f"unlabelled_{name}": term * self.weight for name, term in terms.items()}

    def _terms(self, prediction: Prediction, target: Tensor) -> dict[str, Tensor]:
        return self.model.loss(prediction, target)  # type: ignore[operator]

    @property
    def weight(self) -> float:
        """Of the unlabelled windows in the batch at hand."""
        return self.settings.weight * risen(int(self.batches) - 1, self.settings.ramp)


class MeanTeacher(PseudoLabelled):
    """The consistency of a student with the average of its weights (Tarvainen & Valpola, NeurIPS 2017).

    The teacher moves before each batch, which is after each step of the optimiser. It is in no checkpoint.

    Args:
        network: the student's network, of which the teacher is a copy.
        regions: its outputs are overlapping regions rather than classes.
    """

    def __init__(self, model: nn.Module, network: nn.Module, settings: UnlabelledSettings, regions: bool) -> None:
        super().__init__(model, settings)
        self.regions = regions
        self.teacher = copy.deepcopy(network).requires_grad_(False)
        self._student = (network,)  # no submodule, since it is part of `model`

    def train(self, mode: bool = True) -> MeanTeacher:
        """The teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Any]:
        """As the base's, and the teacher's logits for the undistorted windows."""
        self._follow()
        with torch.no_grad():
            seen = self.teacher(inputs["other"])
        return {**super().forward(inputs), "teacher": seen}

    @torch.no_grad()
    def _follow(self) -> None:
        """The decay grows as 1 - 1 / (batches + 1) up to its setting: a teacher begins as the student."""
        decay = min(self.settings.decay, 1 - 1 / (int(self.batches) + 1))
        student = dict(self._student[0].named_parameters())
        for name, average in self.teacher.named_parameters():
            average.lerp_(student[name].detach(), 1 - decay)
        buffers = dict(self._student[0].named_buffers())
        for name, buffer in self.teacher.named_buffers():
            buffer.copy_(buffers[name])

    def _unlabelled(self, prediction: dict[str, Any], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        found = prediction["unlabelled"]
        finest = found if isinstance(found, Tensor) else found[0]
        settings = self.settings
        term = consistency(finest, prediction["teacher"] / settings.temperature, settings.threshold, self.regions)
        return {"consistency": term * self.weight}


def consistency(
    student: Float[Tensor, "b o i j k"], teacher: Float[Tensor, "b o i j k"], threshold: float, regions: bool
) -> Float[Tensor, ""]:
    """Mean over all voxels and outputs of the squared difference of the probabilities, scalar; 0 where it is unsure.

    Args:
        student, teacher: logits; no gradient flows to the teacher's.
        threshold: a voxel whose most probable answer has less of the teacher's probability counts 0.
        regions: sigmoid of each output rather than softmax.
    """
    ours = student.float().sigmoid() if regions else student.float().softmax(dim=1)
    theirs = teacher.float().sigmoid() if regions else teacher.float().softmax(dim=1)
    sure = confidence(theirs.detach(), 1, regions) >= threshold
    return ((ours - theirs.detach()).square() * sure.unsqueeze(1)).mean()


def confidence(probabilities: Tensor, dim: int, regions: bool) -> Tensor:
    """The probability of the answer along `dim`: of the most probable class, or of the least sure region's."""
    if regions:
        return torch.maximum(probabilities, 1 - probabilities).amin(dim=dim)
    return probabilities.amax(dim=dim)


def risen(batch: int, ramp: int) -> float:
    """Share of the weight in batch `batch` (0-based): exp(-5 (1 - t)^2), t = batch / ramp, and 1 from there on.

    >>> round(risen(0, 100), 4), round(risen(50, 100), 4), risen(100, 100), risen(0, 0)
    (0.0067, 0.2865, 1.0, 1.0)
    """
    return 1.0 if batch >= ramp else math.exp(-5 * (1 - batch / ramp) ** 2)
