"""NumPy's `.npy` and `.npz`: a table of columns, a structured array, or several arrays by name. Never a pickle."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from vol3d.errors import DataError, UsageError
from vol3d.scans.points.layouts import check_columns, guess_columns
from vol3d.scans.points.raw import COPY, RawPoints, check_memory, table_fields

POINT_KEYS = (
    "points",
    "xyz",
    "pc",
    "coord",
    "coords",
    "point_cloud",
    "pointcloud",
    "pts",
    "pos",
    "positions",
    "vertices",
)
_MOST_PER_BYTE = 1100  # that deflate unpacks a byte to
_FACE_KEYS = ("faces", "triangles")


def read_npy(path: Path, columns: tuple[str, ...] | None = None) -> RawPoints:
    """Points of an array (N, 3 or more), or of a structured array by the names of its fields.

    Raises:
        DataError: damaged, cut or with bytes behind; Python objects; another shape or type.
    """
    with path.open("rb") as file:
        array = _load(file, path, path.name, path.stat().st_size)
        if file.read(1):
            raise DataError("the file goes on after its array", where=path, do=COPY)
    return array_points(array, path, path.name, columns)


def read_npz(path: Path, columns: tuple[str, ...] | None = None) -> RawPoints:
    """Points of the array with a usual name (or the only one), and the other arrays of its length as columns.

    Raises:
        DataError: as `read_npy`; no array is known to hold points, or several are.
    """
    arrays = _read_archive(path)
    key = _points_key(arrays, path)
    points = array_points(arrays[key], path, key, columns)
    others = {name: array for name, array in arrays.items() if name not in (key, *_FACE_KEYS)}
    fields = {name: array for name, array in others.items() if _is_column(array, len(points.fields["x"]))}
    faces = next((arrays[name].astype(np.int64) for name in _FACE_KEYS if _is_faces(arrays.get(name))), None)
    return RawPoints({**fields, **points.fields}, faces, points.notes)


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    """Every array by its name in lower case. Raises DataError if the archive or one of them is damaged."""
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            check_memory(path, 2 * sum(member.file_size for member in members))
            for member in members:
                _check_packed(member, path)
                name = member.filename.removesuffix(".npy").lower()
                if name in arrays:
                    raise DataError("two arrays have one name", where=path, got=name)
                with archive.open(member) as file:
                    arrays[name] = _load(file, path, member.filename, member.file_size)
                    if file.read(1):  # to the end, where the archive compares the checksum
                        raise DataError("an array goes on after its end", where=f"{path}: {name}", do=COPY)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as fault:
        raise DataError("a damaged .npz file", where=path, got=str(fault), do=COPY) from fault
    return arrays


def _check_packed(member: zipfile.ZipInfo, path: Path) -> None:
    """Raises DataError if a member of an archive announces more than its bytes can hold."""
    if member.file_size > _MOST_PER_BYTE * member.compress_size + _MOST_PER_BYTE:
        got = f"{member.file_size} bytes in {member.compress_size}"
        raise DataError(
            "the archive announces more than it can hold", where=f"{path}: {member.filename}", got=got, do=COPY
        )


def _points_key(arrays: dict[str, np.ndarray], path: Path) -> str:
    """The name of the points. Raises DataError if none is known to be it, or several are."""
    known = [key for key in POINT_KEYS if key in arrays]
    if not known and len(arrays) == 1:
        known = list(arrays)
    if len(known) != 1:
        what = "several arrays could be the points" if known else "no array is known to hold the points"
        do = "Name it 'points'; others of its length become columns."
        got = ", ".join(f"{key} {arrays[key].shape}" for key in arrays) or "no arrays"
        raise DataError(what, where=path, got=got, wanted=f"one of {', '.join(POINT_KEYS)}", do=do)
    return known[0]


def _is_column(array: np.ndarray, points: int) -> bool:
    return array.shape[:1] == (points,) and array.ndim <= 2 and array.dtype.kind in "biuf"


def _is_faces(array: np.ndarray | None) -> bool:
    return array is not None and array.ndim == 2 and array.shape[1] == 3 and array.dtype.kind in "iu" and len(array) > 0


def _load(file: IO[bytes], path: Path, name: str, size: int) -> np.ndarray:
    """The array in a file of so many bytes, whose header is looked at before memory is taken."""
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if min(shape, default=0) < 0 or math.prod(shape) * max(dtype.itemsize, 1) > size:
            got, wanted = f"{shape} of {dtype}", f"at most {size} bytes"
            what = "the header announces more than the file holds"
            raise DataError(what, where=_place(path, name), got=got, wanted=wanted, do=COPY)
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except (zipfile.BadZipFile, zlib.error, DataError):
        raise
    except Exception as fault:  # ValueError, EOFError, SyntaxError, TokenError and others for a damaged header
        raise DataError("no array can be read", where=_place(path, name), got=str(fault)[:200], do=COPY) from fault


def _place(path: Path, name: str) -> str:
    """The file, and which of its arrays unless it is one itself."""
    return str(path) if name == path.name else f"{path}: {name}"


def array_points(array: np.ndarray, path: Path, name: str, columns: tuple[str, ...] | None) -> RawPoints:
    """Points of an array that messages call `name`; raises as `read_npy`."""
    if array.dtype.names is not None:
        if columns is not None:
            raise UsageError("the fields have names of their own", where=path, got=", ".join(array.dtype.names))
        flat = array.reshape(-1)
        return RawPoints({field.lower(): np.ascontiguousarray(flat[field]) for field in array.dtype.names})

    _check_table(array, f"{path}: {name}")
    if columns is not None:
        return RawPoints(table_fields(array, check_columns(columns, array.shape[1], path)))
    if not len(array):
        raise DataError("no points in the file", where=f"{path}: {name}", got=array.shape)
    names, notes = guess_columns(array, path)
    return RawPoints(table_fields(array, names), notes=notes)


def _check_table(array: np.ndarray, where: str) -> None:
    """Raises DataError unless it is (N, 3 or more) numbers."""
    if array.dtype.kind not in "iuf":
        raise DataError("an array of no numbers", where=where, got=array.dtype, wanted="floats or integers")
    lying = array.ndim == 2 and array.shape[0] == 3
    if array.ndim != 2 or array.shape[1] < 3 or (lying and array.shape[1] > 12):
        do = "Transpose it before you save it." if lying else None
        raise DataError("an array of another shape", where=where, got=array.shape, wanted="(N, 3 or more)", do=do)
