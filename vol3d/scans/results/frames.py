"""Boxes in one cloud of a recording, out of the lines that `predict` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.files import read_json, read_text
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.read import parse_objects

_KEYS = {"result", "topic", "class_names"}


def is_of_frames(path: Path) -> bool:
    """Whether a JSON is the summary of a recording's lines."""
    value = read_json(path)
    return isinstance(value, dict) and set(value) >= _KEYS


def read_frame_boxes(path: Path, frame: int, origin: np.ndarray | None = None) -> Detections:
    """The boxes of one cloud.

    Args:
        path: the summary; its lines lie beside it.
        frame: the number of the cloud.
        origin: (3,) metres to take off, that of the cloud.

    Raises:
        DataError: no such line, or one that says why the cloud could not be predicted; a damaged line or box.
    """
    names = tuple(map(str, read_json(path)["class_names"]))
    line, where = _line(path, frame)
    return parse_objects(line.get("objects"), names, where, origin=origin)


def frame_matrix(path: Path, frame: int) -> Any:
    """What the line of a cloud has as the way (4 rows of 4) from its boxes to the numbers of its message.

    Raises:
        DataError: as `read_frame_boxes`.
    """
    return _line(path, frame)[0].get("file_from_scan", np.eye(4).tolist())


def _line(path: Path, frame: int) -> tuple[dict[str, Any], str]:
    """The line of one cloud, and where it stands."""
    lines = path.parent / Path(str(read_json(path)["result"])).name
    numbers = []
    for number, text in enumerate(read_text(lines).splitlines(), start=1):
        try:
            line = json.loads(text)
            numbers.append(line["frame"])
        except (ValueError, KeyError, TypeError) as fault:
            raise DataError("no line of a cloud", where=f"{lines}:{number}", got=text[:80]) from fault
        if line["frame"] != frame:
            continue
        if "error" in line:
            raise DataError(f"frame {frame} was not predicted: {line['error']}", where=f"{lines}:{number}")
        return line, f"{lines}:{number}"
    got = f"{len(numbers)} frames, {numbers[0]} to {numbers[-1]}" if numbers else "no frames"
    raise DataError(
        f"frame {frame} is not among the predicted ones", where=lines, got=got, do="Choose another --frame."
    )
