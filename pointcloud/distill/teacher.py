"""A trained detector that teaches: it predicts, never learns, and is in no checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic

import torch
from torch import Tensor, nn

from pointcloud.structures.detector import Detector, P
from vol3d.class_names import respelled, spelled_as
from vol3d.errors import UsageError


class Teacher(Generic[P]):
    """A trained detector that predicts and never learns. It is part of neither the student nor its checkpoints.

    Args:
        model: put into evaluation mode, its parameters without gradients.
    """

    @classmethod
    def of(cls, model: nn.Module) -> Teacher[Any]:
        """The model of a checkpoint as a teacher.

        Raises:
            UsageError: it finds no objects.
        """
        if not isinstance(model, Detector):
            what, got = "a teacher that finds no objects", type(model).__name__
            raise UsageError(what, where="distill.teacher", got=got, wanted="a detector")
        return Teacher(model)

    def __init__(self, model: Detector[P]) -> None:
        self.model = model.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, clouds: list[Tensor]) -> P:
        """What the model predicts for clouds, on their device."""
        return self.model.eval().to(clouds[0].device)(clouds)

    def check_classes(self, class_names: Sequence[str]) -> None:
        """Refuse a student with other classes, or with these in another order; their spelling does not count.

        Raises:
            UsageError: the two lists; names that differ in their spelling only.
        """
        own = respelled(self.model.class_names, spelled_as(self.model.class_names, class_names, "distill.teacher"))
        if tuple(class_names) != own:
            same = sorted(class_names) == sorted(own)
            raise UsageError(
                f"the teacher was trained for {'these classes in another order' if same else 'other classes'} "
                "than the student",
                where="distill.teacher",
                got=", ".join(own),
                wanted=", ".join(class_names),
                do="Train both on one data set.",
            )
