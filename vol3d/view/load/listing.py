"""One scene out of the JSON of a whole folder, the `boxes.json` of own clouds: `{"class_names", "scenes": {...}}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vol3d.errors import DataError, UsageError
from vol3d.scans.points.find import points_file_stem

_NAMED = 3


class ListedScene(NamedTuple):
    """The entry of one cloud.

    Args:
        file: of the cloud, as the JSON names it.
        objects: its list of boxes, not looked at yet.
        class_names: of all scenes.
        note: which of several was taken by default; else empty.
    """

    file: str
    objects: Any
    class_names: tuple[str, ...]
    note: str


def pick_scene(path: Path, listing: Mapping[str, Any], clouds: Sequence[Path]) -> ListedScene:
    """The entry of the first of `clouds` that has one; without clouds the first entry.

    Raises:
        DataError: no scenes or no names of classes in it.
        UsageError: none of the clouds has an entry.
    """
    scenes, names = listing["scenes"], listing.get("class_names")
    if not isinstance(scenes, dict) or not scenes:
        raise DataError("no scenes here", where=path, wanted='{"scenes": {"room.ply": [...]}}')
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError("class_names are no list of names", where=path, got=names)
    if clouds:
        file, note = _entry_of(path, list(scenes), clouds), ""
    else:
        file = next(iter(scenes))
        more = f"{path.name} has {len(scenes)} scenes and {file} is its first; give the cloud of another one with it"
        note = more if len(scenes) > 1 else ""
    return ListedScene(file, scenes[file], tuple(names), note)


def _entry_of(path: Path, files: Sequence[str], clouds: Sequence[Path]) -> str:
    places = {(path.parent / file).resolve(): file for file in files}
    stems = {points_file_stem(file): file for file in files}
    found = [places.get(cloud.resolve()) or stems.get(points_file_stem(cloud)) for cloud in clouds]
    known = [file for file in found if file is not None]
    if not known:
        wanted = ", ".join(files[:_NAMED]) + (f" or {len(files) - _NAMED} others" if len(files) > _NAMED else "")
        got = ", ".join(cloud.name for cloud in clouds)
        raise UsageError("these boxes belong to other scans", where=path, got=got, wanted=wanted)
    return known[0]
