"""How files that do not say it were understood: columns, axis up and unit, found in the points or merely assumed.

`vol3d.scans.points.read` says so in the notes of each cloud; whether a set was read alike only all its scenes show.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vol3d.dataset_tools.fault import Fault, listed


@dataclass(frozen=True)
class Reading:
    """What was understood of one scene.

    Args:
        scene: its name.
        setting: what says otherwise, `up`, `units` or `columns`.
        value: of that setting.
        assumed: the points did not tell.
    """

    scene: str
    setting: str
    value: str
    assumed: bool


_NOTES = (
    ("up", False, re.compile(r"(\S+) is up: the floor was found")),
    ("up", True, re.compile(r"(\S+) was assumed to be up")),
    ("units", False, re.compile(r"the coordinates were taken as (\w+)")),
    ("units", True, re.compile(r"(\w+) were assumed, a size")),
    ("columns", True, re.compile(r"columns (.+) were assumed from the values")),
)
_UNITS = {"metres": "m", "centimetres": "cm", "millimetres": "mm"}
_ALIKE = {"up": "axes up", "units": "units"}  # in which the files of a set are the same; their columns may differ


def readings_of(scene: str, notes: Iterable[str]) -> list[Reading]:
    """What the notes of a cloud tell of how its file was understood."""
    matches = [(key, assumed, known.match(note)) for note in notes for key, assumed, known in _NOTES]
    return [Reading(scene, key, _UNITS.get(m[1], m[1]), assumed) for key, assumed, m in matches if m]


def judge_readings(data_set: str, readings: Sequence[Reading]) -> Iterator[Fault]:
    """An error for each setting in which the scenes differ, one warning for each that was assumed alike."""
    for setting in dict.fromkeys(one.setting for one in readings):
        mine = [one for one in readings if one.setting == setting]
        guesses = [one for one in mine if one.assumed]
        # What the points of some scenes tell is the better guess for those that do not.
        value = Counter(one.value for one in mine if not one.assumed or len(guesses) == len(mine)).most_common(1)[0][0]
        word = f"[{value}]" if setting == "columns" else value
        if setting in _ALIKE and len({one.value for one in mine}) > 1:
            counts = Counter((one.value, "assumed" if one.assumed else "found") for one in mine)
            each = ", ".join(f"{value} {how} in {count}" for (value, how), count in counts.most_common())
            do = f"If the files are alike, {_add(setting, word)}; else convert those that differ."
            yield Fault(data_set, "error", f"scenes were read with different {_ALIKE[setting]}: {each}", do)
        elif guesses:
            which = listed(one.scene for one in guesses)
            what = f"{setting} {word} was assumed in {len(guesses)} scenes, whose points do not tell: {which}"
            yield Fault(data_set, "warning", what, f"Look at one; if it is right, {_add(setting, word)}.")


def _add(setting: str, word: str) -> str:
    return f"add `{setting}={word}` to this command and to `data prepare`, `data.{setting}: {word}` to a recipe"
