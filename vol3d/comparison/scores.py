"""What two evaluations are compared by: rows of cases and classes, from any place where vol3d wrote some."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from vol3d.dataset_tools.fault import listed
from vol3d.engine import results
from vol3d.engine.task import Evaluation, Metric
from vol3d.engine.trained_on import remarks
from vol3d.errors import DataError, UsageError
from vol3d.files import read_text
from vol3d.report.folder import number

Better = Literal["higher", "lower"]
Key = tuple[str, str]
"""Case and class."""
ALL = "all classes"

BETTER: dict[str, Better] = {
    **dict.fromkeys(("dice", "nsd", "lesions_found", "hits", "mean_iou"), "higher"),
    **dict.fromkeys(("hd95_mm", "false_positives", "false_alarms", "missed"), "lower"),
}
"""Columns that are compared where the file does not describe its numbers, or has no word on them."""
COUNTED = ("ground_truths", "hits", "false_alarms", "missed")
"""Columns of detections: a scene and class without a row has none of them."""
_NAMES = ("case", "scene", "class")
RULES = {"nsd": "nsd_tolerance_mm", "lesions_found": "lesion_iou", "false_positives": "lesion_iou"}
"""Column -> key of the summary with the rule that it was measured by."""
TRUTHS = ("truth_ml", "ground_truths")
"""Columns that are the same for whatever was scored on the same cases."""


@dataclass(frozen=True)
class Scores:
    """The rows of one evaluation, or of all folds of a cross-validation.

    Args:
        path: where they are from.
        rows: case and class -> column -> number, NaN where it was not counted.
        better: column that can be compared -> which values are the better ones.
        titles: column -> what a reader sees.
        rules: column -> by which rule it was measured, where the file says it.
        remarks: what the scores must be read with, a sentence each.
        evaluation: which the rows are of, where one was read.
    """

    path: Path
    rows: Mapping[Key, Mapping[str, float]]
    better: Mapping[str, Better]
    titles: Mapping[str, str]
    rules: Mapping[str, Any]
    remarks: tuple[str, ...] = ()
    evaluation: Evaluation | None = None

    @cached_property
    def cases(self) -> list[str]:
        """Their names, in order."""
        return list(dict.fromkeys(case for case, _ in self.rows))

    @cached_property
    def columns(self) -> set[str]:
        """Names of all columns."""
        return {name for row in self.rows.values() for name in row}

    @cached_property
    def classes(self) -> list[str]:
        """Their names, in order."""
        return list(dict.fromkeys(name for _, name in self.rows))


def read_scores(path: Path) -> Scores:
    """The scores in a run's folder, a folder of `vol3d evaluate`, `score` or of folds, an `evaluation.json` or a CSV.

    Raises:
        UsageError: no such path, or nothing of these.
        DataError: damaged, or without rows of cases.
    """
    if path.is_dir():
        inside = [path / name for name in (results.EVALUATION, results.CASES) if (path / name).is_file()]
        if not inside:
            wanted = f"a folder with {results.EVALUATION} or {results.CASES}"
            do = "Give a finished run, or the folder that `vol3d evaluate -o` or `vol3d score -o` wrote."
            raise UsageError("no scores in this folder", where=path, wanted=wanted, do=do)
        path = inside[0]
    if not path.is_file():
        raise UsageError("no such file or folder", where=path)
    return scores_of(results.read_file(path), path) if path.suffix.lower() == ".json" else _of_csv(path)


def scores_of(evaluation: Evaluation, path: Path) -> Scores:
    """The scores of an evaluation that was read from `path`; see `read_scores`."""
    scores = _scores(path, evaluation.rows, evaluation.metrics, evaluation.summary)
    return replace(scores, evaluation=evaluation)


def _of_csv(path: Path) -> Scores:
    try:
        rows: list[dict[str, Any]] = list(csv.DictReader(read_text(path).splitlines(), strict=True))
    except csv.Error as error:
        raise DataError("no table of scores", where=path, got=str(error)) from error
    runs = dict.fromkeys(row["run"] for row in rows if row.get("run"))  # of folds: each describes its numbers
    read = (results.read(path.parent / run) for run in runs if run == Path(run).name)
    known = [one for one in read if one is not None]
    said = dict.fromkeys(text for one in known for text in remarks(one.summary))
    return replace(_scores(path, rows, known[0].metrics if known else (), {}), remarks=tuple(said))


def _scores(
    path: Path, rows: Sequence[Mapping[str, Any]], metrics: Sequence[Metric], summary: Mapping[str, Any]
) -> Scores:
    table = _table(path, rows)
    columns = {name for row in table.values() for name, value in row.items() if math.isfinite(value)}
    described = BETTER | {metric.key: metric.better for metric in metrics if metric.better is not None}
    better = {name: way for name, way in described.items() if name in columns}
    rules = {column: summary[key] for column, key in RULES.items() if key in summary}
    titles = {metric.key: metric.label for metric in metrics}
    return Scores(path, table, better, titles, rules, tuple(remarks(summary)))


def _table(path: Path, rows: Sequence[Mapping[str, Any]]) -> dict[Key, dict[str, float]]:
    """Case and class -> numbers; raises DataError for rows without a case, or one that is there twice."""
    keys = [_key(path, row) for row in rows]
    if not keys:
        raise DataError("no scores by case", where=path, got="no rows")
    if twice := [", ".join(key) for key, count in Counter(keys).items() if count > 1]:
        do = "Compare runs that score each case once."
        raise DataError("a case and class is there twice", where=path, got=listed(twice, 3), do=do)
    numbers = ({name: number(value) for name, value in row.items() if name not in _NAMES} for row in rows)
    return dict(zip(keys, numbers, strict=True))


def _key(path: Path, row: Mapping[str, Any]) -> Key:
    case = row.get("case", row.get("scene"))
    if not isinstance(case, str) or not case:
        wanted = "a column 'case' or 'scene'"
        raise DataError("no scores by case", where=path, got=", ".join(map(str, row))[:200], wanted=wanted)
    return case, str(row.get("class") or "all")
