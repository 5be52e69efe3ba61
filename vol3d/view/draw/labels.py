"""Where to write the names of boxes so that one can read them: greedy, the most important one first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vol3d.view.draw.text import text_width

_SIZES = (8.0, 6.5)
_NEAR = 30.0  # points of the page within which one name serves for several boxes
_UPPER = 0.15  # of a box's height: corners that far below the highest one are of its upper edge


class Label(NamedTuple):
    """A text that belongs to the rectangle `low x, low y, high x, high y` of the page's coordinates."""

    text: str
    colour: str
    around: tuple[float, float, float, float]
    weight: float


Placed = tuple[Label, tuple[float, float], float]


def around_box(corners: np.ndarray) -> tuple[float, float, float, float]:
    """What a label of a box with these corners (8, 2) keeps to: its height, and the width of its upper edge, so that
    the label stands at the box and not in the corner of a rectangle that the box does not fill."""
    bottom, top = corners[:, 1].min(), corners[:, 1].max()
    upper = corners[corners[:, 1] >= top - _UPPER * (top - bottom), 0]
    return float(upper.min()), float(bottom), float(upper.max()), float(top)


def place_labels(
    labels: Sequence[Label],
    unit: float,
    page: tuple[float, float, float, float],
    bold: bool = False,
    sizes: Sequence[float] = _SIZES,
) -> list[Placed]:
    """Lower left corner and font size (points) of each label that finds a place; those of most weight choose first.

    A label stands above, below or inside its rectangle, covers no other label and does not leave the page; where the
    larger type does not fit the smaller is tried, and what does not fit either is left out. So is a label next to one
    that reads the same: a row of barriers is named once.

    Args:
        labels: equal weights are served in this order.
        unit: length of one typographic point in the page's coordinates.
        page: low x, low y, high x, high y.
        bold: whether they are written so.
        sizes: of the type in points, the larger first.
    """
    taken = np.zeros((0, 4))
    placed: list[Placed] = []
    for label in sorted(labels, key=lambda label: -label.weight):
        if _is_named(label, placed, _NEAR * unit):
            continue
        spot = _spot(label, unit, page, taken, text_width(label.text, bold), sizes)
        if spot is not None:
            box, size = spot
            taken = np.concatenate([taken, box[None]])
            placed.append((label, (float(box[0]), float(box[1])), size))
    return placed


def _is_named(label: Label, placed: Sequence[Placed], near: float) -> bool:
    same = [other.around for other, _, _ in placed if (other.text, other.colour) == (label.text, label.colour)]
    middles = np.array([(a + c, b + d) for a, b, c, d in [label.around, *same]]) / 2
    return bool((np.linalg.norm(middles[1:] - middles[0], axis=1) < near).any())


def _spot(
    label: Label,
    unit: float,
    page: tuple[float, float, float, float],
    taken: np.ndarray,
    share: float,
    sizes: Sequence[float],
) -> tuple[np.ndarray, float] | None:
    left, bottom, right, top = label.around
    for size in sizes:
        width, height, gap = share * size * unit, 1.15 * size * unit, 2 * unit
        centre = (left + right - width) / 2
        rows = (top - height - gap, bottom + gap, top + gap, bottom - height - gap)
        inside = [(left + gap, rows[0]), (left + gap, rows[1]), (right - width - gap, rows[1])]
        outside = [(x, y) for y in rows[2:] for x in (left, centre, right - width)]
        middle = [(centre, (bottom + top - height) / 2), (right + gap, rows[0]), (left - width - gap, rows[0])]
        fits = width + 2 * gap <= right - left and height + 2 * gap <= top - bottom
        for x, y in (inside + outside + middle) if fits else (outside + middle + inside):
            box = np.array((x, y, x + width, y + height))
            if _within(box, page) and not _covers(box, taken):
                return box, size
    return None


def _within(box: np.ndarray, page: tuple[float, float, float, float]) -> bool:
    return bool(box[0] >= page[0] and box[1] >= page[1] and box[2] <= page[2] and box[3] <= page[3])


def _covers(box: np.ndarray, taken: np.ndarray) -> bool:
    return bool(((taken[:, :2] < box[2:]) & (taken[:, 2:] > box[:2])).all(axis=1).any())
