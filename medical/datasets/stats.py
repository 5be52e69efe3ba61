"""The fingerprint of a data set: grids, intensities, class volumes, and the preprocessing that they suggest.

Intensities are those of the foreground, as in nnU-Net. Spacings and shapes are given along the patient's axes (right,
front, head), whatever the order of the axes in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import nibabel
import numpy as np

from medical.datasets.cases import IGNORED, Case, DataSplit
from medical.datasets.pairs import label_counts, read_image, read_pair
from medical.datasets.suggest import suggest
from medical.preprocess import foreground_box
from vol3d.dataset_tools.processes import over_cases
from vol3d.errors import DataError, Vol3dError
from vol3d.scans.volumes.volume import Volume
from vol3d.terminal import Progress

SAMPLE = (
    10_000  # foreground voxels of a case and channel that enter the whole set's intensities: each case counts alike
)
SEED = 12345
PERCENTILES = {"percentile_00_5": 0.5, "median": 50.0, "percentile_99_5": 99.5}


@dataclass(frozen=True)
class CaseStats:
    """One case's facts, JSON-ready, and a sample of its foreground (voxels, channels); or why it could not be read."""

    facts: dict[str, Any]
    sample: np.ndarray
    fault: str | None = None


def stats(split: DataSplit, workers: int | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """The fingerprint, JSON-ready.

    Returns:
        `name classes channels`; `cases`: a list with each case's `shape spacing_mm orientation range nonzero_box`
        (share of the volume that the box around all voxels that are not 0 takes), `intensity` of the foreground per
        channel and `volumes` (ml and share of all voxels) per class; `summary`: the same over all cases;
        `unreadable`: cases left out and why; `suggestion`: settings for `preprocess` and the reasons.

    Raises:
        DataError: no case can be read.
        Vol3dError: a worker process was killed.
    """
    cases = [*split.train, *split.validation, *split.test]
    measure = partial(case_stats, class_names=split.class_names, channel_names=split.channel_names)
    measured = over_cases(measure, cases, workers, progress)
    good = [one for one in measured if one.fault is None]
    if not good:
        do = "`vol3d data check` lists every fault."
        raise DataError("no case can be read", where=split.name, got=measured[0].fault if measured else None, do=do)
    facts = [one.facts for one in good]
    summary = _summary(facts, np.concatenate([one.sample for one in good]), split)
    return {
        "name": split.name,
        "classes": list(split.class_names),
        "channels": list(split.channel_names),
        "cases": facts,
        "summary": summary,
        "unreadable": [{"name": one.facts["name"], "why": one.fault} for one in measured if one.fault is not None],
        "suggestion": suggest(facts, summary, split.channel_names),
    }


def case_stats(case: Case, class_names: Sequence[str], channel_names: Sequence[str]) -> CaseStats:
    """What one case contributes; a case with a fault contributes the fault."""
    try:
        if case.label is None:
            image = read_image(case.images)
            return CaseStats(_grid_facts(case, image), np.empty((0, len(channel_names))))
        image, label = read_pair(case, class_names, channel_names)
    except Vol3dError as error:
        return CaseStats({"name": case.name}, np.empty((0, len(channel_names))), str(error))
    foreground = image.array[:, (label.array[0] > 0) & ~_ignored(case, label)]
    facts = _grid_facts(case, image)
    if foreground.size:
        facts["intensity"] = {name: _spread(values) for name, values in zip(channel_names, foreground, strict=True)}
    counts = label_counts(label.array[0])
    labelled = label.array.size - (0 if case.ignore is None else counts.get(IGNORED, 0))
    facts["volumes"] = {
        name: {
            "ml": counts.get(value, 0) * image.grid.voxel_volume_ml,
            "share": counts.get(value, 0) / max(labelled, 1),
        }
        for value, name in enumerate(class_names)
        if value > 0
    }
    count = foreground.shape[1]
    chosen = np.random.default_rng(SEED).choice(count, min(count, SAMPLE), replace=False)
    return CaseStats(facts, foreground[:, chosen].T.astype(np.float64))


def _ignored(case: Case, label: Volume) -> np.ndarray:
    """Voxels (i, j, k) that take no part."""
    return np.zeros(label.grid.shape, dtype=bool) if case.ignore is None else label.array[0] == IGNORED


def _grid_facts(case: Case, image: Volume) -> dict[str, Any]:
    order = nibabel.io_orientation(image.affine)[:, 0].argsort()
    box = foreground_box(image.array, None)
    inside = np.prod(np.subtract(box[1], box[0])) if box else 0
    return {
        "name": case.name,
        "shape": [image.grid.shape[axis] for axis in order],
        "spacing_mm": [round(image.grid.spacing_mm[axis], 6) for axis in order],
        "orientation": "".join(nibabel.aff2axcodes(image.affine)),
        "range": [[float(channel.min()), float(channel.max())] for channel in image.array],
        "nonzero_box": float(inside / np.prod(image.grid.shape)),
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    values = values.astype(np.float64)
    result = {"mean": float(values.mean()), "std": float(values.std())}
    found = np.percentile(values, list(PERCENTILES.values()))
    return result | {name: float(value) for name, value in zip(PERCENTILES, found, strict=True)}


def _summary(facts: list[dict[str, Any]], sample: np.ndarray, split: DataSplit) -> dict[str, Any]:
    labelled = [one["volumes"] for one in facts if "volumes" in one]
    channels = zip(split.channel_names, sample.T, strict=True)
    return {
        "cases": len(facts),
        "labelled": len(labelled),
        "shape": _range([one["shape"] for one in facts]),
        "spacing_mm": _range([one["spacing_mm"] for one in facts]),
        "orientations": dict(Counter(one["orientation"] for one in facts).most_common()),
        "nonzero_box": float(np.median([one["nonzero_box"] for one in facts])),
        "intensity": {name: _spread(values) for name, values in channels if len(values)},
        "volumes": {
            name: _class_summary([one[name] for one in labelled]) for name in split.class_names[1:] if labelled
        },
    }


def _range(rows: list[list[float]]) -> dict[str, list[float]]:
    ends = {"min": np.min(rows, axis=0), "median": np.median(rows, axis=0), "max": np.max(rows, axis=0)}
    return {name: values.tolist() for name, values in ends.items()}


def _class_summary(volumes: list[dict[str, float]]) -> dict[str, float]:
    """Over the cases where the class occurs; `share` over all."""
    ml = [one["ml"] for one in volumes if one["ml"] > 0]
    spread = {"ml_min": min(ml), "ml_median": float(np.median(ml)), "ml_max": max(ml)} if ml else {}
    return {"cases": len(ml), **spread, "share": float(np.mean([one["share"] for one in volumes]))}
