"""PLY (Greg Turk's polygon format): ascii and binary of both byte orders, any properties; faces as triangles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.points.ply_header import Element, Header, read_header
from vol3d.scans.points.raw import COPY, RawPoints, as_type, check_size
from vol3d.scans.points.text_table import Rows, parse_rows
from vol3d.scans.points.unit_words import unit_in_comments

_LISTS = ("vertex_indices", "vertex_index")


def read_ply(path: Path) -> RawPoints:
    """Every property of the `vertex` element and the triangles of `face`; larger polygons become fans.

    Raises:
        DataError: a damaged header, a file that is cut or goes on, no `vertex`.
    """
    header = read_header(path)
    names = [element.name for element in header.elements]
    if names.count("vertex") != 1:
        raise DataError("no points in the file", where=path, got=" ".join(names), wanted="one element 'vertex'")
    vertex = header.elements[names.index("vertex")]
    if vertex.has_lists:
        raise DataError("points with lists as properties", where=path, wanted="numbers", do="Export without them.")
    fields, faces = (_read_ascii if header.ascii else _read_binary)(path, header)
    unit, fault = unit_in_comments(header.comments)
    return RawPoints(fields, faces, unit=unit, unit_fault=fault)


def _read_ascii(path: Path, header: Header) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    rows = parse_rows(np.fromfile(path, np.uint8, offset=header.size), path, header.lines + 1)
    announced = sum(element.count for element in header.elements)
    if len(rows) != announced:
        what = "the file is cut" if len(rows) < announced else "the file goes on after its last element"
        raise DataError(what, where=path, got=f"{len(rows)} lines of data", wanted=announced, do=COPY)
    fields, faces, begin = {}, None, 0
    for element in header.elements:
        part = rows.part(begin, begin + element.count)
        begin += element.count
        if element.has_lists:
            starts, counts = _walk_text(part, element, path)
            if element.name == "face" and _is_mesh(element) and len(part):
                first, last = part.starts[0], part.starts[-1]
                faces = _fans(_whole(part.values[first:last], path), starts - first, counts)
            continue
        table = part.table(path, len(element.properties))
        if element.name == "vertex":
            columns = zip(element.properties, table.T, strict=True)
            fields = {one.name: as_type(column, one.type, one.name, path) for one, column in columns}
    return fields, faces


def _whole(values: np.ndarray, path: Path) -> np.ndarray:
    """Corners as int64. Raises DataError if one is no whole number."""
    if (wrong := ~((np.abs(values) < 1 << 53) & (values == np.floor(values)))).any():
        raise DataError("a corner that is no whole number", where=path, got=values[wrong.argmax()], do=COPY)
    return values.astype(np.int64)


def _walk_text(rows: Rows, element: Element, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Where each row's corners begin in the values (R,), and their number (R,).

    Raises:
        DataError: a line with more or fewer values than its properties take.
    """
    at, end = rows.starts[:-1].copy(), rows.starts[1:]
    starts, counts = at, np.zeros(len(rows), np.int64)
    for one in element.properties:
        length = np.ones(len(rows), np.int64)
        if one.count_type is not None:
            inside = at < end
            length[inside] = np.clip(np.nan_to_num(rows.values[at[inside]], nan=-1), -1, len(rows.values))
            length[length < 0] = len(rows.values)  # a length that is none fits no line
            at = at + 1
        if one.name in _LISTS:
            starts, counts = at, length
        at = at + length
    if (bad := at != end).any():
        what = "a line with missing or surplus values"
        raise DataError(what, where=f"{path}:{rows.lines[bad.argmax()]}", got=f"element '{element.name}'", do=COPY)
    return starts, counts


def _read_binary(path: Path, header: Header) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    size, at = path.stat().st_size, header.size
    fields: dict[str, np.ndarray] = {}
    faces = None
    for element in header.elements:
        if not element.has_lists:
            row = element.row_type()
            end = at + element.count * row.itemsize
            if element is header.elements[-1] or end > size:
                check_size(path, size, end, element.count)
            if element.name == "vertex":
                table = np.fromfile(path, row, element.count, offset=at)
                fields = {name: np.ascontiguousarray(table[name]) for name in row.names or ()}
            at = end
        else:
            data = np.fromfile(path, np.uint8, offset=at)
            starts, counts, used = _walk(data, element, path)
            if element is header.elements[-1]:
                check_size(path, size, at + used, element.count)
            if element.name == "face" and _is_mesh(element):
                faces = _binary_faces(data, element, starts, counts)
            at += used
    return fields, faces


def _walk(data: np.ndarray, element: Element, path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Byte offset (R,) of each row's corners, their number (R,), and the bytes of the whole element."""
    from vol3d.scans.points.ply_kernels import walk_rows

    sizes = np.array([one.type.itemsize for one in element.properties])
    count_sizes = np.array([one.count_type.itemsize if one.count_type else 0 for one in element.properties])
    wanted = next((number for number, one in enumerate(element.properties) if one.name in _LISTS), -1)
    big = next(one.count_type.str[0] == ">" or one.type.str[0] == ">" for one in element.properties if one.count_type)
    fewest = int(np.where(count_sizes > 0, count_sizes, sizes).sum()) * element.count  # if all lists are empty
    if fewest > data.size:
        raise DataError("the file is cut", where=path, got=f"{data.size} bytes", wanted=f"at least {fewest}", do=COPY)
    starts, counts, used = walk_rows(data, element.count, sizes, count_sizes, wanted, big)
    if used < 0:
        raise DataError("the file is cut", where=path, wanted=f"{element.count} rows of '{element.name}'", do=COPY)
    return starts, counts, used


def _binary_faces(data: np.ndarray, element: Element, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    kind = next(one.type for one in element.properties if one.name in _LISTS)
    steps = np.unique(np.diff(starts))
    if len(counts) and (counts == counts[0]).all() and len(steps) <= 1:
        # Only triangles, or only quads, as nearly always: a view instead of a copy of each corner's address.
        strides = (int(steps[0]) if len(steps) else 0, kind.itemsize)
        even = np.ndarray((len(counts), int(counts[0])), kind, data, int(starts[0]), strides)
        return _fans(even.astype(np.int64).ravel(), counts[0] * np.arange(len(counts)), counts)
    corners = np.concatenate(([0], np.cumsum(counts)))
    each = np.repeat(starts - corners[:-1] * kind.itemsize, counts) + np.arange(corners[-1]) * kind.itemsize
    picked = data[each[:, None] + np.arange(kind.itemsize)]
    return _fans(np.ascontiguousarray(picked).view(kind)[:, 0].astype(np.int64), corners[:-1], counts)


def _fans(corners: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Polygons as triangles (first, i, i + 1): (F, 3)."""
    triangles = np.maximum(counts - 2, 0)
    first = np.repeat(starts, triangles)
    step = np.arange(len(first)) - np.repeat(np.cumsum(triangles) - triangles, triangles)
    return corners[np.stack((first, first + step + 1, first + step + 2), axis=1)]


def _is_mesh(element: Element) -> bool:
    return any(one.name in _LISTS for one in element.properties)
