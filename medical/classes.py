"""What a network's outputs stand for: one class each (softmax), or overlapping regions made of classes (sigmoid)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medical.datasets.cases import IGNORED, MOST_LABELS
from vol3d.class_names import respelled, spelled_as
from vol3d.errors import UsageError


@dataclass(frozen=True)
class Classes:
    """The labels of a task and how the network predicts them.

    Without `regions` the network has one output per class, softmax, and the label is the argmax. With `regions` it has
    one sigmoid output per region; a voxel takes the label that its last region present (probability above 0.5) stands
    for, so regions are listed from the largest to the smallest: whole tumour, tumour core, enhancing tumour.

    Args:
        names: `names[label]`, background first.
        regions: region -> names of its classes, or None.

    Raises:
        UsageError: no class, a class named twice, a region of an unknown class, or a region that does not add exactly
            one class to the regions listed after it (the written label would not be known).
    """

    names: tuple[str, ...]
    regions: Mapping[str, tuple[str, ...]] | None = None

    def __post_init__(self) -> None:
        if not 2 <= len(set(self.names)) == len(self.names) <= MOST_LABELS:
            wanted = f"2 to {MOST_LABELS} names"
            raise UsageError("class names must be unique", where="classes", got=self.names, wanted=wanted)
        if self.regions is not None:
            _check_regions(self.names, self.regions)

    @property
    def foreground(self) -> tuple[str, ...]:
        """Names of all classes but the background."""
        return self.names[1:]

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the network's outputs."""
        return self.names if self.regions is None else tuple(self.regions)

    @property
    def outputs(self) -> int:
        """Number of the network's outputs."""
        return len(self.output_names)

    @property
    def scored(self) -> dict[str, tuple[int, ...]]:
        """What metrics are reported for: each foreground class, or each region -> the labels that belong to it."""
        if self.regions is None:
            return {name: (label,) for label, name in enumerate(self.names) if label > 0}
        return {region: self._labels(members) for region, members in self.regions.items()}

    @property
    def counted(self) -> tuple[str, ...]:
        """What the means of the scores are over: all that is scored."""
        return tuple(self.scored)

    @property
    def written_labels(self) -> tuple[int, ...]:
        """Per output, the label that it writes: a class writes itself, a region the class it adds to those after it."""
        if self.regions is None:
            return tuple(range(len(self.names)))
        regions = list(self.regions.values())
        return tuple(self._labels(_added(members, regions[r + 1 :]))[0] for r, members in enumerate(regions))

    def respelled(self, spelling: Mapping[str, str]) -> Classes:
        """The same with other names for classes and regions: name -> new name."""
        if self.regions is None:
            return Classes(respelled(self.names, spelling))
        regions = {spelling.get(region, region): respelled(inside, spelling) for region, inside in self.regions.items()}
        return Classes(respelled(self.names, spelling), regions)

    def is_alike(self, other: Classes, where: str) -> bool:
        """Whether outputs stand for the same, however classes are spelled. Raises UsageError as `spelled_as`."""
        mine, theirs = ((*one.names, *(one.regions or ())) for one in (self, other))
        return self.respelled(spelled_as(mine, theirs, where)) == other

    def one_hot(self, labels: np.ndarray) -> np.ndarray:
        """Labels (i, j, k) -> targets of the network's outputs (outputs, i, j, k): 0, 1, or `IGNORED`."""
        members = self.scored.values() if self.regions is not None else [(n,) for n in range(len(self.names))]
        targets = np.stack([np.isin(labels, labels_of) for labels_of in members]).astype(np.uint8)
        targets[:, labels == IGNORED] = IGNORED
        return targets

    def _labels(self, members: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self.names.index(name) for name in members)


def _added(members: tuple[str, ...], later: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Classes of a region that no later region has."""
    return tuple(name for name in members if not any(name in other for other in later))


def _check_regions(names: tuple[str, ...], regions: Mapping[str, tuple[str, ...]]) -> None:
    if not regions:
        raise UsageError("no region is listed", where="classes.regions", wanted="at least one, or null")
    listed = list(regions.items())
    for r, (region, members) in enumerate(listed):
        unknown = [name for name in members if name not in names[1:]]
        if unknown:
            raise UsageError(f"region '{region}' has unknown classes", got=unknown, wanted=f"some of {names[1:]}")
        added = _added(members, [other for _, other in listed[r + 1 :]])
        if len(added) != 1:
            raise UsageError(
                f"region '{region}' must add exactly one class to the regions after it",
                got=added or "none",
                do="List regions from the largest to the smallest, each with one class more than the next.",
            )
