"""Boxes as shapes: corners, edges, the tick at the front, and where a moving box is a second later.

The file of box lines, the pictures, the page and the window all draw these, so that a result and its picture agree.
NumPy only: viewing a result need not wait for torch. Boxes are rows `x y z l w h yaw [vx vy]`, see
`vol3d.geometry.boxes`; everything is computed in float64.
"""

from __future__ import annotations

import numpy as np

# Seen from above: front left, rear left, rear right, front right.
_FOOTPRINT = 0.5 * np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
EDGES = np.array([(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)])
"""Pairs of `corners` that an edge joins: the bottom, the top, the uprights."""
TICK = 0.25
"""Length of the tick as a share of the box's, from the middle of the front's bottom edge forwards."""
SLOWEST = 0.2
"""Metres a second; what is slower has no line."""


def footprints(boxes: np.ndarray) -> np.ndarray:
    """Corners (N, 4, 2) seen from above, metres: front left, rear left, rear right, front right."""
    table = boxes.astype(np.float64)
    local = _FOOTPRINT * table[:, None, 3:5]
    along, across = local[..., 0], local[..., 1]
    cos, sin = np.cos(table[:, 6:7]), np.sin(table[:, 6:7])

    turned = np.stack((along * cos - across * sin, along * sin + across * cos), axis=-1)
    return table[:, None, :2] + turned


def corners(boxes: np.ndarray) -> np.ndarray:
    """Corners (N, 8, 3), metres: 0 to 3 at the bottom in the order of `footprints`, 4 to 7 above them."""
    table = boxes.astype(np.float64)
    bottom, top = table[:, 2] - 0.5 * table[:, 5], table[:, 2] + 0.5 * table[:, 5]
    heights = np.repeat(np.stack((bottom, top), axis=1), 4, axis=1)
    return np.concatenate((np.tile(footprints(table), (1, 2, 1)), heights[..., None]), axis=-1)


def ticks(boxes: np.ndarray) -> np.ndarray:
    """Ends (N, 2, 3) of the tick that shows where each box heads."""
    eight = corners(boxes)
    front, rear = eight[:, [0, 3]].mean(axis=1), eight[:, [1, 2]].mean(axis=1)
    return np.stack((front, front + TICK * (front - rear)), axis=1)


def have_headings(boxes: np.ndarray) -> bool:
    """Whether ticks mean anything.

    Boxes that all have a yaw of 0 cannot turn, as in indoor scans with boxes along the axes; nor can several with one
    and the same yaw, which lie along the walls of a room that was turned back.
    """
    yaw = boxes[:, 6]
    alike = bool((yaw == yaw[:1]).all())
    return not alike or (len(yaw) == 1 and bool(yaw.any()))


def box_lines(boxes: np.ndarray) -> np.ndarray:
    """Ends (N, 12 or 13, 2, 3) of each box's edges and, where boxes have headings, of its tick."""
    edges = corners(boxes)[:, EDGES]
    return np.concatenate((edges, ticks(boxes)[:, None]), axis=1) if have_headings(boxes) else edges


def velocity_lines(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the boxes (N, 7 or 9) move (M,), and lines (M, 2, 3) from there to where they are a second later."""
    table = boxes.astype(np.float64)
    velocity = np.nan_to_num(table[:, 7:]) if table.shape[1] == 9 else np.zeros((len(table), 2))
    rows = np.flatnonzero(np.linalg.norm(velocity, axis=1) > SLOWEST)
    start = table[rows, :3]
    end = start + np.pad(velocity[rows], ((0, 0), (0, 1)))
    return rows, np.stack((start, end), axis=1)
