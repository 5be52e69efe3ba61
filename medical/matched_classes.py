"""A model's classes on the labels of a data set that numbers them otherwise, or annotates others: matched by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medical.classes import Classes
from medical.datasets.cases import UNUSED
from vol3d.class_names import spelled_as
from vol3d.engine.common_classes import CommonClasses, none_in_common
from vol3d.errors import CheckpointError
from vol3d.scans.volumes.volume import Segmentation


@dataclass(frozen=True)
class MatchedClasses:
    """What is scored on a data set, by the numbers of its labels.

    Args:
        names: the data set's `names[label]`, background first.
        scored: what a score is reported for -> labels of the data set that belong to it: classes and regions that both
            have, and classes of the data set alone, which are never found.
        classes: which of the model's classes or regions the data set has.
        model: names of the model's classes, background first, in the data set's spelling where it has them.
    """

    names: tuple[str, ...]
    scored: dict[str, tuple[int, ...]]
    classes: CommonClasses
    model: tuple[str, ...]

    @property
    def counted(self) -> tuple[str, ...]:
        """What the means are over."""
        return self.classes.common

    @property
    def alone(self) -> tuple[int, ...]:
        """Labels of the data set's classes that the model does not have."""
        return tuple(label for name in self.classes.not_in_model for label in self.scored[name])

    def relabelled(self, found: Segmentation) -> tuple[Segmentation, int]:
        """The model's mask in the numbers of the data set, and how many voxels of classes that it does not annotate
        have become background."""
        if self.names == self.model:
            return (found if found.class_names == self.names else replace(found, class_names=self.names)), 0
        numbers = {name: label for label, name in enumerate(self.names) if label}
        table = np.array([0, *(numbers.get(name, 0) for name in self.model[1:])])
        unknown = table == 0
        unknown[0] = False
        labels = table.astype(np.uint8)[found.labels]
        return replace(found, labels=labels, class_names=self.names), int(np.count_nonzero(unknown[found.labels]))


def match_classes(model: Classes, names: Sequence[str], where: str) -> MatchedClasses:
    """A model's classes or regions on the labels of a data set.

    A region is there if all of its classes are. Numbers that a data set uses for no class match nothing. Names match
    as in `CommonClasses`.

    Args:
        names: the data set's, background first: `names[label]`.
        where: its name.

    Raises:
        CheckpointError: it has none of the model's, or one class for all of a region.
        UsageError: names that differ in their spelling only.
    """
    if tuple(names) == model.names:
        everything = tuple(model.scored)
        return MatchedClasses(model.names, model.scored, CommonClasses(everything), model.names)
    label_of = {name: label for label, name in enumerate(names) if label and not name.startswith(UNUSED)}
    spelling = spelled_as((*model.foreground, *(model.regions or ())), tuple(label_of), where)
    model = model.respelled(spelling)
    members = _members(model)
    _refuse_regions(members, model, label_of, where)
    there = tuple(name for name, inside in members.items() if set(inside) <= label_of.keys())
    if not there:
        raise none_in_common(model.foreground, tuple(label_of), where)
    absent, further = _without(members, there), _without(label_of, model.names)
    scored = {name: tuple(label_of[one] for one in members[name]) for name in there}
    scored |= {name: (label_of[name],) for name in further}
    return MatchedClasses(tuple(names), scored, CommonClasses(there, absent, further, spelling), model.names)


def _members(model: Classes) -> dict[str, tuple[str, ...]]:
    """Class or region -> names of its classes, without numbers that stand for no class."""
    named = {name: tuple(model.names[label] for label in labels) for name, labels in model.scored.items()}
    return {name: inside for name, inside in named.items() if not name.startswith(UNUSED)}


def _without(names: Collection[str], others: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in others)


def _refuse_regions(members: Mapping[str, tuple[str, ...]], model: Classes, names: Collection[str], where: str) -> None:
    """Raises CheckpointError if a class of the data set is what the model makes of several classes."""
    for region in members:
        if model.regions is not None and region in names and region not in model.names:
            raise CheckpointError(
                "a class of the data set is a region of the model, which is made of several classes",
                where=where,
                got=region,
                wanted=", ".join(members[region]),
                do="Label the classes of the region apart, or name the class otherwise to leave it out.",
            )
