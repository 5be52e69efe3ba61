"""Units of length in the headers of volume files; the grid is in millimetres whatever they are."""

from __future__ import annotations

from os import PathLike

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note

MM = 2  # NIfTI's code
NIFTI_MM = {0: 1.0, 1: 1000.0, MM: 1.0, 3: 0.001}  # xyzt_units & 7: unknown, metre, millimetre, micrometre
_NAMES = {
    1e-6: ("nm", "nanometer", "nanometre"),
    1e-3: ("um", "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m", "micron", "micrometer", "micrometre"),
    1.0: ("mm", "millimeter", "millimetre"),
    10.0: ("cm", "centimeter", "centimetre"),
    25.4: ("in", "inch"),
    1000.0: ("m", "meter", "metre"),
}
BODY_MM = (1.0, 2500.0)  # longest sides that scans have; a file without a unit is in mm by convention if it fits
_UNKNOWN = ("", "?", "??", "???", "none", "unknown")


def mm_of(name: str, where: str | PathLike[str]) -> float | None:
    """Millimetres in the unit of that name; None where it says that the unit is unknown.

    Raises:
        DataError: a unit that is no length.
    """
    word = name.strip().lower()
    if word in _UNKNOWN:
        return None
    for mm, names in _NAMES.items():
        if word in names or word.removesuffix("s") in names or (word == "inches" and mm == 25.4):
            return mm
    raise DataError("unknown unit of length", where=where, got=repr(name[:40]), wanted="mm, um, cm, m, nm or inch")


def unit_code(mm: float) -> int:
    """NIfTI's code of the unit that has so many millimetres; that of mm for a unit that NIfTI lacks."""
    return next((code for code, size in NIFTI_MM.items() if code and size == mm), MM)


def unit_notes(mm: float | None, shape: tuple[int, ...], affine: np.ndarray) -> list[Note]:
    """What was made of a file's unit.

    A file that states none is in mm by the convention of every format and program: that is noted where its size, which
    no body has, speaks against it.

    Args:
        mm: millimetres in the unit that the file states; None if it states none.
        affine: (4, 4) in mm.
    """
    if mm is None:
        side = float((np.linalg.norm(affine[:3, :3], axis=0) * shape).max())
        if BODY_MM[0] <= side <= BODY_MM[1]:
            return []
        text = "the file gives no unit of length: {value} was assumed, though the longest side is {side_mm:.4g} mm then"
        return [Note("unit-assumed", text, value="mm", assumed=True, numbers={"side_mm": side})]
    if mm != 1.0:
        return [Note("lengths-converted", "lengths were converted to mm (1 unit = {mm:g} mm)", numbers={"mm": mm})]
    return []
