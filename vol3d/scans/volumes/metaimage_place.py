"""Where a MetaImage stands. Its directions are stated twice, as numbers and as letters; programs use the numbers."""

from __future__ import annotations

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.volumes.affine import LPS_TO_RAS, check_affine
from vol3d.scans.volumes.orientation import OPPOSITE, orientation
from vol3d.scans.volumes.stored import assumed
from vol3d.scans.volumes.text_header import Fields
from vol3d.scans.volumes.units import mm_of

UNIT_LENGTH = 0.01  # how far the length of a direction may be from 1


def lps_affine(fields: Fields) -> tuple[np.ndarray, float | None, list[Note]]:
    """Voxel index -> left-posterior-superior mm (4, 4), the millimetres of the file's unit, and what was assumed.

    Raises:
        DataError: spacings not above 0, directions that are none, an orientation in letters only.
    """
    axes = fields.whole("ndims")
    spacing, notes = _spacing(fields, axes)
    directions = _directions(fields, axes, notes)
    origin = np.array(fields.reals("offset", axes)[:3]) if "offset" in fields else np.zeros(3)
    if "offset" not in fields:
        notes.append(assumed("position", "(0, 0, 0)"))
    if "centerofrotation" in fields and any(fields.reals("centerofrotation", axes)):
        text = "CenterOfRotation ({value}) was not used, as ITK does not use it"
        notes.append(Note("center-of-rotation-unused", text, value=fields.text("centerofrotation")))

    unit_mm = mm_of(fields.text("distanceunits", ""), fields.path)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = origin
    affine[:3] *= unit_mm or 1.0
    check_affine(affine, fields.path)
    _compare_letters(fields, affine, notes)
    return affine, unit_mm, notes


def _spacing(fields: Fields, axes: int) -> tuple[np.ndarray, list[Note]]:
    name = "elementspacing" if "elementspacing" in fields else "elementsize"
    if name not in fields:
        return np.ones(3), [assumed("spacing", "1 mm", mm=1.0)]
    spacing = fields.reals(name, axes)[:3]
    if min(spacing) <= 0:
        raise DataError("a voxel spacing is zero or negative", where=fields.path, got=spacing, wanted="above 0")
    return np.array(spacing), []


def _directions(fields: Fields, axes: int, notes: list[Note]) -> np.ndarray:
    """(3, 3), a column for each voxel axis; the file has a row for each."""
    if "transformmatrix" not in fields:
        if (letters := _letters(fields)) not in ("", "RAI", "LPS"):
            raise DataError(
                "the orientation is given in letters only, which programs read in two ways",
                where=fields.path,
                got=f"AnatomicalOrientation {letters}",
                wanted="TransformMatrix",
                do="Export the image with ITK, or write its TransformMatrix into the header.",
            )
        notes.append(assumed("orientation", "left-posterior-superior axes"))
        return np.eye(3)
    rows = np.reshape(fields.reals("transformmatrix", axes * axes), (axes, axes))
    if axes == 4 and (rows[3, :3].any() or rows[:3, 3].any()):
        raise fields.wrong("transformmatrix", "a fourth axis apart from the other three")
    directions = rows[:3, :3].T
    if np.abs(np.linalg.norm(directions, axis=0) - 1).max() > UNIT_LENGTH:
        raise fields.wrong("transformmatrix", "directions of length 1")
    return directions


def _letters(fields: Fields) -> str:
    """AnatomicalOrientation if it says something."""
    letters = fields.text("anatomicalorientation", "").upper()[:3]
    return letters if len(letters) == 3 and all(letter in OPPOSITE for letter in letters) else ""


def _compare_letters(fields: Fields, affine: np.ndarray, notes: list[Note]) -> None:
    """Note letters that mean the directions neither as ITK writes them (where an axis begins) nor as where it ends."""
    letters, ends = _letters(fields), orientation(LPS_TO_RAS @ affine)
    begins = "".join(OPPOSITE[letter] for letter in ends)
    if letters and letters not in (ends, begins):
        text = f"AnatomicalOrientation is {{value}}, but TransformMatrix says {begins}; the matrix was used"
        notes.append(Note("orientation-contradicts", text, value=letters))
