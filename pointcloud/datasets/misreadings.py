"""Ways in which boxes are often misread, and how many points they hold when they are read so instead.

Objects are where points are: boxes of a whole data set that hold more of them when read otherwise were meant otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from vol3d.dataset_tools.fault import Fault
from vol3d.geometry import count_points_in_boxes

SAMPLE = 20_000  # points of a scene that are counted
FEWEST = 5  # points, and boxes: fewer are chance
DIFFERENT = 0.1  # share by which the counts of a box differ when it matters how it is read
MORE_BOXES, MORE_POINTS = 3.0, 1.03  # times as many boxes gain as lose, and points in all


def _columns(boxes: Tensor, *columns: Tensor) -> Tensor:
    return torch.stack((*columns, *boxes.T[len(columns) :]), dim=1)


def _placed(boxes: Tensor, x: Tensor, y: Tensor, z: Tensor, yaw: Tensor) -> Tensor:
    return torch.cat((torch.stack((x, y, z), dim=1), boxes[:, 3:6], yaw[:, None]), dim=1)


def _sized(boxes: Tensor, order: Sequence[int], on_ground: bool = False) -> Tensor:
    read = boxes.clone()
    read[:, 3:6] = boxes[:, list(order)]
    if on_ground:
        read[:, 2] += (read[:, 5] - boxes[:, 5]) / 2
    return read


def _lifted(boxes: Tensor, heights: float) -> Tensor:
    x, y, z = boxes[:, :3].T
    return _columns(boxes, x, y, z + heights * boxes[:, 5])


def _scaled(boxes: Tensor, metres: float) -> Tensor:
    return torch.cat((boxes[:, :6] * metres, boxes[:, 6:]), dim=1)


def _axes(boxes: Tensor, of_camera: bool) -> Tensor:
    x, y, z = boxes[:, :3].T
    place = (z, -x, -y) if of_camera else (-y, -z, x)
    return _placed(boxes, *place, -boxes[:, 6] - math.pi / 2)


MISREADINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "clockwise yaw": lambda b: torch.cat((b[:, :6], -b[:, 6:7]), dim=1),
    "l and w exchanged": lambda b: _sized(b, (4, 3, 5)),
    "l and h exchanged": lambda b: _sized(b, (5, 4, 3)),
    "l and h exchanged on the ground": lambda b: _sized(b, (5, 4, 3), on_ground=True),
    "z of the bottom": lambda b: _lifted(b, 0.5),
    "z of the centre that was given as the bottom": lambda b: _lifted(b, -0.5),
    "y to the right": lambda b: _placed(b, b[:, 0], -b[:, 1], b[:, 2], -b[:, 6]),
    "x and y exchanged": lambda b: _placed(b, b[:, 1], b[:, 0], b[:, 2], math.pi / 2 - b[:, 6]),
    "x y z of a camera": lambda b: _axes(b, of_camera=True),
    "x y z of the LiDAR that were given as a camera's": lambda b: _axes(b, of_camera=False),
    "centimetres": lambda b: _scaled(b, 0.01),
    "millimetres": lambda b: _scaled(b, 0.001),
    "feet": lambda b: _scaled(b, 0.3048),
}
"""Name -> the boxes (K, 7), had their numbers been meant so."""


def points_inside(xyz: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(K, 1 + M) int64 points of a sample of the cloud in each box (K, 7), as it is and by each of `MISREADINGS`."""
    points = torch.from_numpy(np.array(xyz[:: max(1, len(xyz) // SAMPLE)]))
    given = torch.from_numpy(np.ascontiguousarray(boxes[:, :7]))
    read = [given, *(meant(given) for meant in MISREADINGS.values())]
    return torch.stack([count_points_in_boxes(points, one) for one in read], dim=1).numpy()


def judge_readings_of_boxes(data_set: str, inside: np.ndarray) -> Iterator[Fault]:
    """The reading by which most boxes hold more points, if there is one.

    Args:
        data_set: its name.
        inside: (K, 1 + M) of all its boxes; see `points_inside`.
    """
    now, others = inside[:, :1], inside[:, 1:]
    matters = (np.abs(others - now) > DIFFERENT * np.maximum(others, now)) & (np.maximum(others, now) >= FEWEST)
    gain, lose = ((matters & worse).sum(axis=0) for worse in (others > now, others < now))
    times = others.sum(axis=0) / np.maximum(now.sum(), 1)
    sure = (gain >= FEWEST) & (gain >= MORE_BOXES * lose) & (times > MORE_POINTS)
    if sure.any():
        best = int(np.argmax(np.where(sure, times, 0)))
        numbers = {"times": float(times[best]), "boxes": int(gain[best]), "of": len(inside)}
        what = f"boxes hold {times[best]:.2g} times as many points when read as '{list(MISREADINGS)[best]}'"
        do = "Boxes are centre x y z, length width height, yaw counter-clockwise from +x: check how they were made."
        yield Fault(data_set, "warning", what, do, code="boxes-misread", numbers=numbers)
