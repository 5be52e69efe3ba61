"""The header of a PLY file: which elements follow, with which properties, and where they begin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.points.raw import COPY, UTF8_MARK, unique_names

LONGEST = 1 << 16  # bytes of a header
_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
    **dict.fromkeys(("int64", "long"), "i8"),
    **dict.fromkeys(("uint64", "ulong"), "u8"),
}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class Property:
    """One property: a number, or a list of numbers with its length before it.

    Args:
        name: in lower case.
        type: of the number or of the list's numbers.
        count_type: of the list's length; None for a number.
    """

    name: str
    type: np.dtype
    count_type: np.dtype | None = None


@dataclass(frozen=True)
class Element:
    """`count` rows of the same properties."""

    name: str
    count: int
    properties: tuple[Property, ...]

    @property
    def has_lists(self) -> bool:
        """Whether its rows differ in length."""
        return any(one.count_type is not None for one in self.properties)

    def row_type(self) -> np.dtype:
        """A row of numbers only."""
        return np.dtype([(one.name, one.type) for one in self.properties])


@dataclass(frozen=True)
class Header:
    """Args: ascii or not, the elements in order, comments, and the bytes and lines before the data."""

    ascii: bool
    elements: tuple[Element, ...]
    comments: tuple[str, ...]
    size: int
    lines: int


def read_header(path: Path) -> Header:
    """Raises DataError if the file is no PLY file, or one whose header is cut or invalid."""
    with path.open("rb") as file:
        head = file.read(LONGEST)
    mark = len(head) - len(head := head.removeprefix(UTF8_MARK))
    if not re.match(rb"ply\s", head):
        raise DataError("not a PLY file", where=path, got=head[:8], wanted="'ply' at its start", do=COPY)
    end = re.search(rb"\nend_header[ \t]*\r?\n", head)
    if end is None:
        raise DataError("the header is cut", where=path, wanted="a line 'end_header'", do=COPY)
    try:
        lines = head[: end.end()].decode("ascii", "replace").splitlines()
        order, elements, comments = _parse(lines[1:-1], path)
    except (ValueError, KeyError, IndexError) as fault:
        raise DataError("a damaged PLY header", where=path, got=str(fault), do=COPY) from fault
    for element in elements:
        if element.count and not element.properties:
            raise DataError(f"element '{element.name}' has no properties", where=path, do=COPY)
        unique_names([one.name for one in element.properties], path)
    return Header(order == "", tuple(elements), tuple(comments), mark + end.end(), len(lines))


def _parse(lines: list[str], path: Path) -> tuple[str, list[Element], list[str]]:
    order, elements, comments = None, list[Element](), []
    for number, line in enumerate(lines, 2):
        words = line.split()
        if not words:
            continue
        if words[0] in ("comment", "obj_info"):
            comments.append(line.strip().removeprefix(words[0]).strip())
        elif words[0] == "format" and words[1] in _ORDERS:
            order = _ORDERS[words[1]]
        elif words[0] == "element":
            elements.append(Element(words[1], _count(words[2]), ()))
        elif words[0] == "property" and order is not None and elements:
            last = elements[-1]
            elements[-1] = Element(last.name, last.count, (*last.properties, _property(words[1:], order)))
        else:
            raise DataError("a line that a PLY header cannot have", where=f"{path}:{number}", got=repr(line), do=COPY)
    if order is None:
        raise DataError("the header has no format line", where=path, wanted=" or ".join(_ORDERS), do=COPY)
    return order, elements, comments


def _count(word: str) -> int:
    count = int(word)
    if count < 0:
        raise ValueError(f"{count} rows")
    return count


def _property(words: list[str], order: str) -> Property:
    if words[0] == "list":
        if _type(words[1], order).kind not in "iu":
            raise ValueError(f"a list's length as {words[1]}")
        return Property(words[3].lower(), _type(words[2], order), _type(words[1], order))
    return Property(words[1].lower(), _type(words[0], order))


def _type(word: str, order: str) -> np.dtype:
    if word not in _TYPES:
        raise ValueError(f"unknown type {word!r}")
    return np.dtype(order + _TYPES[word])
