"""What `vol3d data` calls for a data set of volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medical.datasets.check import check
from medical.datasets.folds import DatasetSettings
from medical.datasets.prepare import prepare as write_arrays
from medical.datasets.stats import stats
from vol3d.dataset_tools.tables import Table, flatten, left_out
from vol3d.errors import UsageError
from vol3d.terminal import Progress

__all__ = ["check", "prepare", "stats", "tables"]


def prepare(data: DatasetSettings, settings: Any, out: Path, workers: int | None, progress: Progress | None) -> str:
    """Writes the cases of `data` to `out` by the recipe's `preprocess`, and returns the data set's name.

    See `medical.datasets.prepare`.

    Args:
        settings: of the recipe.

    Raises:
        UsageError: no recipe.
    """
    if settings is None:
        do = "Add --recipe CONFIG: its preprocess settings say how volumes are oriented, resampled and scaled."
        raise UsageError("volumes are prepared for a recipe", where="--recipe", do=do)
    split = data.split()
    write_arrays(split, settings.preprocess, out, workers, progress)
    return split.name


def tables(facts: dict[str, Any]) -> list[Table]:
    """The fingerprint of `stats` for a reader, and the cases that are not in it."""
    shown = {key: value for key, value in facts.items() if key != "unreadable"} | {"cases": len(facts["cases"])}
    return [Table(None, ["", str(facts["name"])], flatten(shown)), *left_out(facts["unreadable"])]
