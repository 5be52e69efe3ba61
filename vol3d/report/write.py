"""Puts the report of a run together."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from vol3d.errors import Vol3dError
from vol3d.files import write_text
from vol3d.report import detection, scores, sections, training
from vol3d.report.document import document
from vol3d.report.folder import RunFolder, read_folder


def write_report(folder: str | Path) -> Path:
    """Writes `report.html` into a run's folder from whatever of the run is there, and returns its path.

    Read are `metrics.csv`, `evaluation.json`, `cases.csv`, `pictures/*.png`, `config.yaml` and `config.json`; what is
    missing is left out, what is damaged is named on the page.

    Raises:
        Vol3dError: there is no such folder, or it cannot be written.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise Vol3dError("no such folder", where=folder, do="A report is made from a run's folder.")
    path = folder / "report.html"
    write_text(path, page(read_folder(folder)))
    return path


def page(run: RunFolder) -> str:
    """The whole HTML page."""
    parts = [
        sections.faults(run),
        scores.headline(run),
        scores.classes(run),
        scores.breakdowns(run),
        scores.precision_recall(run),
        detection.thresholds(run),
        detection.confusion(run),
        sections.pictures(run),
        training.curves(run),
        sections.cases(run),
        sections.settings(run),
        sections.environment(run),
    ]
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return document(run.name, f"vol3d report, {written}", parts)
