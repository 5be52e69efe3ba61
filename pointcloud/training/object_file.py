"""Objects cut out of scenes, in one safetensors file; training reads the few that it needs from the mapped file.

    points    (P, 3 + C) float32   of all objects one after the other, relative to their box's centre, and features
    starts    (K + 1,) int64       object k has the rows starts[k] to starts[k + 1]
    boxes     (K, 9) float32       as annotated; NaN velocities where the data set has none
    labels    (K,) int64

It is written as scenes are read: its size does not matter to memory. An object of n points takes 4 * (3 + C) * n bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from vol3d.errors import DataError
from vol3d.files import atomic

HEADER = 1024  # bytes reserved at the start of the file for what is known at the end only


class CutObject(NamedTuple):
    """An annotated object: points (n, 3 + C) relative to its centre, its box (9,) and label."""

    points: np.ndarray
    box: np.ndarray
    label: int


class ObjectBank:
    """Objects in a file; it can be sent to another process, which opens the file itself.

    Args:
        path: of the file.
        wanted: label -> objects that a scene is filled up to.

    Raises:
        DataError: missing or damaged.

    boxes, labels: (K, 7 or 9) float32 and (K,) int64 of all objects. of: label -> its objects.
    """

    def __init__(self, path: Path, wanted: Mapping[int, int]) -> None:
        self.path, self.wanted = path, dict(wanted)
        try:
            self._file = safe_open(path, "np")
            self.boxes, self.labels, self._starts = (self._file.get_tensor(n) for n in ("boxes", "labels", "starts"))
            self._points = self._file.get_slice("points")
        except (SafetensorError, OSError) as error:
            raise DataError("the file of objects is damaged", where=path, got=error, do="Delete it.") from error
        if np.isnan(self.boxes[:, 7:]).all():  # the data set has no velocities
            self.boxes = self.boxes[:, :7]
        self.of = {label: np.flatnonzero(self.labels == label) for label in self.wanted}

    def __reduce__(self) -> tuple[type[ObjectBank], tuple[Any, ...]]:
        return ObjectBank, (self.path, self.wanted)

    def __len__(self) -> int:
        return len(self.boxes)

    def points(self, index: int) -> np.ndarray:
        """(n, 3 + C) the points of an object relative to its box's centre, and their features."""
        return self._points[int(self._starts[index]) : int(self._starts[index + 1])]


def write_objects(path: Path, objects: Iterator[CutObject], columns: int) -> None:
    """Writes objects, whose points have `columns` columns, to a file one by one.

    Raises:
        Vol3dError: the disk is full or cannot be written.
    """
    boxes, labels, starts = [np.zeros((0, 9), np.float32)], [], [0]
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(bytes(HEADER))
        for points, box, label in objects:
            file.write(points.astype("<f4").tobytes())
            boxes.append(box[None])
            labels.append(label)
            starts.append(starts[-1] + len(points))
        tables = {"starts": np.array(starts, "<i8"), "boxes": np.concatenate(boxes), "labels": np.array(labels, "<i8")}
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {"points": ("F32", (starts[-1], columns))}
        for name, table in tables.items():
            file.write(table.tobytes())
            shapes[name] = ("F32" if table.dtype == np.float32 else "I64", table.shape)
        file.seek(0)
        file.write(_header(shapes))


def _header(shapes: Mapping[str, tuple[str, tuple[int, ...]]]) -> bytes:
    """What a safetensors file begins with: the length of a JSON text, which spaces may follow, and the text."""
    entries, begin = {}, 0
    for name, (dtype, shape) in shapes.items():
        end = begin + int(np.prod(shape)) * (4 if dtype == "F32" else 8)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(entries).encode().ljust(HEADER - 8)
    return len(text).to_bytes(8, "little") + text
