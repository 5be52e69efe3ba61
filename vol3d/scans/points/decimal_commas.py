"""What commas mean in a text of numbers: they separate columns, or they are decimal points; thousands are refused.

Where blanks, tabs, semicolons or quotes already separate the numbers, a comma inside one is part of it. `1,234` may be
1.234 or 1234: what settles it is any other number of the file, `0,5` for example.
"""

from __future__ import annotations

import re
from pathlib import Path

from vol3d.errors import DataError
from vol3d.notes import Note

_SAMPLE = 1 << 20  # bytes that are looked at
_QUOTED = re.compile(rb'"[^"\n]*"')
_QUOTED_COMMA = re.compile(rb'"[^"\n;\t ]*\d,\d[^"\n;\t ]*"')
_BETWEEN = re.compile(rb'[\s;"]+|,(?=\s|;|$)')
_DECIMAL = re.compile(rb"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(rb"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
_LEADING_ZERO = re.compile(rb"(?:^|[,\s])(?:[+-]?0\d+|-0)(?:[,\s]|$)")
_INSIDE = re.compile(rb",(?=\d)")
_DO = "Export with a point in numbers, 1234.5, and without thousands separators."


def with_decimal_points(text: bytes, path: Path) -> tuple[bytes, tuple[Note, ...]]:
    """The text of points with every decimal comma as a point, and a note if there were any.

    Raises:
        DataError: the commas can be several things, or separate thousands.
    """
    lines = _lines(text) if b"," in text else []
    quoted = any(_QUOTED_COMMA.search(line) for line in lines)
    rows = [_cells(line, quoted) for line in lines]
    apart = quoted or min(map(len, rows), default=0) > 1
    if not apart:
        _refuse_leading_zeros(lines, path)
    if not apart or not _are_decimal([cell for row in rows for cell in row], path):
        return text, ()
    changed = _QUOTED.sub(_with_points, text) if quoted else _INSIDE.sub(b".", text)
    note = "{commas} commas were read as decimal points"
    return changed, (Note("decimal-commas", note, numbers={"commas": changed.count(b".") - text.count(b".")}),)


def _with_points(match: re.Match[bytes]) -> bytes:
    return match[0].replace(b",", b".")


def _cells(line: bytes, quoted: bool) -> list[bytes]:
    """What stands between quotes, or between separators other than commas inside numbers."""
    words = _QUOTED.findall(line) if quoted else _BETWEEN.split(line)
    return [cell for word in words if (cell := word.strip(b'" '))]


def _lines(text: bytes) -> list[bytes]:
    """The lines of numbers at the text's beginning, in full."""
    part = text[:_SAMPLE]
    lines = part.splitlines()[: None if len(part) == len(text) else -1]
    return [line for line in map(bytes.strip, lines) if line and not line.startswith((b"#", b"//"))]


def _are_decimal(cells: list[bytes], path: Path) -> bool:
    """Whether commas inside numbers that are already apart are decimal points; if not, they separate columns."""
    inside = [cell for cell in cells if b"," in cell]
    if not inside:
        return False
    example = next((cell for cell in inside if not _THOUSANDS.fullmatch(cell)), None)
    if example is None:
        got, wanted = inside[0].decode("ascii", "replace"), "numbers that are clear"
        what = "commas that may separate thousands or be decimal points"
        raise DataError(what, where=path, got=got, wanted=wanted, do=_DO)
    if max(cell.count(b",") for cell in inside) > 1:
        return False
    if any(b"." in cell for cell in cells) or not all(map(_DECIMAL.fullmatch, inside)):
        got = example.decode("ascii", "replace")
        raise DataError("numbers with commas and with points", where=path, got=got, do=_DO)
    return True


def _refuse_leading_zeros(lines: list[bytes], path: Path) -> None:
    """Raises DataError for `1,05,2,50`: two numbers with decimal commas that commas separate, and no four columns."""
    if line := next((line for line in lines if b"." not in line and _LEADING_ZERO.search(line)), None):
        what, got = (
            "commas that may be decimal points as well as separators",
            repr(line[:60].decode("ascii", "replace")),
        )
        raise DataError(what, where=path, got=got, do="Export with semicolons or tabs between the columns.")
