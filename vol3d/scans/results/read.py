"""Boxes from JSON, whether `write_detections` wrote them or a person or a labelling tool did: strict and by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.files import read_json
from vol3d.scans.results.detections import Detections

FORMAT = 2
"""Of the JSON of a result: raised when a key changes its meaning or goes; new keys do not raise it."""
READABLE = (1, FORMAT)
"""Formats that are read; in 1, `assumptions` also held what is under `remarks` since."""
_LARGEST = float(np.finfo(np.float32).max)
_FILE_KEYS = {
    "format",
    "frame",
    "units",
    "box",
    "source",
    "source_path",
    "file_from_scan",
    "notes",
    "assumptions",
    "remarks",
    "class_names",
    "objects",
    "record",
}
_OBJECT_KEYS = {"class", "score", "center", "size", "yaw", "velocity"}


def read_detections(path: str | Path, origin: np.ndarray | None = None) -> Detections:
    """Boxes of one scan, as `write_detections` describes them.

    Args:
        path: the JSON file.
        origin: (3,) metres to take off, that of the cloud which the boxes belong to.

    Raises:
        DataError: not JSON, another format or unit, an unknown or missing key, a class outside `class_names`, a number
            that is none, a size that is not positive, a score outside 0 to 1.
    """
    value = read_json(path)
    _check_keys(value, _FILE_KEYS, {"format", "class_names", "objects"}, str(path))
    if value["format"] not in READABLE:
        do = "It was written by a newer version; update vol3d."
        raise DataError("another format of boxes", where=path, got=value["format"], wanted=FORMAT, do=do)
    if value.get("units", "m") != "m":
        raise DataError("boxes in another unit", where=path, got=value["units"], wanted="m")
    names, frame = value["class_names"], value.get("frame", "scan")
    if not _are_names(names):
        raise DataError("class_names are no list of different names", where=path, got=names)
    if not isinstance(frame, str):
        raise DataError("the frame is no name", where=path, got=frame)
    return parse_objects(value["objects"], tuple(names), str(path), frame, origin)


def parse_objects(
    objects: object, class_names: Sequence[str], where: str, frame: str = "scan", origin: np.ndarray | None = None
) -> Detections:
    """The list under `objects`: `{"class", "center", "size"}` each, and `score` (1), `yaw` (0), `velocity` if known.

    There are 9 columns if any object has a velocity, which is NaN for the others then.

    Raises:
        DataError: as `read_detections`.
    """
    if not isinstance(objects, list):
        raise DataError("objects are no list", where=where, got=type(objects).__name__, wanted="a list of boxes")
    labels = {name: label for label, name in enumerate(class_names)}
    rows = [_row(item, labels, f"{where}: objects[{number}]") for number, item in enumerate(objects)]
    table = np.array(rows, np.float64).reshape(len(rows), 11)
    boxes = table[:, :9] if np.isfinite(table[:, 7:9]).any() else table[:, :7]
    if origin is not None:
        boxes = np.concatenate((boxes[:, :3] - origin, boxes[:, 3:]), axis=1)
    scores, indices = table[:, 9].astype(np.float32), table[:, 10].astype(np.int64)
    return Detections(boxes.astype(np.float32), scores, indices, tuple(class_names), frame)


def _row(item: object, labels: Mapping[str, int], where: str) -> list[float]:
    """Center, size, yaw, velocity, score, label."""
    values = _check_keys(item, _OBJECT_KEYS, {"class", "center", "size"}, where)
    if not isinstance(values["class"], str) or values["class"] not in labels:
        raise DataError("a class outside class_names", where=where, got=values["class"], wanted=", ".join(labels))
    center = _numbers(values, "center", 3, where)
    size = _numbers(values, "size", 3, where)
    (yaw,), (score,) = _numbers(values, "yaw", 1, where, 0.0), _numbers(values, "score", 1, where, 1.0)
    velocity = _numbers(values, "velocity", 2, where, math.nan)
    if min(size) <= 0:
        raise DataError("a size that is not positive", where=where, got=size, wanted="length, width, height in metres")
    if not 0 <= score <= 1:
        raise DataError("a score outside the range", where=where, got=score, wanted="0 to 1")
    return [*center, *size, yaw, *velocity, score, labels[values["class"]]]


def _numbers(values: Mapping[str, Any], key: str, count: int, where: str, default: float | None = None) -> list[float]:
    if key not in values and default is not None:
        return [default] * count
    found = values[key] if count > 1 else [values[key]]
    numbers = isinstance(found, list) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in found)
    if not numbers or len(found) != count or max(map(abs, found)) > _LARGEST:
        wanted = f"{count} numbers" if count > 1 else "a number"
        raise DataError(f"{key} is not what it should be", where=where, got=values[key], wanted=wanted)
    return [float(value) for value in found]


def _check_keys(value: object, known: set[str], needed: set[str], where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError("no boxes here", where=where, got=type(value).__name__, wanted="an object in {}")
    if unknown := sorted(set(value) - known):
        raise DataError(f"unknown key {unknown[0]!r}", where=where, wanted=", ".join(sorted(known)))
    if missing := sorted(needed - set(value)):
        raise DataError(f"no {missing[0]!r}", where=where, got=", ".join(value) or "nothing")
    return value


def _are_names(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(n, str) and n for n in names) and len(set(names)) == len(names)
