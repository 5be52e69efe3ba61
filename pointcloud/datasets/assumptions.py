"""How files that do not state it were interpreted: columns, axis up and unit, found in the points or merely assumed.

`vol3d.scans.points.read` notes it with each cloud; only all the scenes together show whether a set was read alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vol3d.dataset_tools.fault import Fault, listed
from vol3d.notes import Note


@dataclass(frozen=True)
class Reading:
    """What was understood of one scene.

    Args:
        scene: its name.
        setting: what overrides it, `up`, `units` or `columns`.
        value: of that setting.
        assumed: the points did not show it.
    """

    scene: str
    setting: str
    value: str
    assumed: bool


# What a file or its format states is no reading: there is nothing to confirm.
_READINGS = ("up-found", "up-assumed", "units-found", "units-assumed", "columns-assumed", "image-size-assumed")
_ALIKE = {"up": "axes up", "units": "units"}  # in which the files of a set are the same; their columns may differ


def readings_of(scene: str, notes: Iterable[Note]) -> list[Reading]:
    """How a file was understood, of the notes of its cloud."""
    return [
        Reading(scene, note.setting, note.value, note.assumed)
        for note in notes
        if note.code in _READINGS and note.setting is not None and note.value is not None
    ]


def judge_readings(data_set: str, readings: Sequence[Reading]) -> Iterator[Fault]:
    """An error for each setting in which the scenes differ, one warning for each that was assumed alike."""
    for setting in dict.fromkeys(one.setting for one in readings):
        mine = [one for one in readings if one.setting == setting]
        if setting in _ALIKE and len({one.value for one in mine}) > 1:
            yield _differing(data_set, setting, mine)
        elif any(one.assumed for one in mine):
            yield _assumed(data_set, setting, mine)


def _differing(data_set: str, setting: str, readings: Sequence[Reading]) -> Fault:
    counts = Counter((one.value, "assumed" if one.assumed else "found") for one in readings)
    each = ", ".join(f"{value} {how} in {count}" for (value, how), count in counts.most_common())
    what = f"scenes were read with different {_ALIKE[setting]}: {each}"
    do = f"If the files are alike, {_add(setting, _likeliest(setting, readings))}; else convert those that differ."
    return Fault(data_set, "error", what, do, code=f"{setting}-differs")


def _assumed(data_set: str, setting: str, readings: Sequence[Reading]) -> Fault:
    scenes = [one.scene for one in readings if one.assumed]
    word = _likeliest(setting, readings)
    what = f"{setting} {word} was assumed in {len(scenes)} scenes, whose points do not show it: {listed(scenes)}"
    do = f"Look at one; if it is right, {_add(setting, word)}."
    return Fault(data_set, "warning", what, do, code=f"{setting}-assumed", numbers={"scenes": len(scenes)})


def _likeliest(setting: str, readings: Sequence[Reading]) -> str:
    """The value as a command takes it; what the points of some scenes show is the better guess for the others."""
    found = [one.value for one in readings if not one.assumed]
    value = Counter(found or [one.value for one in readings]).most_common(1)[0][0]
    return f"[{value}]" if setting == "columns" else value


def _add(setting: str, word: str) -> str:
    return f"add `{setting}={word}` to this command and to `data prepare`, `data.{setting}: {word}` to a recipe"
