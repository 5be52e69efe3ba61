"""Every fault of a data set of scenes in one run: of its listing, of each scene, and what only all scenes show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from pointcloud.datasets.assumptions import judge_readings
from pointcloud.datasets.findings import MISREADINGS, Findings, inspect
from pointcloud.datasets.scenes import SceneSplit
from pointcloud.structures.class_sizes import known_size
from vol3d.dataset_tools.fault import ABSENT_FILE, Fault, Severity, listed
from vol3d.dataset_tools.processes import over_cases
from vol3d.terminal import Progress

ENOUGH_BOXES = 10  # fewer are no evidence about units
OFF = 1.6  # sizes that differ more from what objects of the class measure deserve a look
MORE_INSIDE = 1.1  # boxes that hold this many times more points when read otherwise were probably meant so
UNITS = {"half sizes": 0.5, "feet": 3.281, "inches": 39.37, "centimetres": 100.0, "millimetres": 1000.0}


def check(split: SceneSplit, workers: int | None = None, progress: Progress | None = None) -> list[Fault]:
    """All faults of a data set, errors first, then by scene; empty for a clean one. Never stops at the first.

    Args:
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each scene.

    Raises:
        Vol3dError: a worker process was killed.
    """
    absent = {fault.case for fault in split.listing if fault.code == ABSENT_FILE}
    readers = {one.name: one for part in _PARTS for one in getattr(split, part) if one.name not in absent}
    findings = over_cases(inspect, list(readers.values()), workers, progress)
    faults = [*split.listing, *(fault for found in findings for fault in found.faults)]
    faults += [*_no_validation(split), *_names(split), *_twins(split, findings), *_absent_classes(split, findings)]
    faults += [*_sizes(split, findings), *_misread(split, findings)]
    faults += judge_readings(split.name, [reading for found in findings for reading in found.readings])
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.severity, fault.case))


_PARTS = ("train", "validation", "test")


def _no_validation(split: SceneSplit) -> Iterator[Fault]:
    if split.train and not split.validation:
        do = "Name some scenes for validation if a model is to be trained on the others."
        what = "no scene is held out for validation, which training needs"
        yield Fault(split.name, "warning", what, do, code="no-validation-scene")


def _names(split: SceneSplit) -> Iterator[Fault]:
    """Scenes of one name, within a part or in two."""
    parts = defaultdict(list)
    for part in _PARTS:
        for reader in getattr(split, part):
            parts[reader.name].append(part)
    for name, where in parts.items():
        if len(where) > 1:
            both = " and ".join(dict.fromkeys(where))
            what = f"the scene is in {both}" if len(set(where)) > 1 else f"the scene is in {both} {len(where)} times"
            do, numbers = "List it once: a score on training scenes is meaningless.", {"times": len(where)}
            yield Fault(name, "error", what, do, code="duplicate-scene", numbers=numbers)


def _twins(split: SceneSplit, findings: Sequence[Findings]) -> Iterator[Fault]:
    """Different scenes with the same points."""
    part = {reader.name: part for part in _PARTS for reader in getattr(split, part)}
    groups = defaultdict(set)
    for found in findings:
        if found.point_hash is not None:
            groups[found.point_hash].add(found.scene)
    for group in groups.values():
        first, *others = sorted(group)
        if others:
            parts = sorted({part[name] for name in group})
            what = f"the same points as {listed(others)}" + (f", in {' and '.join(parts)}" if len(parts) > 1 else "")
            severity: Severity = "error" if len(parts) > 1 else "warning"
            yield Fault(first, severity, what, "Keep one of them.", code="same-points-twice")


def _absent_classes(split: SceneSplit, findings: Sequence[Findings]) -> Iterator[Fault]:
    if _is_bare(split, findings):
        do = "Annotate some, or predict only: there is nothing to train on and nothing to score."
        yield Fault(split.name, "error", "no scene has an annotated box", do, code="no-boxes")
        return
    train = {reader.name for reader in split.train}
    occurring = {int(label) for found in findings if found.scene in train for label in found.labels}
    absent = [name for label, name in enumerate(split.class_names) if label not in occurring]
    if train and absent:
        what = f"no training scene has a box of {len(absent)} classes: {listed(absent)}"
        do, numbers = "Check the labels' names, or remove the classes.", {"classes": len(absent)}
        yield Fault(split.name, "warning", what, do, code="absent-classes", numbers=numbers)


def _is_bare(split: SceneSplit, findings: Sequence[Findings]) -> bool:
    """Whether scenes can be read and none of them has a box, where no error of the listing explains it."""
    labelled = {reader.name for reader in split.labelled}
    readable = [found for found in findings if found.scene in labelled and found.point_hash is not None]
    if not readable or any(len(found.labels) for found in readable):
        return False
    return all(fault.severity != "error" for fault in split.listing)


def _sizes(split: SceneSplit, findings: Sequence[Findings]) -> Iterator[Fault]:
    """Sizes beside those that objects of the same class have in the published data sets."""
    boxes = np.concatenate([np.zeros((0, 7)), *(found.boxes[:, :7] for found in findings)])
    labels = np.concatenate([np.zeros(0, np.int64), *(found.labels for found in findings)])
    turned = bool(np.abs(boxes[:, 6]).max(initial=0) > 1e-3)
    known = {label: known_size(name, turned) for label, name in enumerate(split.class_names)}
    rows = [(box, known[label]) for box, label in zip(boxes, labels, strict=True) if known[label] is not None]
    if len(rows) < ENOUGH_BOXES:
        return
    # Footprints and heights apart: a wrong unit changes both alike, exchanged axes do not.
    got, usual = np.array([box[3:6] for box, _ in rows]), np.array([size for _, size in rows])
    log_ratio = np.median(np.log(got) - np.log(usual), axis=0)
    flat, high = float(np.exp(log_ratio[:2].mean())), float(np.exp(log_ratio[2]))
    if max(flat / high, high / flat) > OFF**2:
        what = f"footprints are {flat:.2g} times and heights {high:.2g} times what objects of these classes measure"
        do, numbers = "Check the order of the sizes: length, width, height.", {"footprints": flat, "heights": high}
        yield Fault(split.name, "warning", what, do, code="sizes-exchanged", numbers=numbers)
    elif max(flat, 1 / flat) > OFF:
        scale = float(np.sqrt(flat * high))
        near = min(UNITS, key=lambda name: abs(np.log(scale / UNITS[name])))
        hint = f" They look like {near}." if abs(np.log(scale / UNITS[near])) < np.log(1.3) else ""
        what = f"boxes are {scale:.3g} times as large as objects of these classes are"
        do = f"Sizes are full lengths in metres.{hint}"
        yield Fault(split.name, "warning", what, do, code="sizes-of-another-scale", numbers={"scale": scale})


def _misread(split: SceneSplit, findings: Sequence[Findings]) -> Iterator[Fault]:
    """Boxes that would hold more points if their numbers were meant otherwise."""
    as_they_are, *otherwise = np.sum([np.zeros(1 + len(MISREADINGS), np.int64), *(f.inside for f in findings)], axis=0)
    for name, inside in zip(MISREADINGS, otherwise, strict=True):
        if inside > MORE_INSIDE * max(as_they_are, 1):
            times = float(inside / max(as_they_are, 1))
            what = f"boxes hold {times:.2g} times as many points when read as '{name}'"
            do = "Boxes are centre x y z, length width height, yaw counter-clockwise from +x: check how they were made."
            yield Fault(split.name, "warning", what, do, code="boxes-misread", numbers={"times": times})
