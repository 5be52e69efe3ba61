"""Boxes as lines: twelve edges, the tick that shows where a box heads, and the way that it goes in a second."""

from __future__ import annotations

import numpy as np

from vol3d.scans.results.detections import Detections
from vol3d.view.scene import BoxLayer, ViewScene

# Corners 0 to 3 at the bottom from front left counter-clockwise, 4 to 7 above them.
_SIGNS = 0.5 * np.array(
    [(1, 1, -1), (-1, 1, -1), (-1, -1, -1), (1, -1, -1), (1, 1, 1), (-1, 1, 1), (-1, -1, 1), (1, -1, 1)]
)
_EDGES = np.array([(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)])
_TICK = 0.3  # of the length, from the middle of the front's bottom edge forwards
SLOWEST = 0.2  # metres a second; what is slower has no arrow


def corners(boxes: np.ndarray) -> np.ndarray:
    """(N, 8, 3) float64 corners of boxes (N, 7 or 9), without torch, which a viewer need not wait for."""
    boxes = boxes.astype(np.float64)
    local = _SIGNS * boxes[:, None, 3:6]
    cos, sin = np.cos(boxes[:, 6:7]), np.sin(boxes[:, 6:7])
    x, y = local[..., 0], local[..., 1]
    return np.stack((x * cos - y * sin, x * sin + y * cos, local[..., 2]), axis=-1) + boxes[:, None, :3]


def box_lines(boxes: np.ndarray) -> np.ndarray:
    """(N, 12 or 13, 2, 3) float64 ends of each box's lines; the 13th is the heading's tick.

    Boxes that all have a yaw of 0 cannot turn, as in indoor scans with boxes along the axes, and have no tick; nor have
    several with one and the same yaw, which lie along the walls of a room that was turned back.
    """
    eight = corners(boxes)
    edges = eight[:, _EDGES]
    yaw = boxes[:, 6]
    if (yaw == yaw[:1]).all() and (len(yaw) > 1 or not yaw.any()):
        return edges
    front, rear = eight[:, [0, 3]].mean(axis=1), eight[:, [1, 2]].mean(axis=1)
    tick = np.stack((front, front + _TICK * (front - rear)), axis=1)
    return np.concatenate((edges, tick[:, None]), axis=1)


def velocity_lines(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the boxes (N, 7 or 9) move (M,), and lines (M, 2, 3) from there to where they are a second later."""
    table = boxes.astype(np.float64)
    velocity = np.nan_to_num(table[:, 7:]) if table.shape[1] == 9 else np.zeros((len(table), 2))
    rows = np.flatnonzero(np.linalg.norm(velocity, axis=1) > SLOWEST)
    start = table[rows, :3]
    end = start + np.pad(velocity[rows], ((0, 0), (0, 1)))
    return rows, np.stack((start, end), axis=1)


def box_colours(scene: ViewScene, layer: BoxLayer) -> list[str]:
    """`#rrggbb` of each box of the layer."""
    return [layer.colour or scene.class_colours[name] for name in layer.detections.names()]


def box_label(detections: Detections, index: int, scored: bool) -> str:
    """Class, and the score where there is one: `chair 0.87`."""
    name = detections.class_names[detections.labels[index]]
    return f"{name} {detections.scores[index]:.2f}" if scored else name
