"""Results as HTML inside a notebook: a picture, and a table in the notebook's own style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vol3d.report.folder import RunFolder
from vol3d.report.html import image, table
from vol3d.report.scores import class_table, headline_scores

if TYPE_CHECKING:
    from vol3d.engine.evaluation import Evaluation


def evaluation_html(evaluation: Evaluation) -> str:
    """The score with its confidence interval, and the table of the classes."""
    scored = evaluation.summary | {"score_name": evaluation.score_name, "score": evaluation.score}
    run = RunFolder(name="", evaluation=scored, measured=evaluation.metrics)
    return headline_scores(run) + class_table(run)


def prediction_html(picture: bytes, rows: Sequence[Mapping[str, Any]]) -> str:
    """The picture of a scan with what was found, over a row for each thing that was found."""
    return image(picture, "the scan and what was found in it") + table_html(rows)


def table_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows that all have the keys of the first."""
    columns = list(rows[0]) if rows else ["nothing was found"]
    return table(columns, [list(row.values()) for row in rows])
