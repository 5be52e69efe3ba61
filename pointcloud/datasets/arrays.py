"""Tables of numbers from the files of other projects, checked before anything is done with them."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.files import require_file


def load_table(path: Path, columns: int | tuple[int, ...], key: str | None = None) -> np.ndarray:
    """The (N, columns) numbers in a `.npy` file, or under `key` in an `.npz` file.

    Args:
        columns: how many there may be; a file without a row may have any.

    Raises:
        DataError: missing, damaged, no numbers, another shape, NaN or infinity.
    """
    wanted = (columns,) if isinstance(columns, int) else columns
    array = _load(path, key)

    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise DataError("no table of numbers", where=path, got=getattr(array, "dtype", type(array).__name__))
    if array.size == 0:
        return np.zeros((0, wanted[0]), array.dtype)
    if array.ndim != 2 or array.shape[1] not in wanted:
        columns_wanted = f"(N, {' or '.join(map(str, wanted))})"
        raise DataError("a table of another shape", where=path, got=array.shape, wanted=columns_wanted)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise DataError("NaN or infinity in the table", where=path, got=f"row {row}", wanted="numbers")
    return array


def _load(path: Path, key: str | None) -> Any:
    """What NumPy finds in the file: an array, or an archive where one was not expected."""
    try:
        array = np.load(require_file(path), allow_pickle=False)
        if key is not None:
            with array as archive:
                array = archive[key]
        return array
    except OSError as error:
        raise DataError(f"cannot read the file ({error.strerror or error})", where=path) from error
    except KeyError as error:
        raise DataError("an array is missing in the file", where=path, wanted=key) from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError("the file is damaged or no array", where=path, got=error, do="Export it again.") from error


def load_bin(path: Path, columns: int) -> np.ndarray:
    """The (N, columns) float32 values of a file that holds nothing else.

    Raises:
        DataError: missing, or not a whole number of rows.
    """
    try:
        size = require_file(path).stat().st_size
        if size % (4 * columns):
            raise DataError("no whole number of rows", where=path, got=f"{size} bytes", wanted=f"rows of {4 * columns}")
        return np.fromfile(path, "<f4").reshape(-1, columns)
    except OSError as error:
        raise DataError(f"cannot read the file ({error.strerror})", where=path) from error


def colours(values: np.ndarray, largest: float) -> np.ndarray:
    """(N, 3) colours of 0 to `largest` as uint8."""
    return np.clip(np.rint(values * (255.0 / largest)), 0, 255).astype(np.uint8)
