"""Which scans a person's paths mean to a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vol3d.engine.task import PredictionTask
from vol3d.errors import UsageError
from vol3d.scans.find import with_series
from vol3d.scans.paths import matching
from vol3d.scans.results.own import is_own
from vol3d.scans.source import ScanSource


def find_sources(
    task: PredictionTask[Any], paths: Sequence[str | Path], series: str | None = None, out: Path | None = None
) -> list[ScanSource]:
    """The scans that files, folders and patterns mean.

    Args:
        series: UID, number or description of a DICOM series, to be read alone.
        out: the folder of the results: masks of an earlier run in it are no scans, though a shell's pattern named them.

    Raises:
        UsageError: a path that does not exist.
    """
    found = task.find_inputs(matching(paths))
    if out is not None:
        found = [source for source in found if not _is_result_in(out, source.path)]
    return found if series is None else with_series(found, series)


def find_source(task: PredictionTask[Any], path: str | Path, series: str | None = None) -> ScanSource:
    """The one scan that a path means. Raises UsageError for several, and as `find_sources`."""
    sources = find_sources(task, [path], series)
    if len(sources) != 1:
        do = "Give one of them, name a DICOM series, or use predict_files."
        raise UsageError("several scans", where=path, got=", ".join(map(str, sources[:5])), do=do)
    return sources[0]


def _is_result_in(out: Path, path: Path) -> bool:
    return out.resolve() in path.resolve().parents and is_own(path)
