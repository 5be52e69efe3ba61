"""Colours of classes on dark: safe for the common kinds of colour blindness (Okabe and Ito 2008; Tol 2021, 'muted')."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Few classes: the first mask in cool colours and the second in warm ones, so that they differ at a glance.
_COOL = ("#56b4e9", "#00c48f", "#4d7fff")
_WARM = ("#e69f00", "#f0e442", "#e07bb0")
# Many classes: one colour each, and the masks differ by their line.
_MANY = (
    *("#88ccee", "#e69f00", "#44aa99", "#cc6677", "#ddcc77", "#b58ae0", "#7bc043"),
    *("#f28ca9", "#4d9de0", "#c9b18c", "#00c48f", "#e4572e", "#b0bec5", "#f0e442"),
    # Each next one is the colour farthest from all before it in CIELAB, at lightnesses that a dark ground bears.
    *("#b800f8", "#f808b0", "#00f800", "#5060f8", "#f80060", "#00f880", "#d868f8", "#707810"),
    *("#a8f000", "#a86830", "#886888", "#b8f0b8", "#00f8f8", "#b84898", "#3070d8", "#f0c8f8"),
)
DISTINCT = len(_MANY)
"""How many classes have a colour of their own; those of more repeat."""
COLOURS = tuple(dict.fromkeys((*_COOL, *_WARM, *_MANY)))
"""All colours that a class may have, each once."""


def box_colours(labels: np.ndarray, classes: int) -> np.ndarray:
    """(N, 3) uint8 red, green, blue of boxes with labels (N,), of so many classes."""
    table = class_colours(("boxes",), classes).values()
    return np.array([list(bytes.fromhex(colour[1:])) for colour in table], np.uint8).reshape(-1, 3)[labels]


def class_colours(masks: Sequence[str], classes: int) -> dict[tuple[str, int], str]:
    """(mask's name, label from 1 to `classes`) -> `#rrggbb`."""
    few = classes <= len(_COOL) and len(masks) <= 2
    tables = (_COOL, _WARM) if few else (_MANY,) * max(len(masks), 1)
    return {
        (name, label): table[(label - 1) % len(table)]
        for name, table in zip(masks, tables, strict=False)
        for label in range(1, classes + 1)
    }
