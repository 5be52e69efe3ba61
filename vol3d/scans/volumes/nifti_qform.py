"""The qform of a NIfTI header: a rotation as a quaternion, with what writers get wrong about it."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note

FIELDS = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
EXACT = 3 * float(np.finfo(np.float32).eps)  # what float32 makes of a quaternion of length 1, at most
ROUNDED = 0.01  # what a quaternion of two or three decimals can exceed length 1 by, squared


def read_qform(header: Any, where: str | PathLike[str]) -> tuple[np.ndarray, list[Note]]:
    """The matrix (4, 4) in the file's unit, and what had to be put right.

    Args:
        header: nibabel's.

    Raises:
        DataError: a spacing that is no length, a handedness other than -1, 0, 1, a quaternion that is no rotation.
    """
    check_spacing(header, where)
    b, c, d, *offset = (float(header[name]) for name in FIELDS)
    squared = b * b + c * c + d * d
    hand = float(header["pixdim"][0])
    if hand not in (-1.0, 0.0, 1.0):
        raise DataError("the qform's handedness is wrong", where=where, got=f"pixdim[0] {hand:g}", wanted="1 or -1")
    if not squared <= 1 + ROUNDED:
        got = f"quaternion ({b:g}, {c:g}, {d:g})"
        raise DataError("the qform's rotation is damaged", where=where, got=got, wanted="a length of at most 1")

    notes = []
    if hand == 0:
        text = "the qform's handedness is not set (pixdim[0] 0): {value} was assumed, as NIfTI says"
        notes.append(Note("handedness-assumed", text, value="1", assumed=True))
    if squared > 1 + EXACT:
        text = "the qform's quaternion is {excess:.1e} too long for a rotation: half a turn was assumed, as ITK does"
        notes.append(Note("quaternion-rounded", text, assumed=True, numbers={"excess": squared**0.5 - 1}))
    return _matrix(header, hand or 1.0, (b, c, d), offset), notes


def _matrix(header: Any, hand: float, bcd: tuple[float, float, float], offset: list[float]) -> np.ndarray:
    from nibabel.quaternions import fillpositive, quat2mat

    squared = float(np.dot(bcd, bcd))
    # quat2mat takes a quaternion of any length, so that without w this is the half turn about (b, c, d).
    quaternion = fillpositive(bcd, header.quaternion_threshold) if squared <= 1 else np.array([0.0, *bcd])
    affine = np.eye(4)
    affine[:3, :3] = quat2mat(quaternion) @ np.diag(header["pixdim"][1:4].astype(np.float64) * [1, 1, hand])
    affine[:3, 3] = offset
    return affine


def check_spacing(header: Any, where: str | PathLike[str]) -> None:
    """Raises DataError unless pixdim[1] to [3] are lengths."""
    spacing = tuple(float(length) for length in header["pixdim"][1:4])
    if not all(np.isfinite(length) and length > 0 for length in spacing):
        raise DataError(
            "a voxel spacing is zero, negative or not finite", where=where, got=spacing, wanted="mm above 0"
        )


def fields_of(header: Any) -> np.ndarray:
    """The ten numbers of the qform as they are: pixdim 0-3, quatern b c d, qoffset x y z."""
    return np.array([*header["pixdim"][:4].tolist(), *(header[name].item() for name in FIELDS)])


def set_fields(header: Any, fields: np.ndarray) -> None:
    """Write what `fields_of` gave, to the bit."""
    header["pixdim"][:4] = fields[:4]
    for name, value in zip(FIELDS, fields[4:], strict=True):
        header[name] = value
