"""What a finished run leaves beside its weights: `evaluation.json`, `cases.csv`, pictures and the report."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, TypeAdapter

from vol3d import files
from vol3d.config import read as read_yaml
from vol3d.engine.resume import LAST
from vol3d.engine.task import Evaluation, Metric
from vol3d.errors import DataError, UsageError, Vol3dError

EVALUATION, CASES, PICTURES, REPORT = "evaluation.json", "cases.csv", "pictures", "report.html"
CONFIG = "config.yaml"
_NONE: Mapping[str, str] = MappingProxyType({})
_METRICS = TypeAdapter(tuple[Metric, ...])


class _Stored(BaseModel):
    """What `write` writes and `read` needs."""

    score: float | None
    score_name: str
    summary: dict[str, Any]
    rows: list[dict[str, Any]]
    metrics: Any = []


def write(folder: Path, evaluation: Evaluation, step: int) -> None:
    """Writes an evaluation's files and the report; `evaluation.json` marks the run as ended."""
    from vol3d.report import write_report  # the report reads this package's files, so not at the top

    rows = [files.plain(row) for row in evaluation.rows]
    files.write_text(folder / CASES, table(rows))
    captions = write_pictures(folder / PICTURES, evaluation.pictures, _earlier_pictures(folder / EVALUATION))
    files.write_json(
        folder / EVALUATION,
        {
            "score_name": evaluation.score_name,
            "score": files.plain(evaluation.score),
            "step": step,
            "summary": files.plain(evaluation.summary),
            "rows": rows,
            "metrics": [_without_defaults(metric) for metric in evaluation.metrics],
            "pictures": [*captions],
            "captions": captions,
        },
    )
    write_report(folder)


def require_own(folder: Path) -> None:
    """Raises UsageError if an evaluation in the folder would replace what no evaluation wrote, or end a run.

    Files are an evaluation's if `evaluation.json` is, or where it has not been written yet if `config.yaml` has the
    settings of one.
    """
    do = "Choose another folder."
    run = next(folder.glob("*.safetensors"), folder / LAST)
    if run.exists():
        what = "the scores would stand for those of the run in this folder"
        raise UsageError(what, where=folder, got=run.name, do=do)
    there = [name for name in (CONFIG, CASES, EVALUATION, REPORT) if (folder / name).exists()]
    if not there:
        return
    try:
        own = read(folder) is not None or {"model", "data"} <= read_yaml(folder / CONFIG).values.keys()
    except Vol3dError:
        own = False
    if not own:
        raise UsageError("the scores would replace a file that vol3d did not write", where=folder / there[0], do=do)


def complete(folder: Path) -> None:
    """Writes the report where a process was killed between the evaluation and its report."""
    from vol3d.report import write_report

    report, evaluation = folder / REPORT, folder / EVALUATION
    if not report.is_file() or report.stat().st_mtime_ns < evaluation.stat().st_mtime_ns:
        write_report(folder)


def read(folder: Path) -> Evaluation | None:
    """The evaluation of a finished run, without its pictures; None if the run has not ended.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / EVALUATION
    return read_file(path) if path.is_file() else None


def read_file(path: Path) -> Evaluation:
    """The evaluation in a file that `write` wrote, without its pictures.

    Raises:
        DataError: missing, damaged, or something else.
    """
    try:
        stored = _Stored.model_validate(files.read_json(path), strict=True)
        metrics = read_metrics(stored.metrics)
    except ValueError as error:
        raise DataError("no evaluation of this package", where=path) from error
    score = math.nan if stored.score is None else float(stored.score)
    return Evaluation(score, stored.score_name, stored.summary, stored.rows, metrics=metrics)


def read_metrics(listed: Any) -> tuple[Metric, ...]:
    """The metrics of an `evaluation.json`, under `metrics`; files of earlier releases have none.

    Raises:
        ValueError: they are not a list of metrics.
    """
    return _METRICS.validate_python(listed)


def _without_defaults(metric: Metric) -> dict[str, Any]:
    return {name: value for name, value in asdict(metric).items() if value}


def rows_of_runs(evaluations: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    """The rows of several runs, each with its run's name."""
    return [{"run": name, **row} for name, evaluation in evaluations.items() for row in files.plain(evaluation.rows)]


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV; columns in the order in which they first appear."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_pictures(folder: Path, pictures: dict[str, bytes], earlier: Mapping[str, str] = _NONE) -> dict[str, str]:
    """Writes a file for each title; returns file -> title. Those of an earlier evaluation go, and no others.

    Names are those of a shell without quotes: `Worst scene 3, F1 0.54` -> `worst_scene_3_f1_0.54.png`.
    """
    if not pictures:
        return dict(earlier)
    files.make_folder(folder)
    for name in earlier:
        (folder / name).unlink(missing_ok=True)
    captions: dict[str, str] = {}
    for title, content in pictures.items():
        name = _file_name(title, captions)
        files.write_bytes(folder / name, content)
        captions[name] = title
    return captions


def _file_name(title: str, taken: Collection[str]) -> str:
    """Letters, digits, dots and dashes of the title, with underscores between them; a number where it is taken."""
    stem = re.sub(r"[^\w.+-]+", "_", title).strip("_.-").lower()[:120] or "picture"
    names = (f"{stem}{f'_{number}' if number else ''}.png" for number in itertools.count())
    return next(name for name in names if name not in taken)


def _earlier_pictures(path: Path) -> dict[str, str]:
    """Pictures of the evaluation in a file, and their titles: earlier releases had the title as the name."""
    try:
        content = files.read_json(path)
        captions = content.get("captions") or {name: name.removesuffix(".png") for name in content.get("pictures", [])}
        return {name: str(title) for name, title in captions.items() if name == Path(name).name and name[-4:] == ".png"}
    except (DataError, AttributeError, TypeError):
        return {}
