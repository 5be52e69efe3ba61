"""Sizes of boxes beside those of the same class: in the published data sets, and in the data set itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np

from pointcloud.structures.class_sizes import Size, street_size, usual_size
from vol3d.dataset_tools.fault import Fault, listed

ENOUGH_BOXES = 10  # fewer are no evidence
OFF = 1.6  # sizes that differ more from what objects of the class measure deserve a look
BETTER, WORSE = math.log(1.5), -math.log(1.2)  # by which another order fits one class, and the worst fit of any other
FAR_OFF, DEVIATIONS = math.log(2.0), 6.0  # beyond both of these a box is unlike the others of its class
UNITS = {"half sizes": 0.5, "feet": 3.281, "inches": 39.37, "centimetres": 100.0, "millimetres": 1000.0}
_AXES = ("length", "width", "height")


def judge_sizes(data_set: str, class_names: Sequence[str], sizes: np.ndarray, labels: np.ndarray,
                turned: bool) -> Iterator[Fault]:  # fmt: skip
    """Whether sizes (K, 3) l w h stand in another order, or are of another scale, than those of the published sets.

    Args:
        data_set: its name.
        class_names: of the labels (K,).
        turned: whether boxes have a heading, along which lengths are measured.
    """
    order = _other_order(class_names, sizes, labels)
    if order is not None:
        meant = ", ".join(_AXES[axis] for axis in order)
        what = f"what is read as length, width, height looks like {meant}"
        numbers = {f"{name}_m": float(np.median(sizes[:, axis])) for axis, name in enumerate(_AXES)}
        do = "Check the order of the sizes in the label files."
        yield Fault(data_set, "warning", what, do, code="sizes-exchanged", numbers=numbers)
        return
    usual = {label: usual_size(name, turned) for label, name in enumerate(class_names)}
    known = np.array([usual[label] is not None for label in labels.tolist()], np.bool_)
    if known.sum() >= ENOUGH_BOXES:
        yield from _scale(data_set, sizes[known], np.array([usual[label] for label in labels[known].tolist()]))


def _scale(data_set: str, got: np.ndarray, usual: np.ndarray) -> Iterator[Fault]:
    # Footprints and heights apart: a wrong unit changes both alike, exchanged axes do not.
    log_ratio = np.median(np.log(got) - np.log(usual), axis=0)
    flat, high = float(np.exp(log_ratio[:2].mean())), float(np.exp(log_ratio[2]))
    if max(flat / high, high / flat) > OFF**2:
        what = f"footprints are {flat:.2g} times and heights {high:.2g} times what objects of these classes measure"
        do, numbers = "Check the order of the sizes: length, width, height.", {"footprints": flat, "heights": high}
        yield Fault(data_set, "warning", what, do, code="sizes-exchanged", numbers=numbers)
    elif max(flat, 1 / flat) > OFF:
        scale = float(np.sqrt(flat * high))
        near = min(UNITS, key=lambda name: abs(np.log(scale / UNITS[name])))
        hint = f" They look like {near}." if abs(np.log(scale / UNITS[near])) < np.log(1.3) else ""
        what = f"boxes are {scale:.3g} times as large as objects of these classes are"
        do = f"Sizes are full lengths in metres.{hint}"
        yield Fault(data_set, "warning", what, do, code="sizes-of-another-scale", numbers={"scale": scale})


def _other_order(class_names: Sequence[str], sizes: np.ndarray, labels: np.ndarray) -> tuple[int, ...] | None:
    """What the three columns are, if objects on streets have their usual sizes in another order only.

    Each class has its say: a car is as wide as it is high, a pedestrian is not.
    """
    found: list[tuple[Size, np.ndarray]] = []
    for label, name in enumerate(class_names):
        usual, mine = street_size(name), sizes[labels == label]
        if usual is not None and len(mine) >= ENOUGH_BOXES:
            found.append((usual, np.median(np.log(mine), axis=0)))
    best, most = None, 0.0
    for order in permutations(range(3)):
        gains = [_misfit(log, usual, (0, 1, 2)) - _misfit(log, usual, order) for usual, log in found]
        if gains and max(gains) > BETTER and min(gains) > WORSE and sum(gains) > most:
            best, most = order, sum(gains)
    return best


def _misfit(log: np.ndarray, usual: Size, order: Sequence[int]) -> float:
    """How far columns are from the usual sizes, if column i is axis order[i]."""
    return float(np.abs(log - np.log(np.array(usual)[list(order)])).sum())


def judge_outliers(class_names: Sequence[str], sizes: np.ndarray, labels: np.ndarray,
                   scenes: Sequence[str]) -> Iterator[Fault]:  # fmt: skip
    """Boxes of a size unlike that of the others of their class, a warning for each scene.

    Only of classes that are found on streets: objects in rooms have all sizes.

    Args:
        scenes: the scene of each box.
    """
    odd = np.zeros(len(labels), np.bool_)
    for label, name in enumerate(class_names):
        mine = np.flatnonzero(labels == label)
        if street_size(name) is not None and len(mine) >= ENOUGH_BOXES:
            away = np.log(sizes[mine]) - np.median(np.log(sizes[mine]), axis=0)
            spread = 1.4826 * np.median(np.abs(away), axis=0)
            odd[mine] = (np.abs(away) > np.maximum(FAR_OFF, DEVIATIONS * spread)).any(axis=1)
    wrong = np.flatnonzero(odd).tolist()
    for scene in dict.fromkeys(scenes[row] for row in wrong):
        rows = [row for row in wrong if scenes[row] == scene]
        shown = [f"{class_names[labels[row]]} {' x '.join(f'{side:.3g}' for side in sizes[row])} m" for row in rows]
        what = f"{len(rows)} boxes have sizes unlike others of their class: {listed(shown, 3)}"
        do = "Check the unit and the order of their sizes."
        yield Fault(scene, "warning", what, do, code="size-unlike-its-class", numbers={"boxes": len(rows)})
