"""Every fault of a data set of scenes in one run: of its listing, of each scene, and what only all scenes show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from pointcloud.datasets.assumptions import judge_readings
from pointcloud.datasets.findings import Findings, inspect
from pointcloud.datasets.misreadings import judge_readings_of_boxes
from pointcloud.datasets.places import judge_empty, judge_ground
from pointcloud.datasets.scenes import NamesOthers, SceneSplit, counted, names_respelled, repeated
from pointcloud.datasets.sizes import judge_outliers, judge_sizes
from vol3d.class_names import spelled_alike
from vol3d.dataset_tools.fault import ABSENT_FILE, Fault, Severity, listed
from vol3d.dataset_tools.processes import over_cases
from vol3d.terminal import Progress

OVER, FAR_BELOW = 1.05, 50.0  # intensities further beyond their scale, or in so small a part of it, are on another
_PARTS = ("train", "validation", "test")


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
    faults += [
        *_empty_parts(split),
        *repeated({part: getattr(split, part) for part in _PARTS}),
        *_twins(split, findings),
        *_absent_classes(split, findings),
    ]
    faults += [*_alike_names(split), *_other_names(split, findings), *_of_all_boxes(split, findings)]
    faults += _intensities(split, findings)
    faults += judge_readings(split.name, [reading for found in findings for reading in found.readings])
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.severity, fault.case))


def _empty_parts(split: SceneSplit) -> Iterator[Fault]:
    """Parts without a scene that a training needs; a test set alone needs none."""
    if split.validation and not split.train:
        do = "Add training scenes if a model is to be trained; an evaluation needs none."
        yield Fault(split.name, "warning", "there is no training scene", do, code="no-training-scene")
    if split.train and not split.validation:
        do = "Name some scenes for validation if a model is to be trained on the others."
        what = "no scene is held out for validation, which training needs"
        yield Fault(split.name, "warning", what, do, code="no-validation-scene")


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
        yield _no_boxes(split, findings)
        return
    train = {reader.name for reader in split.train}
    occurring = {int(label) for found in findings if found.scene in train for label in found.labels}
    absent = [name for label, name in enumerate(split.class_names) if label not in occurring]
    if train and absent:
        what = f"no training scene has a box of {len(absent)} class{'es' * (len(absent) > 1)}: {listed(absent)}"
        do, numbers = "Check the labels' names, or remove the classes.", {"classes": len(absent)}
        yield Fault(split.name, "warning", what, do, code="absent-classes", numbers=numbers)


def _no_boxes(split: SceneSplit, findings: Sequence[Findings]) -> Fault:
    names = Counter(name for found in findings for name in found.others)
    what = f"no scene has an annotated box{f'; what is annotated is {counted(names)}' if names else ''}"
    do = "Annotate some, or predict only: there is nothing to train on and nothing to score."
    return Fault(split.name, "error", what, do, code="no-boxes", numbers={"other_objects": names.total()})


def _is_bare(split: SceneSplit, findings: Sequence[Findings]) -> bool:
    """Whether scenes can be read and none of them has a box, where no error of the listing explains it."""
    labelled = {reader.name for reader in split.labelled}
    readable = [found for found in findings if found.scene in labelled and found.point_hash is not None]
    if not readable or any(len(found.labels) for found in readable):
        return False
    return all(fault.severity != "error" for fault in split.listing)


def _alike_names(split: SceneSplit) -> Iterator[Fault]:
    """Classes that differ in their spelling only."""
    for names in spelled_alike(split.class_names):
        what, do = f"classes differ in their spelling only: {listed(names)}", "Give objects of one class one name."
        yield Fault(split.name, "warning", what, do, code="classes-spelled-alike", numbers={"classes": len(names)})


def _other_names(split: SceneSplit, findings: Sequence[Findings]) -> Iterator[Fault]:
    """Annotated objects of no class, but for those that the data set is known to have; classes in another spelling."""
    readers = [one for part in _PARTS for one in getattr(split, part) if isinstance(one, NamesOthers)]
    usual = set(readers[0].usual_others) if readers else set()
    names = Counter(name for found in findings for name in found.others if name not in usual)
    if names:
        what = f"{names.total()} objects are of no class and are left out: {counted(names)}"
        do = "If they belong to a class, give them its name, or add the class."
        numbers = {"objects": names.total(), "names": len(names)}
        yield Fault(split.name, "warning", what, do, code="objects-of-no-class", numbers=numbers)
    respelled = Counter(name for found in findings for name in found.respelled)
    if respelled:
        what, do = names_respelled(respelled), "Other programs may take them for objects of no class: rename them."
        numbers = {"objects": respelled.total(), "names": len(respelled)}
        yield Fault(split.name, "warning", what, do, code="classes-spelled-otherwise", numbers=numbers)


def _of_all_boxes(split: SceneSplit, findings: Sequence[Findings]) -> Iterator[Fault]:
    """What only the boxes of all scenes show."""
    together = {
        name: np.concatenate([getattr(found, name)[..., :columns] for found in (Findings(""), *findings)])
        for name, columns in (("boxes", 7), ("labels", None), ("inside", None), ("above_ground", None))
    }
    sizes, labels = together["boxes"][:, 3:6].astype(np.float64), together["labels"]
    turned = bool(np.abs(together["boxes"][:, 6]).max(initial=0) > 1e-3)
    scenes = [found.scene for found in findings for _ in found.labels]
    counted_ones = [found for found in findings if len(found.points_in_boxes) == len(found.labels)]
    points = np.concatenate([Findings("").points_in_boxes, *(found.points_in_boxes for found in counted_ones)])

    yield from judge_sizes(split.name, split.class_names, sizes, labels, turned)
    yield from judge_outliers(split.class_names, sizes, labels, scenes)
    yield from judge_readings_of_boxes(split.name, together["inside"])
    yield from judge_empty(split.name, points)
    if len(together["above_ground"]) == len(labels):
        yield from judge_ground(split.name, split.class_names, labels, together["above_ground"])


def _intensities(split: SceneSplit, findings: Sequence[Findings]) -> Iterator[Fault]:
    """A scale of intensities that is not the data set's."""
    found = [one.max_intensity for one in findings if one.max_intensity is not None]
    end = split.max_intensity
    if end is None or not found:
        return
    most = max(found)
    if most > OVER * end or most <= end / FAR_BELOW:
        what = f"intensities end at {most:.4g} where those of {split.name} end at {end:g}"
        do = "Bring them to that scale if models of the published data are to see these points."
        yield Fault(split.name, "warning", what, do, code="intensity-of-another-scale", numbers={"max": most})
