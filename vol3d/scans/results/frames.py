"""Boxes in one cloud of a recording, out of the lines that `predict` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.files import read_text
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.read import parse_objects

_KEYS = {"result", "topic", "class_names"}


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
    def read(path: Path, summary: Mapping[str, Any]) -> FrameLines | None:
        """The lines beside a summary, whose boxes are not looked at yet; None for a JSON that is no such summary.

        Args:
            path: of the summary.
            summary: what it holds.

        Raises:
            DataError: a line that is none.
        """
        if not set(summary) >= _KEYS:
            return None
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
        """The boxes of a cloud.

        Args:
            frame: its number.
            origin: (3,) metres to take off, that of the cloud.

        Raises:
            DataError: no such line, or one that says why the cloud could not be predicted; a damaged line or box.
        """
        if frame not in self.rows:
            numbers = list(self.rows)
            got = f"{len(numbers)} frames, {numbers[0]} to {numbers[-1]}" if numbers else "no frames"
            do = "Choose another --frame."
            raise DataError(f"frame {frame} is not among the predicted ones", where=self.path, got=got, do=do)
        number, line = self.rows[frame]
        where = f"{self.path}:{number}"
        if "error" in line:
            raise DataError(f"frame {frame} was not predicted: {line['error']}", where=where)
        return parse_objects(line.get("objects"), self.class_names, where, origin=origin)
