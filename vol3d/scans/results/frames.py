"""Boxes in one cloud of a recording, out of the lines that `predict` wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
    lines = FrameLines.read(path)
    if frame in lines.rows:
        return lines.boxes(frame, origin)
    numbers = list(lines.rows)
    got = f"{len(numbers)} frames, {numbers[0]} to {numbers[-1]}" if numbers else "no frames"
    do = "Choose another --frame."
    raise DataError(f"frame {frame} is not among the predicted ones", where=lines.path, got=got, do=do)


@dataclass(frozen=True)
class FrameLines:
    """What was predicted for the clouds of a recording.

    Args:
        path: of the lines.
        class_names: of all boxes.
        rows: number of the cloud -> number of its line, from 1, and the line.
    """

    path: Path
    class_names: tuple[str, ...]
    rows: dict[int, tuple[int, dict[str, Any]]]

    @staticmethod
    def read(path: Path) -> FrameLines:
        """The lines beside a summary; their boxes are not looked at yet. Raises DataError for a line that is none."""
        summary: Any = read_json(path)
        lines = path.parent / Path(str(summary["result"])).name
        rows: dict[int, tuple[int, dict[str, Any]]] = {}
        for number, text in enumerate(read_text(lines).splitlines(), start=1):
            try:
                line = json.loads(text)
                rows.setdefault(line["frame"], (number, line))
            except (ValueError, KeyError, TypeError) as fault:
                raise DataError("no line of a cloud", where=f"{lines}:{number}", got=text[:80]) from fault
        return FrameLines(lines, tuple(map(str, summary["class_names"])), rows)

    def matrix(self, frame: int) -> Any:
        """The way (4 rows of 4) from the boxes of a cloud to the numbers of its message; None where none is stated."""
        return self.rows[frame][1].get("file_from_scan") if frame in self.rows else None

    def boxes(self, frame: int, origin: np.ndarray | None = None) -> Detections:
        """Of a cloud that has a line. Raises DataError if it says why there are no boxes, or for a damaged one."""
        number, line = self.rows[frame]
        where = f"{self.path}:{number}"
        if "error" in line:
            raise DataError(f"frame {frame} was not predicted: {line['error']}", where=where)
        return parse_objects(line.get("objects"), self.class_names, where, origin=origin)
