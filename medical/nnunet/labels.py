"""What the outputs of an nnU-Net model stand for: the `labels` of its `dataset.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vol3d.errors import CheckpointError

IGNORE, BACKGROUND = "ignore", "background"
MOST_LABELS = 1 << 16


@dataclass(frozen=True)
class Labels:
    """Labels of a model.

    Without regions output i is label i (softmax). With regions output i is the i-th region in the order of the file
    (sigmoid), and a voxel takes `written[i]` of the last region that it lies in.

    Args:
        names: `names[label]` for each label that a mask can hold, background first.
        values: all labels that occur, ascending, with 0.
        regions: names of the outputs, or None.
        written: with regions, the label that each output paints.
        members: with regions, the labels of a mask that belong to each: what it paints, and what regions in it paint.
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    regions: tuple[str, ...] | None = None
    written: tuple[int, ...] = ()
    members: tuple[tuple[int, ...], ...] = ()

    @property
    def outputs(self) -> int:
        """Number of the network's outputs."""
        return len(self.names) if self.regions is None else len(self.regions)

    @property
    def foreground(self) -> tuple[int, ...]:
        """Labels but 0: each is a channel of the next stage of a cascade."""
        return self.values[1:]


def read_labels(dataset: Mapping[str, Any], path: Path) -> Labels:
    """The labels of a `dataset.json` that was read from `path`.

    Raises:
        CheckpointError: no labels, labels that are not numbered from 0 without gaps, regions without their order.
    """
    labels = dataset.get("labels")
    if not isinstance(labels, dict) or BACKGROUND not in labels:
        wanted = '{"background": 0, "liver": 1}'
        do = "A dataset.json with numbers as keys is of nnU-Net v1, whose models are not read."
        raise CheckpointError("no 'background' in 'labels'", where=path, got=labels, wanted=wanted, do=do)
    members = {name: _members(name, value, path) for name, value in labels.items() if name != IGNORE}
    if members.pop(BACKGROUND) != (0,):
        raise CheckpointError("the background is not label 0", where=path, got=labels[BACKGROUND])
    named = {name: group for name, group in members.items() if set(group) != {0}}
    values = tuple(sorted({0}.union(*named.values())))
    if any(len(group) > 1 for group in members.values()):
        return _regions(named, values, dataset.get("regions_class_order"), path)
    if values != tuple(range(len(values))):
        raise CheckpointError("labels have gaps", where=path, got=values, wanted="0, 1, 2, ...")
    return Labels(tuple(_name(label, named) for label in values), values)


def _members(name: str, value: Any, path: Path) -> tuple[int, ...]:
    """The labels of an entry, a number or a list of numbers."""
    entries = value if isinstance(value, list) else [value]
    try:
        found = tuple(int(entry) for entry in entries)
    except (TypeError, ValueError):
        found = ()
    if not found or any(not 0 <= label < MOST_LABELS for label in found):
        wanted = f"a whole number from 0 to {MOST_LABELS - 1}, or a list of some"
        raise CheckpointError(f"the label '{name[:80]}' is no number", where=path, got=value, wanted=wanted)
    return found


def _name(label: int, named: Mapping[str, tuple[int, ...]]) -> str:
    return "/".join(name for name, group in named.items() if label in group) or BACKGROUND


def _regions(named: Mapping[str, tuple[int, ...]], values: tuple[int, ...], order: Any, path: Path) -> Labels:
    """Each output paints one label; what the label means is its region without those that are painted over it."""
    if not isinstance(order, list) or len(order) != len(named) or not all(_is_label(label) for label in order):
        wanted = f"{len(named)} labels, one for each region"
        raise CheckpointError("regions, and no fitting 'regions_class_order'", where=path, got=order, wanted=wanted)
    names = [BACKGROUND, *(f"label {label}" for label in range(1, max(order) + 1))]
    meanings: dict[int, list[str]] = {}
    for number, (region, group) in enumerate(named.items()):
        over = [other for other in list(named)[number + 1 :] if set(named[other]) & set(group)]
        meanings.setdefault(order[number], []).append(f"{region} without {' and '.join(over)}" if over else region)
    meanings.pop(0, None)  # a region that paints background
    for label, several in meanings.items():
        names[label] = "/".join(several)
    return Labels(tuple(names), values, tuple(named), tuple(order), _painted([*map(set, named.values())], order))


def _painted(groups: Sequence[set[int]], order: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The labels in a mask of each region: its own, and those of the regions within it."""
    within = ([label for label, part in zip(order, groups, strict=True) if part <= group] for group in groups)
    return tuple(tuple(sorted(set(labels))) for labels in within)


def _is_label(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_LABELS
