"""Which scenes of nuScenes train and which validate: the official lists, or a file beside the tables.

Official lists are numbers of scenes. Trainval trains on every scene that does not validate; numbers between two of a
range that no scene has do no harm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vol3d.dataset_tools.fault import listed
from vol3d.errors import DataError
from vol3d.files import read_json

Part = Literal["train", "validation", "test"]

_VALIDATION = ((3, 3), (12, 18), (35, 39), (92, 110), (221, 221), (268, 278), (329, 332), (344, 346), (519, 524),
               (552, 565), (625, 638), (770, 784), (794, 802), (904, 931), (962, 972), (1059, 1073))  # fmt: skip
_TEST = ((77, 91), (111, 119), (140, 148), (265, 266), (279, 282), (307, 314), (333, 343), (481, 498), (547, 551),
         (601, 624), (827, 846), (932, 943), (1026, 1043))  # fmt: skip
_MINI_VALIDATION = ((103, 103), (916, 916))
_WORDS: dict[str, Part] = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
SPLITS = "splits.json"


def official_part(scene: str, version: str) -> Part:
    """The part of a scene, `scene-0103` for example.

    Raises:
        DataError: not a name that nuScenes gives.
    """
    named = re.fullmatch(r"scene-(\d{4})", scene)
    if named is None:
        do = f'Write {SPLITS} beside the tables: {{"train": ["NAME", ...], "validation": [...]}}.'
        raise DataError("not a scene of nuScenes", where=version, got=scene, wanted="scene-0001", do=do)
    number = int(named[1])
    if _within(number, _TEST):
        return "test"
    return "validation" if _within(number, _MINI_VALIDATION if version.endswith("mini") else _VALIDATION) else "train"


def read_parts(path: Path, scenes: Sequence[str]) -> dict[str, Part]:
    """The part of each scene in a `splits.json`, `{"train": [...], "val": [...], "test": [...]}`, as the devkit has it.

    Raises:
        DataError: not such a file, a scene twice, or a scene of the tables that it leaves out.
    """
    content, parts = read_json(path), dict[str, Part]()
    if not isinstance(content, dict) or not all(isinstance(names, list) for names in content.values()):
        raise DataError("not a list of scenes for each part", where=path, wanted='{"train": [...], "val": [...]}')
    unknown = sorted(content.keys() - _WORDS.keys())
    if unknown:
        raise DataError("unknown parts", where=path, got=listed(unknown), wanted=", ".join(_WORDS))
    for word, names in content.items():
        for name in names:
            if not isinstance(name, str):
                raise DataError("not the name of a scene", where=path, got=repr(name)[:40], wanted="text")
            if parts.get(name, _WORDS[word]) != _WORDS[word]:
                raise DataError("a scene is in two parts", where=path, got=name)
            parts[name] = _WORDS[word]
    absent = [name for name in scenes if name not in parts]
    if absent:
        raise DataError(f"{len(absent)} scenes are in no part", where=path, got=listed(absent))
    return parts


def _within(number: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(low <= number <= high for low, high in ranges)
