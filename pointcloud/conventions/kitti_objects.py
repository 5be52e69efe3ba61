"""Label and result files of KITTI's object benchmark: one row of 15 columns for each object, a 16th for its score.

    type truncation occlusion alpha  left top right bottom  h w l  x y z  rotation_y  [score]

Units: pixels of the left colour image, metres and radians in its rectified camera frame, `x y z` being the centre of
the bottom face (see `pointcloud.conventions.kitti`). What a row does not tell is -1, -10 or -1000.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.files import read_text, write_text

_COLUMNS = [
    *("type", "truncation", "occlusion", "alpha", "left", "top", "right", "bottom"),
    *("h", "w", "l", "x", "y", "z", "rotation_y"),
]
_SCORE = "score"
_SCORED = "Result files have a score, label files have none."
_TRACKING = "Tracking labels begin with frame and track: write a file for each frame, without these two."
_HINTS = {-1: _SCORED, 1: _SCORED, 2: _TRACKING}  # how many columns more than wanted -> what to do


@dataclass(frozen=True, eq=False)
class KittiObjects:
    """The objects of one image.

    Args:
        types: (n,) text: Car, Van, Truck, Pedestrian, Person_sitting, Cyclist, Tram, Misc, DontCare.
        truncation: (n,) share that lies outside of the image, -1 where it is not told.
        occlusion: (n,) int64, 0 fully visible, 1 partly, 2 largely hidden, 3 unknown, -1 not told.
        alpha: (n,) radians, the heading as seen from the camera.
        bbox: (n, 4) left, top, right, bottom in the image, pixels.
        dimensions_hwl: (n, 3) metres.
        location: (n, 3) centre of the bottom face in the camera frame, metres.
        rotation_y: (n,) radians.
        scores: (n,) of detections, ones for annotated objects.
    """

    types: np.ndarray
    truncation: np.ndarray
    occlusion: np.ndarray
    alpha: np.ndarray
    bbox: np.ndarray
    dimensions_hwl: np.ndarray
    location: np.ndarray
    rotation_y: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        widths = {"bbox": (4,), "dimensions_hwl": (3,), "location": (3,)}
        for column in fields(self):
            got, wanted = getattr(self, column.name).shape, (len(self.types), *widths.get(column.name, ()))
            if got != wanted:
                raise ValueError(f"{column.name} must be {wanted}, got {got}")

    def __len__(self) -> int:
        return len(self.types)

    def select(self, keep: np.ndarray) -> KittiObjects:
        """Those at the indices, or under the boolean mask, `keep`."""
        return KittiObjects(*(getattr(self, column.name)[keep] for column in fields(self)))


def read_kitti_objects(path: str | Path, scored: bool = False) -> KittiObjects:
    """The rows of a label file, or with `scored` of a result file; an empty file has none.

    Raises:
        DataError: missing, not text, a row with too few or too many columns, a value that is no finite number.
    """
    return parse_kitti_objects(read_text(path), path, scored)


def parse_kitti_objects(text: str, where: str | Path, scored: bool = False) -> KittiObjects:
    """`read_kitti_objects` for the text of a file that stood at `where`."""
    names = [*_COLUMNS, _SCORE] if scored else _COLUMNS
    types, rows = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if words := line.split():
            rows.append(_row(words, names, f"{where}:{number}"))
            types.append(words[0])
    table = np.array(rows, np.float64).reshape(-1, len(names) - 1)
    return KittiObjects(
        types=np.array(types, np.str_),
        truncation=table[:, 0],
        occlusion=table[:, 1].astype(np.int64),
        alpha=table[:, 2],
        bbox=table[:, 3:7],
        dimensions_hwl=table[:, 7:10],
        location=table[:, 10:13],
        rotation_y=table[:, 13],
        scores=table[:, 14] if scored else np.ones(len(table)),
    )


def _row(words: list[str], names: list[str], where: str) -> list[float]:
    if len(words) != len(names):
        wanted = f"{len(names)}: {' '.join(names)}"
        do = _HINTS.get(len(words) - len(names))
        raise DataError("wrong number of columns", where=where, got=len(words), wanted=wanted, do=do)
    values = []
    for word, name in zip(words[1:], names[1:], strict=True):
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (name == "occlusion" and value != int(value)):
            wanted = "a whole number" if name == "occlusion" else "a number"
            raise DataError(f"'{name}' makes no sense", where=where, got=word, wanted=wanted)
        values.append(value)
    return values


def one_word(name: str) -> str:
    """The name of a class, for lines of words. Raises DataError if it is several."""
    if len(name.split()) != 1:
        do = "Rename it: columns of this format end at spaces."
        raise DataError("a class of several words cannot be written", got=name, do=do)
    return name


def write_kitti_objects(path: str | Path, objects: KittiObjects, scored: bool = False) -> None:
    """Writes a label file, or with `scored` a result file; numbers to a millionth.

    Raises:
        DataError: a value is not finite, a type is several words.
    """
    columns = [objects.alpha, *objects.bbox.T, *objects.dimensions_hwl.T, *objects.location.T, objects.rotation_y]
    columns += [objects.scores] if scored else []
    table = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
    if not (np.isfinite(table).all() and np.isfinite(objects.truncation).all()):
        raise DataError("a value is not finite, nothing was written", where=path)
    lines = [
        f"{one_word(name)} {truncation:.2f} {occlusion} {' '.join(f'{value:.6f}' for value in row)}\n"
        for name, truncation, occlusion, row in zip(
            objects.types.tolist(), objects.truncation, objects.occlusion, table.tolist(), strict=True
        )
    ]
    write_text(path, "".join(lines))
