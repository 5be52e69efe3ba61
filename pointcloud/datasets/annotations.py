"""Annotations that cannot be meant as they stand: they are refused wherever they are read, and `check` lists them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from vol3d.dataset_tools.fault import listed
from vol3d.errors import DataError

LARGEST_ANGLE = 2 * np.pi + 0.01  # radians; files count from -pi or from 0, and round
MISSPELT, NO_SIZE, NOT_RADIANS = "class-name-misspelt", "box-without-size", "angle-not-in-radians"


class AnnotationError(DataError):
    """Annotations that cannot be used.

    Args:
        code: of the fault that `check` makes of it.
        facts: as of `DataError`.
    """

    def __init__(self, what: str, *, code: str = "annotation-refused", **facts: Any) -> None:
        super().__init__(what, **facts)
        self.code = code


def refuse_misspelt(names: Iterable[str], known: Iterable[str], where: object) -> None:
    """Raises AnnotationError if a name differs from a known one in punctuation or a plural only.

    Other codes read it as the known one, or as an object of no class: here nobody decides that silently.
    """
    spelt, found = {_letters(name): name for name in known}, sorted(set(names) - set(known))
    near = [(name, spelt[_letters(name)]) for name in found if _letters(name) in spelt]
    if near:
        got, wanted = (listed(dict.fromkeys(pair[side] for pair in near)) for side in (0, 1))
        do = "Rename them in the label files, or set data.class_names to the names that stand there."
        raise AnnotationError(
            "objects have almost the name of a class", code=MISSPELT, where=str(where), got=got, wanted=wanted, do=do
        )


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold()).removesuffix("s")


def refuse_sizes(sizes: np.ndarray, names: np.ndarray, where: object) -> None:
    """Raises AnnotationError unless all sizes (n, 3) are above 0."""
    odd = np.flatnonzero(~(sizes > 0).all(axis=1))
    if len(odd):
        got = f"{names[odd[0]]} of {' x '.join(f'{length:.3g}' for length in sizes[odd[0]])} m"
        do = "Correct or remove the box: sizes are positive numbers."
        what = f"{len(odd)} of {len(sizes)} boxes have no size"
        raise AnnotationError(what, code=NO_SIZE, where=str(where), got=got, wanted="above 0", do=do)


def refuse_angles(angles: np.ndarray, name: str, where: object) -> None:
    """Raises AnnotationError if an angle (n,) goes further than once round."""
    odd = np.flatnonzero(~(np.abs(angles) <= LARGEST_ANGLE))
    if len(odd):
        do = "Convert degrees to radians." if np.abs(angles).max() <= 360 else None
        what = f"{len(odd)} of {len(angles)} boxes have a {name} of more than a turn"
        got = f"{angles[odd[0]]:.6g}"
        raise AnnotationError(what, code=NOT_RADIANS, where=str(where), got=got, wanted="radians, -pi to pi", do=do)
