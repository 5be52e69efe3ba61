"""What a prepared folder was made from, and whether that is still the same: its data set is listed again, and compared.

The index has the settings of the data set with the way to its folder, so that it is found when both are moved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointcloud.datasets.scenes import SceneReader, SceneSplit
from vol3d import catalog
from vol3d.dataset_tools.fault import listed
from vol3d.errors import DataError

if TYPE_CHECKING:
    from pointcloud.datasets.settings import SceneSettings

SOURCE, STAMP = "source", "stamp"
_DO = (
    "Run `vol3d data prepare` again; scenes that are the same are kept. To use the prepared scenes as they are, move "
    "the originals away."
)


def describe_source(data: SceneSettings, folder: Path) -> dict[str, Any]:
    """The settings of a data set, ready for the index of its prepared `folder`; {} where there is no way to it."""
    settings = data.model_dump(mode="json")
    try:
        return settings | {"root": Path(os.path.relpath(data.root.resolve(), folder.resolve())).as_posix()}
    except ValueError:  # another drive
        return {}


def refuse_changed(folder: Path, index: Mapping[str, Any], key_of: Callable[[str], str], parts: Iterable[str]) -> None:
    """Raises DataError if the originals of a prepared folder are there and are others now.

    Sizes and times are compared; the content is read only where these differ, as after a copy. An index of an earlier
    release says nothing of its originals.

    Args:
        key_of: the fingerprint that a scene, by its name, was made with.
        parts: of the split, keys of the index.
    """
    source = index.get(SOURCE)
    root = folder / str(source.get("root")) if isinstance(source, dict) and source else folder
    if not root.is_dir() or root.resolve() == folder.resolve():
        return
    split = _listed_again({**index[SOURCE], "root": str(root)})

    changed: dict[str, None] = {}
    for part in parts:
        readers = {reader.name: reader for reader in getattr(split, part)}
        changed |= dict.fromkeys(sorted(readers.keys() ^ set(index[part])))
        for name in index[part]:
            if name in readers and not _is_same(readers[name], index["scenes"].get(name, {}), key_of):
                changed[name] = None
    if changed:
        what = f"{len(changed)} scenes have changed since they were prepared"
        raise DataError(what, where=root, got=listed(changed), do=_DO)


def _listed_again(settings: dict[str, Any]) -> SceneSplit:
    try:
        kind = catalog.load(catalog.DATASETS[settings["name"]].target)
        return kind.model_validate_json(json.dumps(settings)).split()
    except (DataError, KeyError, ValueError) as error:
        what = "the data set that the prepared scenes were made from can no longer be read"
        raise DataError(what, where=settings["root"], got=error, do=_DO) from error


def _is_same(reader: SceneReader, entry: Mapping[str, Any], key_of: Callable[[str], str]) -> bool:
    try:
        return reader.fingerprint(quick=True) == entry.get(STAMP) or reader.fingerprint() == key_of(reader.name)
    except DataError:  # a file has gone
        return False
