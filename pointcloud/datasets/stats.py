"""What a data set of scenes holds: points and extents of the scenes, numbers, sizes and points of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pointcloud.datasets.findings import Findings, inspect
from pointcloud.datasets.scenes import SceneSplit
from pointcloud.structures.class_sizes import known_size
from vol3d.dataset_tools.processes import over_cases
from vol3d.dataset_tools.tables import Table, flatten, left_out
from vol3d.errors import DataError
from vol3d.terminal import Progress

_USUAL = "published mean (m)"


def stats(split: SceneSplit, workers: int | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """The description, JSON-ready.

    Returns:
        `name`; `parts`: scenes in each; `summary`: spread of points, extents and boxes over the scenes; `classes`: per
        class the boxes, the scenes that have some, mean and deviation of the size, the mean that is known from the
        published data sets, the spread of the points in a box; `scenes`: points, extent, boxes of each; `unreadable`:
        scenes left out and why.

    Raises:
        DataError: no scene can be read.
        Vol3dError: a worker process was killed.
    """
    findings = over_cases(inspect, [*split.train, *split.validation, *split.test], workers, progress)
    good = [found for found in findings if found.points]
    bad = [{"name": found.scene, "why": found.faults[0].what} for found in findings if not found.points]
    if not good:
        do = "`vol3d data check` lists every fault."
        raise DataError("no scene can be read", where=split.name, got=bad[0]["why"] if bad else None, do=do)
    return {
        "name": split.name,
        "parts": {part: len(getattr(split, part)) for part in ("train", "validation", "test")},
        "summary": _summary(good),
        "classes": _classes(split.class_names, good),
        "scenes": [_scene(found) for found in good],
        "unreadable": bad,
    }


def _summary(findings: Sequence[Findings]) -> dict[str, Any]:
    """Over all scenes that could be read."""
    extents = np.array([found.extent_m for found in findings])
    hollow = sum(int((found.points_in_boxes == 0).sum()) for found in findings)
    return {
        "points": _spread([found.points or 0 for found in findings]),
        "boxes": _spread([len(found.boxes) for found in findings]),
        "extent_m": {axis: _spread(extents[:, number]) for number, axis in enumerate("xyz")},
        "boxes_without_points": hollow,
        "boxes_are_turned": _turned(findings),
    }


def _scene(found: Findings) -> dict[str, Any]:
    extent = found.extent_m.round(3).tolist()
    return {"name": found.scene, "points": found.points, "extent_m": extent, "boxes": len(found.boxes)}


def tables(facts: dict[str, Any]) -> list[Table]:
    """The description for a reader: how many scenes, what one of them holds, then a row for each class."""
    summary = facts["summary"]
    spreads = {"points": summary["points"], "boxes": summary["boxes"]}
    spreads |= {f"extent {axis} (m)": spread for axis, spread in summary["extent_m"].items()}
    parts = {f"{part} scenes": count for part, count in facts["parts"].items()}
    parts |= {key.replace("_", " "): summary[key] for key in ("boxes_without_points", "boxes_are_turned")}
    scenes = Table(None, ["", facts["name"]], flatten(parts))
    each = Table(
        None,
        ["per scene", "min", "median", "mean", "max"],
        [[name, spread["min"], spread["median"], spread["mean"], spread["max"]] for name, spread in spreads.items()],
    )
    rows = [
        [
            name,
            one["boxes"],
            one["scenes"],
            _metres(one.get("mean_size_m")),
            _metres(one.get("known_size_m")),
            one["points"]["median"] if "points" in one else None,
            one.get("without_points"),
        ]
        for name, one in facts["classes"].items()
    ]
    columns = ["class", "boxes", "scenes", "mean size (m)", _USUAL, "median points", "without points"]
    if all(row[columns.index(_USUAL)] is None for row in rows):
        rows = [[value for value, name in zip(row, columns, strict=True) if name != _USUAL] for row in rows]
        columns.remove(_USUAL)
    return [scenes, each, Table(None, columns, rows), *left_out(facts["unreadable"])]


def _metres(size: Sequence[float] | None) -> str | None:
    return " x ".join(f"{length:.2f}" for length in size) if size else None


def _classes(class_names: Sequence[str], findings: Sequence[Findings]) -> dict[str, Any]:
    boxes = np.concatenate([found.boxes[:, :7] for found in findings])
    labels = np.concatenate([found.labels for found in findings])
    inside = np.concatenate([found.points_in_boxes for found in findings])
    turned = _turned(findings)
    described: dict[str, Any] = {}
    for label, name in enumerate(class_names):
        mine = labels == label
        described[name] = {
            "boxes": int(mine.sum()),
            "scenes": sum(int((found.labels == label).any()) for found in findings),
        }
        if mine.any():
            sizes = boxes[mine, 3:6].astype(np.float64)
            described[name] |= {
                "mean_size_m": sizes.mean(axis=0).round(4).tolist(),
                "deviation_m": sizes.std(axis=0).round(4).tolist(),
                "points": _spread(inside[mine]),
                "without_points": int((inside[mine] == 0).sum()),
            }
        if (known := known_size(name, turned)) is not None:
            described[name]["known_size_m"] = list(known)
    return described


def _turned(findings: Sequence[Findings]) -> bool:
    return any(bool((np.abs(found.boxes[:, 6]) > 1e-3).any()) for found in findings)


def _spread(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    found = np.asarray(values)
    low, high = found.min().item(), found.max().item()
    return {"min": low, "median": float(np.median(found)), "mean": float(found.mean()), "max": high}
