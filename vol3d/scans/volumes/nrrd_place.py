"""Where an NRRD stands: its world by name, its axes as vectors or as spacings, its unit."""

from __future__ import annotations

import math
import re

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.volumes.stored import assumed
from vol3d.scans.volumes.text_header import Fields
from vol3d.scans.volumes.units import mm_of

LPS = "left-posterior-superior"
SIGNS = {LPS: (1.0, 1.0), "right-anterior-superior": (-1.0, -1.0), "left-anterior-superior": (1.0, -1.0)}
"""Of x and y, on the way to left-posterior-superior."""
_NAMES = {
    **{name: (name, name) for name in ("scanner-xyz", "3d-right-handed", "3d-left-handed")},
    **{name: (name, "".join(word[0] for word in name.split("-"))) for name in SIGNS},
}
WORLDS = {
    spelled: (name, axes)
    for name, (long, short) in _NAMES.items()
    for spelled, axes in ((long, 3), (short, 3), (f"{long}-time", 4), (f"{short}t", 4))
}
"""What the format calls a world -> its name and number of axes."""
CHANNELS = {
    *("list", "vector", "covariant-vector", "normal", "point", "scalar", "stub", "time"),
    *("2-vector", "3-vector", "4-vector", "3-gradient", "3-normal"),
}
UNKNOWN = {"none", "???", "domain", "space"}


def channel_axis_of(fields: Fields, axes: int) -> int | None:
    """Which of four axes counts channels: the one without a direction, else of such a kind, else the last.

    Raises:
        DataError: there is not one such axis of four and none of three, or it counts colours, complex numbers ...
    """
    kinds = _kinds(fields, axes)
    if "spacedirections" in fields:
        apart = [axis for axis, vector in enumerate(_directions(fields, axes)) if not vector[:3].any()]
    else:
        apart = [axis for axis, kind in enumerate(kinds) if kind in CHANNELS] or _without_spacing(fields, axes)
    if len(apart) != axes - 3:
        got, wanted = f"{axes - len(apart)} of {axes} axes", "three axes in space, and at most one for channels"
        raise DataError("not a volume", where=fields.path, got=got, wanted=wanted)
    return apart[0] if apart else None


def _without_spacing(fields: Fields, axes: int) -> list[int]:
    spacings = fields.reals("spacings", axes, unset=True) if "spacings" in fields else ()
    unset = [axis for axis, length in enumerate(spacings) if math.isnan(length)]
    return unset if len(unset) == axes - 3 else list(range(axes))[3:]


def _kinds(fields: Fields, axes: int) -> list[str]:
    kinds = [kind.lower() for kind in fields.text("kinds", "??? " * axes).split()]
    if len(kinds) != axes:
        raise fields.wrong("kinds", f"one for each of {axes} axes")
    if odd := [kind for kind in kinds if kind not in CHANNELS | UNKNOWN]:
        raise DataError("the voxels are not plain numbers", where=fields.path, got=f"axes of kind {', '.join(odd)}")
    return kinds


def lps_affine(
    fields: Fields, sizes: tuple[int, ...], channel_axis: int | None
) -> tuple[np.ndarray, float | None, list[Note]]:
    """Voxel index -> left-posterior-superior mm (4, 4), the millimetres of the file's unit, and what was assumed.

    Raises:
        DataError: directions or spacings that are none, a mirrored world, units that differ between axes.
    """
    spatial = [axis for axis in range(len(sizes)) if axis != channel_axis]
    affine = np.eye(4)
    if "spacedirections" in fields:
        vectors = _directions(fields, len(sizes))[spatial]
        if vectors[:, 3:].any():
            raise fields.wrong("spacedirections", "axes in space that do not run in time")
        affine[:3, :3] = vectors[:, :3].T
        _compare_spacings(fields, vectors, spatial, len(sizes))
        notes = _origin(fields, affine)
    else:
        notes = _from_spacings(fields, affine, spatial, len(sizes))
    notes += _to_lps(fields, affine)
    unit_mm = _unit_mm(fields, spatial, len(sizes))
    affine[:3] *= unit_mm or 1.0
    return affine, unit_mm, notes


def _space(fields: Fields) -> tuple[str, int]:
    """The world's name, "" if it has none, and its number of axes; 0 if there is no world."""
    stated = fields.whole("spacedimension", "0")
    if "space" not in fields:
        if stated not in (0, 3, 4):
            raise fields.wrong("spacedimension", "3")
        return "", stated
    name, axes = WORLDS.get(fields.text("space").lower(), ("", 0))
    if not name:
        raise fields.wrong("space", ", ".join(SIGNS))
    if name == "3d-left-handed":
        raise DataError("a world that mirrors left and right", where=fields.path, got=name, wanted=", ".join(SIGNS))
    if stated not in (0, axes):
        raise fields.wrong("spacedimension", str(axes))
    return name, axes


def _vectors(fields: Fields, name: str, count: int) -> np.ndarray:
    """(count, axes of the world); zeros where it says none."""
    axes = _space(fields)[1]
    if not axes:
        raise DataError(f"'{name}' without a world", where=fields.path, wanted="the field 'space'")
    text = fields.text(name)
    words = re.findall(r"\([^()]*\)|[^\s()]+", text)
    if len(words) != count or len("".join(words)) != len(re.sub(r"\s+(?![^(]*\))", "", text)):
        raise fields.wrong(name, f"{count} vectors")
    found = np.zeros((count, axes))
    for row, word in enumerate(words):
        if word.lower() == "none":
            continue
        numbers = Fields(fields.path)
        numbers.add(name, word.strip("()").replace(",", " ") if word.startswith("(") else "?")
        if word.count(",") != axes - 1:
            raise fields.wrong(name, f"vectors of {axes} numbers")
        found[row] = numbers.reals(name, axes)
    return found


def _directions(fields: Fields, axes: int) -> np.ndarray:
    return _vectors(fields, "spacedirections", axes)


def _origin(fields: Fields, affine: np.ndarray) -> list[Note]:
    if fields.text("spaceorigin", "none").lower() in ("none", ""):
        return [assumed("position", "(0, 0, 0)")]
    affine[:3, 3] = _vectors(fields, "spaceorigin", 1)[0, :3]
    return []


def _compare_spacings(fields: Fields, vectors: np.ndarray, spatial: list[int], axes: int) -> None:
    if "spacings" not in fields:
        return
    given = np.array(fields.reals("spacings", axes, unset=True))[spatial]
    lengths = np.linalg.norm(vectors, axis=1)
    if (np.abs(given - lengths) > 1e-3 * lengths).any():  # False where not set
        raise fields.wrong("spacings", f"{lengths.tolist()} as the space directions say")


def _from_spacings(fields: Fields, affine: np.ndarray, spatial: list[int], axes: int) -> list[Note]:
    """Axes along left, posterior, superior; as ITK, the position from axis mins where they are set."""
    notes = [assumed("orientation", f"{LPS} axes")]
    spacing = np.full(3, np.nan)
    if "spacings" in fields:
        spacing = np.array(fields.reals("spacings", axes, unset=True))[spatial]
    elif "axismaxs" in fields:
        raise DataError("the header gives its extent but no spacings", where=fields.path, wanted="the field 'spacings'")
    if np.isnan(spacing).all():
        spacing = np.ones(3)
        notes.append(assumed("spacing", "1 mm", mm=1.0))
    if not (spacing > 0).all():
        raise fields.wrong("spacings", "above 0")
    affine[range(3), range(3)] = spacing

    if "spaceorigin" in fields:
        return notes + _origin(fields, affine)
    mins = np.array(fields.reals("axismins", axes, unset=True))[spatial] if "axismins" in fields else spacing * np.nan
    if np.isnan(mins).any():
        return [*notes, assumed("position", "(0, 0, 0)")]
    centers = fields.text("centers", "??? " * axes).lower().split()
    if len(centers) != axes:
        raise fields.wrong("centers", f"one for each of {axes} axes")
    half = np.array([0.0 if centers[axis] == "node" else 0.5 for axis in spatial])
    affine[:3, 3] = mins + half * spacing
    return notes


def _to_lps(fields: Fields, affine: np.ndarray) -> list[Note]:
    name, axes = _space(fields)
    affine[:2] *= np.array(SIGNS.get(name, (1.0, 1.0)))[:, None]
    if name in SIGNS or not axes:
        return []
    text = "the file names no anatomical world (space: {value}): " + LPS + " was assumed, as ITK does"
    return [Note("space-assumed", text, value=name or "none", assumed=True)]


def _unit_mm(fields: Fields, spatial: list[int], axes: int) -> float | None:
    """Of the world, else of the axes."""
    name, wanted = ("spaceunits", _space(fields)[1]) if "spaceunits" in fields else ("units", axes)
    text = fields.text(name, "")
    if not text:
        return None
    words = re.findall(r'"([^"]*)"', text) if '"' in text else text.split()
    if len(words) != wanted:
        raise fields.wrong(name, f"{wanted} units in quotation marks")
    found = {mm_of(word, fields.path) for word in (words[:3] if name == "spaceunits" else [words[a] for a in spatial])}
    if len(found) != 1:
        raise fields.wrong(name, "one unit for all axes in space")
    return found.pop()
