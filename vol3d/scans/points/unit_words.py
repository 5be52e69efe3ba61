"""The unit of the coordinates in words: in the comments of a file, and in the names of its columns.

`units in mm`, `coordinate units: metres`, `points are in cm`, `1 unit = 1 inch` and `x [mm]` state it. That normals
are `unit in length`, or that a resolution is given in mm, says nothing about coordinates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from vol3d.scans.points.length_unit import StatedUnit
from vol3d.scans.points.options import UNIT_METRES

_LENGTHS = {
    **{name: metres for name, metres in UNIT_METRES.items() if name != "in"},
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometre", "micrometres"), 1e-6),
    **dict.fromkeys(("micrometer", "micrometers"), 1e-6),
    **dict.fromkeys(("yd", "yard", "yards"), 0.9144),
    **dict.fromkeys(("usft", "ftus", "us-ft"), 1200 / 3937),
}
_PER_UNIT = re.compile(r"met(?:er|re)s?[ _]?per[ _]?unit\W*(\d*\.?\d+(?:e[+-]?\d+)?)")
# "in" is a unit only where nothing else can stand.
_PLAIN = (
    (re.compile(r"\b(?:u\.?s\.?[ -])?survey (?:foot|feet|ft)\b"), "us-ft"),
    (re.compile(r"\bx[ ,;]+y[ ,;]+z\b"), "xyz"),
    (re.compile(r"([:=(\[\d]|\bin)(\s*)in(?=\s*(?:[)\],;.]|$))"), r"\1\2inch"),
)
_TOKENS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|\d+(?:\.\d*)?(?:e[+-]?\d+)?|[:=(\[/^]|[)\],;.]")
_UNIT = {"unit", "units"}
# What "unit" can be the unit of, and what "in mm" can be said of.
_OF_LENGTH = {"coordinate", "coordinates", "coords", "xyz", "point", "points", "position", "positions", "vertex"}
_OF_LENGTH |= {"vertices", "geometry", "mesh", "cloud", "model", "scene", "scan", "file", "data", "world", "map"}
_UNIT_OF = _OF_LENGTH | {"length", "linear", "distance", "measurement", "spatial", "all", "the", "in", "with", "using"}
_UNIT_OF |= {"these", "this", "original", "output", "export", "system", "horizontal", "is", "are"}
_FILLERS = {
    "is",
    "are",
    "of",
    "in",
    "the",
    "all",
    "length",
    "measure",
    "measurement",
    "given",
    "stored",
    "expressed",
    "international",
}
_FILLERS |= {"measured", "saved", "written", "exported", *_OF_LENGTH}
_SETS = {":", "=", "(", "["}
_GOES_ON = {"/", "^", "per", "2", "3"}
_COLUMN = re.compile(r"([xyz])\s*(?:[\[(]\s*(?P<bracket>[^\])]*?)\s*[\])]|[_/ ](?P<plain>m|dm|cm|mm|km|ft|um)$)")


def unit_in_comments(lines: Iterable[str]) -> tuple[StatedUnit | None, str | None]:
    """The unit that comments state, and what they say if they state several."""
    stated = {metres for line in lines if (metres := _stated_by(line)) is not None}
    if len(stated) > 1:
        return None, " and ".join(f"{metres:g} m" for metres in sorted(stated))
    return (StatedUnit(stated.pop()), None) if stated else (None, None)


def unit_in_names(names: Sequence[str]) -> tuple[tuple[str, ...], StatedUnit | None, str | None]:
    """Names in lower case with `x [mm]` as `x`, the unit that they state, and what they say if it is no such unit."""
    columns = [_column(name.strip()) for name in names]
    words = dict(filter(None, columns))
    if set(words) != set("xyz"):
        return tuple(names), None, None
    plain = tuple(column[0] if column else name for column, name in zip(columns, names, strict=True))
    x, y, z = ((UNIT_METRES | _LENGTHS).get(words[axis]) for axis in "xyz")
    if x is None or z is None or x != y:
        return plain, None, ", ".join(f"{axis} in {words[axis]}" for axis in "xyz")
    return plain, StatedUnit(x, None if z == x else z), None


def _column(name: str) -> tuple[str, str] | None:
    """Axis and unit that the name of a column states."""
    match = _COLUMN.fullmatch(name)
    return None if match is None else (match[1], (match["bracket"] or match["plain"] or "no unit").strip())


def _stated_by(line: str) -> float | None:
    """Metres per unit that a comment states; None if it states none."""
    line = line.lower()
    if (per_unit := _PER_UNIT.search(line)) is not None:
        return float(per_unit[1]) or None
    for spelling, plain in _PLAIN:
        line = spelling.sub(plain, line)
    words = _TOKENS.findall(line)
    places = [at for at in range(len(words)) if _belongs(words[at - 1] if at else ".")]
    stated = (_stated_at(words, at) for at in places)
    return next((metres for metres in stated if metres is not None), None)


def _stated_at(words: Sequence[str], at: int) -> float | None:
    """The unit that follows a word for units, or for coordinates; or that stands before `units`."""
    if words[at] in _UNIT:
        after = _length_at(words, at + 1, needs_in=False)
        ends = words[at + 1 : at + 2] == [] or words[at + 1] not in _SETS
        return _LENGTHS.get(words[at - 1]) if after is None and at and ends else after
    return _length_at(words, at + 1, needs_in=True) if words[at] in _OF_LENGTH else None


def _belongs(before: str) -> bool:
    """Whether the unit or the coordinates behind this word are those of the points, not of normals or times."""
    return before in _UNIT_OF or before in _LENGTHS or not before[0].isalpha()


def _length_at(words: Sequence[str], at: int, needs_in: bool) -> float | None:
    """Metres of the unit that is named from a place on, behind words that mean nothing by themselves."""
    factor, joined = 1.0, not needs_in
    for place in range(at, len(words)):
        word, behind = words[place], words[place + 1] if place + 1 < len(words) else "."
        if word in _LENGTHS:
            goes_on = behind in _GOES_ON or (needs_in and behind[0].isalnum())
            return factor * _LENGTHS[word] if joined and not goes_on else None
        if word[0].isdigit():
            factor = float(word)
        elif word not in _FILLERS | _SETS:
            return None
        joined = joined or word == "in" or word in _SETS
    return None
