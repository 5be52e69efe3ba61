"""Classes that differ in their side: a mirror image from left to right exchanges them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vol3d.notes import Note

_WORDS = (("left", "right"), ("lt", "rt"), ("lh", "rh"), ("sin", "dex"), ("sinister", "dexter"), ("l", "r"))
_CHAMBERS = {"atrium", "atrial", "ventricle", "ventricular", "auricle"}
_OPPOSITE = {one: other for pair in _WORDS for one, other in (pair, pair[::-1])}


def sided(class_names: Sequence[str]) -> tuple[str, ...]:
    """The names that have a side, in whatever spelling: `left_kidney`, `Kidney L`, `lh-hippocampus`, `LeftLung`.

    A name has a side where the class of the other side is there, too. Without it the words left and right do: a mirror
    image of `left_kidney` alone shows the right one under its name. The chambers of the heart are the exception, since
    a left atrium is no mirror image of a right one: alone they have no side, and a mirrored heart is a heart still.

    >>> sided(("background", "liver", "kidney_L", "kidney_R", "L5"))
    ('kidney_L', 'kidney_R')
    >>> sided(("background", "left_atrium")), sided(("background", "left_atrium", "right_atrium"))
    ((), ('left_atrium', 'right_atrium'))
    """
    known = {_words(name) for name in class_names}
    return tuple(
        name
        for name in class_names
        if _one_of_a_pair(_words(name)) or any(other in known for other in _other_sides(_words(name)))
    )


def _one_of_a_pair(words: tuple[str, ...]) -> bool:
    """Whether the words name one of two like organs; the lateral ventricles of the brain are a pair."""
    chamber = bool(_CHAMBERS & set(words)) and "lateral" not in words
    return bool({"left", "right"} & set(words)) and not chamber


def _words(name: str) -> tuple[str, ...]:
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()
    return tuple(word for word in re.split(r"[\W_]+", parted) if word)


def _other_sides(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What the class of the other side may be called: one word, or the beginning or end of one, exchanged."""
    found = []
    for place, word in enumerate(words):
        for side, other in _OPPOSITE.items():
            exchanged = [other + word[len(side) :]] if word.startswith(side) else []
            exchanged += [word[: -len(side)] + other] if word.endswith(side) else []
            found += [(*words[:place], new, *words[place + 1 :]) for new in exchanged]
    return found


def side_axis(orientation: str) -> int:
    """The axis from left to right of a grid whose axes point to `orientation`, as in `RAS`."""
    return next(axis for axis, code in enumerate(orientation) if code in "LR")


def flip_notes(
    class_names: Sequence[str], orientation: str, flip: tuple[float, float, float], rotate90: float
) -> tuple[Note, ...]:
    """That training shows the network mirror images in which sides are exchanged, where it does.

    A quarter turn in the plane of the first two axes makes a flip along one of them a flip along either.
    """
    axis = side_axis(orientation)
    flipped = flip[axis] > 0 or (rotate90 > 0 and axis < 2 and max(flip[:2]) > 0)
    classes = ", ".join(sided(class_names))
    if not (flipped and classes):
        return ()
    text = f"augment.flip mirrors along axis {'ijk'[axis]}, left to right, and so exchanges the classes {{value}}"
    text += f"; augment.flip of 0 there{' and augment.rotate90 of 0' * (rotate90 > 0)} turns it off"
    return (Note("left-right-flipped", text, "augment.flip", classes, numbers={"axis": axis}),)


def mirror_notes(class_names: Sequence[str], orientation: str, mirror_axes: Sequence[int]) -> tuple[Note, ...]:
    """That predictions are averaged with mirror images in which sides are exchanged, where they are."""
    axis = side_axis(orientation)
    classes = ", ".join(sided(class_names))
    if axis not in mirror_axes or not classes:
        return ()
    text = f"mirrored views along axis {'ijk'[axis]}, left to right, exchange the classes {{value}}"
    text += f"; --mirror without {'ijk'[axis]}, or window.mirror_axes without {axis}, turns them off"
    return (Note("left-right-mirrored", text, "mirror", classes, numbers={"axis": axis}),)
