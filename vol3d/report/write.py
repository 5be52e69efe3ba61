"""Puts the report of a run together: one file, no address outside of it, readable by day and by night."""

from __future__ import annotations

from datetime import datetime, timezone
from importlib.resources import files
from pathlib import Path

from vol3d.errors import Vol3dError
from vol3d.files import write_text
from vol3d.report import scores, sections, training
from vol3d.report.escape import escape
from vol3d.report.folder import RunFolder, read_folder

# The page may run its own script and show its own pictures, and may load nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


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
    here = files("vol3d.report")
    style, script = (here.joinpath(name).read_text("utf-8") for name in ("style.css", "script.js"))
    parts = [
        sections.faults(run),
        scores.headline(run),
        scores.classes(run),
        scores.breakdowns(run),
        scores.precision_recall(run),
        sections.pictures(run),
        training.curves(run),
        sections.cases(run),
        sections.settings(run),
        sections.environment(run),
    ]
    name = escape(run.name, quote=True)
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY, quote=True)}"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{name} · vol3d report</title><style>{style}</style></head>\n"
        f"<body><header><h1>{name}</h1><p>vol3d report, {written}</p></header>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + f"\n</main><script>{script}</script></body></html>\n"
    )
