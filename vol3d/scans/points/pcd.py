"""PCD (Point Cloud Library), version 0.7 and before: ascii, binary and binary_compressed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.points.raw import COPY, UTF8_MARK, RawPoints, as_type, check_memory, check_size, unique_names
from vol3d.scans.points.text_table import parse_rows
from vol3d.scans.points.unit_words import unit_in_comments

LONGEST = 1 << 16  # bytes of a header
_KEYS = ("VERSION", "FIELDS", "COLUMNS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS", "DATA")
_KINDS = {"F": "f", "I": "i", "U": "u"}
_NO_TURN = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
_MOST_PER_BYTE = 88  # that LZF unpacks a byte to: three bytes stand for 264 at most
_PADDING = 4096  # zeros that writers leave behind compressed data to fill a page


@dataclass(frozen=True)
class _Header:
    row: np.dtype
    points: int
    data: str
    size: int
    lines: int
    comments: tuple[str, ...]
    notes: tuple[Note, ...]


def read_pcd(path: Path) -> RawPoints:
    """Every field; a field with a count is (N, count), packed colours stay packed.

    Raises:
        DataError: a damaged header, a file that is cut or goes on, compressed data that do not unpack.
    """
    header = _read_header(path)
    if header.data == "ascii":
        table = _read_ascii(path, header)
    elif header.data == "binary":
        check_size(path, path.stat().st_size, header.size + header.points * header.row.itemsize, header.points)
        rows = np.fromfile(path, header.row, header.points, offset=header.size)
        table = {name: np.ascontiguousarray(rows[name]) for name in header.row.names or ()}
    else:
        table = _read_compressed(path, header)
    fields = {name: values for name, values in table.items() if name[0] != "_"}
    return RawPoints(fields, None, header.notes, None, *unit_in_comments(header.comments))


def _read_ascii(path: Path, header: _Header) -> dict[str, np.ndarray]:
    rows = parse_rows(np.fromfile(path, np.uint8, offset=header.size), path, header.lines + 1)
    if len(rows) != header.points:
        what = "the file is cut" if len(rows) < header.points else "the file goes on after its last point"
        raise DataError(what, where=path, got=f"{len(rows)} lines of data", wanted=header.points, do=COPY)
    widths = [int(np.prod(header.row[name].shape, dtype=int)) for name in header.row.names or ()]
    values = rows.table(path, sum(widths))
    ends = np.cumsum(widths)
    table = {}
    for name, end, width in zip(header.row.names or (), ends, widths, strict=True):
        column = values[:, end - width] if width == 1 else values[:, end - width : end]
        table[name] = _ascii_colour(column, header.row[name].base, name, path)
    return table


def _ascii_colour(values: np.ndarray, dtype: np.dtype, name: str, path: Path) -> np.ndarray:
    # PCL writes a packed colour as the whole number that its bits are, although TYPE is F.
    if name in ("rgb", "rgba") and dtype == np.float32 and len(values) and np.nanmax(np.abs(values)) >= 1:
        return as_type(np.nan_to_num(values), np.dtype(np.uint32), name, path)
    return as_type(values, dtype, name, path) if values.ndim == 1 else values.astype(dtype)


def _read_compressed(path: Path, header: _Header) -> dict[str, np.ndarray]:
    from vol3d.scans.points.lzf import decode_lzf

    content = np.fromfile(path, np.uint8, offset=header.size)
    if len(content) < 8:
        raise DataError("the file is cut", where=path, got=f"{len(content)} bytes of data", do=COPY)
    packed, unpacked = (int(value) for value in content[:8].view("<u4"))
    wanted = header.points * header.row.itemsize
    if unpacked > _MOST_PER_BYTE * packed:
        got = f"{unpacked} bytes in {packed}"
        raise DataError("the header announces more than the file can hold", where=path, got=got, do=COPY)
    check_memory(path, 2 * unpacked)
    if unpacked != wanted:
        raise DataError("header and data disagree", where=path, got=f"{unpacked} bytes", wanted=wanted, do=COPY)
    surplus = content[8 + packed :]
    if len(content) < 8 + packed or len(surplus) > _PADDING or surplus.any():
        check_size(path, header.size + len(content), header.size + 8 + packed, header.points)
    data = decode_lzf(content[8 : 8 + packed], unpacked)
    if len(data) != unpacked:
        raise DataError("the compressed points are damaged", where=path, got=len(data), wanted=unpacked, do=COPY)
    table, at = {}, 0
    for name in header.row.names or ():  # field by field, not point by point as in `binary`
        kind = header.row[name]
        end = at + header.points * kind.itemsize
        table[name] = data[at:end].view(kind.base).reshape(header.points, *kind.shape)
        at = end
    return table


def _read_header(path: Path) -> _Header:
    with path.open("rb") as file:
        head = file.read(LONGEST)
    values: dict[str, list[str]] = {}
    comments: list[str] = []
    at, lines = len(UTF8_MARK) if head.startswith(UTF8_MARK) else 0, 0
    while "DATA" not in values:
        end = head.find(b"\n", at)
        if end < 0:
            raise DataError("the header is cut", where=path, wanted="a line 'DATA'", do=COPY)
        words, at, lines = head[at:end].decode("utf-8", "replace").split(), end + 1, lines + 1
        if words and words[0].startswith("#"):
            comments.append(" ".join(words))
        elif words:
            if words[0] not in _KEYS or words[0] in values:
                raise _no_header(words, lines, path)
            values[words[0]] = words[1:]
    try:
        return _header(values, at, lines, tuple(comments), path)
    except (ValueError, KeyError, IndexError, TypeError) as fault:
        raise DataError("a damaged PCD header", where=path, got=str(fault), do=COPY) from fault


def _no_header(words: list[str], line: int, path: Path) -> DataError:
    what = "a line of the header is there twice" if words[0] in _KEYS else "not a PCD file"
    do = "Name it .pcd.bin if it holds plain float32 numbers, as nuScenes has them." if line == 1 else COPY
    return DataError(what, where=f"{path}:{line}", got=repr(" ".join(words)[:40]), do=do)


def _header(values: dict[str, list[str]], size: int, lines: int, comments: tuple[str, ...], path: Path) -> _Header:
    """Raises ValueError, KeyError, IndexError or TypeError for invalid entries."""
    data = " ".join(values["DATA"]).lower()
    if data not in ("ascii", "binary", "binary_compressed"):
        raise ValueError(f"DATA {data}")

    width, height = int(values["WIDTH"][0]), int(values.get("HEIGHT", ["1"])[0])
    points = int(values["POINTS"][0]) if "POINTS" in values else width * height
    if points < 0 or points != width * height:
        raise ValueError(f"POINTS {points}, WIDTH {width} HEIGHT {height}")

    notes = []
    viewpoint = [float(word) for word in values.get("VIEWPOINT", _NO_TURN)]
    if viewpoint != _NO_TURN:
        text = "the file's VIEWPOINT, at ({x:g}, {y:g}, {z:g}), was not applied: the points stay in the sensor's axes"
        numbers = dict(zip("xyz", viewpoint[:3], strict=True))
        notes.append(Note("viewpoint-not-applied", text, numbers=numbers))
    return _Header(_row(values, path), points, data, size, lines, comments, tuple(notes))


def _row(values: dict[str, list[str]], path: Path) -> np.dtype:
    """The type of one point; fields named `_` get unique names."""
    names = values["FIELDS"] if "FIELDS" in values else values["COLUMNS"]
    counts = [int(word) for word in values.get("COUNT", ["1"] * len(names))]
    rows = zip(names, values["TYPE"], values["SIZE"], counts, strict=True)
    fields = []
    for number, (name, kind, bytes_each, count) in enumerate(rows):
        if count < 0:
            raise ValueError(f"COUNT {count}")
        if count == 0:  # Ouster's programs announce gaps of no bytes
            continue
        label = f"_{number}" if name == "_" else name.lower()
        fields.append((label, np.dtype(f"<{_KINDS[kind]}{int(bytes_each)}"), (count,) if count > 1 else ()))
    unique_names([label for label, _, _ in fields], path)
    return np.dtype(fields)
