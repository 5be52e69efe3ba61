"""What point files do not state themselves: their columns, the axis that points up, the unit of length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vol3d.errors import UsageError

Axis = Literal["auto", "x", "y", "z", "-x", "-y", "-z"]
"""The axis of a file that points up; `auto`: as the file states it or its points show it."""
LengthUnit = Literal["auto", "m", "dm", "cm", "mm", "km", "in", "ft"]
"""The unit of a file's coordinates; `auto`: as the file states it or its size shows it."""
UNIT_METRES = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("dm", "decimetre", "decimetres", "decimeter", "decimeters"), 0.1),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), 0.01),
    **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), 0.001),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
    **dict.fromkeys(("in", "inch", "inches"), 0.0254),
    **dict.fromkeys(("ft", "foot", "feet"), 0.3048),
}
"""Name of a unit, short or in full -> metres."""


@dataclass(frozen=True)
class ReadOptions:
    """How point files are read where they do not state it.

    Args:
        columns: names of the columns in a file that has none, `_` for those to leave out; None finds them.
        up: the axis of the file that points up (`x`, `-x`, ... `-z`), or `auto`.
        units: of the file's coordinates, short or in full (`mm`, `millimetres`), or `auto`.
        topic: of the clouds of a recording; None takes the only one.
        frame: the number of the cloud of a recording, from 0; None: the first.

    Raises:
        UsageError: no such axis or unit.

    >>> ReadOptions(up="+Y", units="MM").axis
    'y'
    >>> ReadOptions(units="feet").metres
    0.3048
    >>> ReadOptions().metres is None
    True
    """

    columns: tuple[str, ...] | None = None
    up: str = "auto"
    units: str = "auto"
    topic: str | None = None
    frame: int | None = None

    def __post_init__(self) -> None:
        if self.up.lower() != "auto":
            check_up(self.up)
        if self.units.lower() not in ("auto", *UNIT_METRES):
            wanted = " or ".join((", ".join(get_args(LengthUnit)[:-1]), get_args(LengthUnit)[-1]))
            raise UsageError("no such unit", where="--units", got=self.units, wanted=wanted)

    @property
    def axis(self) -> str | None:
        """The axis up, in lower case without a plus; None: find it in the points."""
        return None if self.up.lower() == "auto" else check_up(self.up)

    @property
    def metres(self) -> float | None:
        """The unit in metres; None: find it by the size of the scan."""
        return UNIT_METRES.get(self.units.lower())


def check_up(up: str) -> str:
    """The axis in lower case without a plus. Raises UsageError for any other word."""
    axis, known = up.lower().removeprefix("+"), get_args(Axis)[1:]
    if axis not in known:
        raise UsageError("no such axis", where="--up", got=up, wanted=f"auto, {', '.join(sorted(known))}")
    return axis
