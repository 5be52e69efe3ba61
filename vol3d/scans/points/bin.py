"""Plain float32 numbers without a header (`.bin`), whose columns are asked for or found in the numbers themselves.

In a stream of points with c columns, numbers c apart are of one kind. The mean difference of ranks between numbers k
apart is therefore least at k = c (and its multiples), where it compares x with x and intensity with intensity.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.points.layouts import (
    LAYOUTS,
    assumed,
    check_columns,
    fits,
    guess_columns,
    misfits,
    telling_rows,
    unclear,
)
from vol3d.scans.points.raw import COPY, RawPoints, table_fields

_COUNTS = sorted({len(layout) for layout in LAYOUTS})
_LOOKED_AT = 120_000  # numbers in the middle of the file
_GLANCED_AT = 12_000  # where the number of columns is stated
_FEWEST = 300  # numbers in which a period can be found
_CLEAR = 0.85  # the least mean difference is below this share of any other that is no multiple
_MOST = 12  # columns that a period is looked for


def read_bin(path: Path, columns: tuple[str, ...] | None = None) -> RawPoints:
    """Points of a `.bin` file; `columns` name them in order, `_` leaves one out.

    Raises:
        DataError: its size fits no column count, no layout fits its numbers or several do; its numbers clearly repeat
            by another number of columns than `columns` has.
        UsageError: `columns` that cannot be.
    """
    size = path.stat().st_size
    if size % 4:
        raise DataError("the size is no multiple of four bytes", where=path, got=size, wanted="float32", do=COPY)
    if columns is not None:
        names = check_columns(columns, len(columns), path)
        if size % (4 * len(names)):
            wanted = f"a multiple of {len(names)}"
            raise DataError(
                "the file's size fits no such columns", where=path, got=f"{size // 4} numbers", wanted=wanted
            )
        values = np.fromfile(path, "<f4")
        refuse_another_width(values, len(names), path)
        return RawPoints(table_fields(values.reshape(-1, len(names)), names))
    values = np.fromfile(path, "<f4")
    names, notes = _deduce(values, path)
    return RawPoints(table_fields(values.reshape(-1, len(names)), names), notes=notes)


def refuse_another_width(values: np.ndarray, width: int, path: Path) -> None:
    """Raises DataError if numbers that are taken for points of `width` columns clearly repeat by another width.

    Rows of five numbers that are read as rows of four are points all over the place, and no error elsewhere.
    """
    period = _period(values, _GLANCED_AT)
    if period is not None and period % width and width % period:
        got, wanted = f"numbers that repeat every {period}", f"{width} columns"
        do = f"Name all {period} where columns can be named, _ for those to leave out; else write rows of {width}."
        raise DataError("the file has another number of columns", where=path, got=got, wanted=wanted, do=do)


def _deduce(values: np.ndarray, path: Path) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    possible = [count for count in _COUNTS if len(values) % count == 0]
    _check_numbers(values, possible, path)
    hint = "ring" if path.name.lower().endswith(".pcd.bin") else None
    layouts = _fitting(values, possible, hint)
    fitting = {len(one) for one in layouts}
    period = 5 if hint and 5 in fitting else _period(values)  # nuScenes' own name for its five columns
    if period is not None:
        fitting &= {period}
    elif len(values) >= _FEWEST:  # only x, y and z can be so much alike that nothing repeats
        fitting = fitting if fitting == {3} else set()
    if len(fitting) != 1:
        raise _untold(values, period, layouts, path)
    table = values.reshape(-1, fitting.pop())
    names, notes = guess_columns(table, path, hint)
    return names, notes or (assumed(names, len(table)),)


def _fitting(values: np.ndarray, possible: list[int], hint: str | None) -> list[tuple[str, ...]]:
    """The layouts of a possible number of columns that the numbers can be."""
    tables = {count: telling_rows(values.reshape(-1, count)) for count in possible}
    return [one for one in LAYOUTS if len(one) in tables and fits(tables[len(one)], one, hint)]


def _check_numbers(values: np.ndarray, possible: list[int], path: Path) -> None:
    """Raises DataError if there is no possible number of columns, or no finite number."""
    got = f"{len(values)} numbers"
    if not possible:
        counts = ", ".join(map(str, _COUNTS))
        do = f"It is cut, or has other columns: name them, `--columns x,y,z,_` for example. {COPY}"
        wanted = f"a multiple of one of {counts}"
        raise DataError("the file's size fits no column count", where=path, got=got, wanted=wanted, do=do)
    if not np.isfinite(values).any():
        raise DataError("no finite number in the file", where=path, got=got, do=COPY)


def _untold(values: np.ndarray, period: int | None, layouts: list[tuple[str, ...]], path: Path) -> DataError:
    """The error that states how the numbers repeat, and what does not fit or what could."""
    got = f"{len(values)} float32 numbers"
    if period is None:
        return unclear([",".join(one) for one in layouts], got, path)
    got += f" that repeat every {period}"
    if period in _COUNTS and len(values) % period == 0:
        return unclear([], got + misfits(values.reshape(-1, period)), path)
    # A scanner's turns, thinned, repeat after several points.
    could = [",".join(one) for one in layouts if period % len(one) == 0]
    if not could:
        return unclear([], got, path)
    example = "x,y,z,intensity" if "x,y,z,intensity" in could else could[0]
    return unclear([], f"{got}; thinned, it could be {' or '.join(could)}", path, example)


def _period(values: np.ndarray, looked_at: int = _LOOKED_AT) -> int | None:
    """The number of columns at which the stream repeats its kinds of numbers; None if none stands out."""
    middle = max(0, len(values) - looked_at) // 2
    part = values[middle : middle + looked_at]
    if len(part) < _FEWEST:
        return None
    ranks = np.searchsorted(np.sort(part), part).astype(np.float64)
    ranks[part == 0] = np.nan  # of points without a return, all numbers are alike
    differences = {count: _mean_difference(ranks, count) for count in range(3, _MOST + 1)}
    least = min(differences.values())
    close = [count for count, difference in differences.items() if difference * _CLEAR <= least]
    return close[0] if all(count % close[0] == 0 for count in close) else None


def _mean_difference(ranks: np.ndarray, apart: int) -> float:
    """Of all pairs of ranks (N,) so far apart that both exist."""
    differences = np.abs(ranks[apart:] - ranks[:-apart])
    differences = differences[np.isfinite(differences)]
    return float(differences.mean()) if len(differences) else np.inf
