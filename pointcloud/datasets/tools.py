"""What `vol3d data` calls for a data set of scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pointcloud.datasets.check import check
from pointcloud.datasets.prepare import prepare as write_scenes
from pointcloud.datasets.settings import SceneSettings
from pointcloud.datasets.stats import stats, tables
from vol3d.errors import UsageError
from vol3d.terminal import Progress

__all__ = ["check", "prepare", "stats", "tables"]


def prepare(data: SceneSettings, settings: Any, out: Path, workers: int | None, progress: Progress | None) -> str:
    """Writes the scenes of `data` to `out`, or what its data set makes instead, and returns the data set's name.

    See `pointcloud.datasets.prepare`.

    Args:
        settings: of a recipe: must be None, since scenes are kept as they are.

    Raises:
        UsageError: there are settings.
    """
    if settings is not None:
        do = "Leave it out: all points are kept as they are, and every recipe draws its own from them."
        raise UsageError("scenes are prepared without a recipe", where="--recipe", do=do)
    split = data.split()
    if split.write_prepared is not None:
        split.write_prepared(out)
    else:
        write_scenes(split, out, workers, progress, data)
    return split.name
