"""One scan and its mask for a person's eyes: a picture of three planes, and a page with the numbers around it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medical.results.table import class_rows
from vol3d.files import write_bytes, write_text
from vol3d.notes import Note, sort_notes
from vol3d.prediction import MaskPrediction
from vol3d.report.document import document
from vol3d.report.escape import escape
from vol3d.report.html import fact_list, image, section, table
from vol3d.scans.volumes.grid import orientation

if TYPE_CHECKING:
    from vol3d.view.theme import Background

_NOTED = ("What was assumed", "What else was noted")
WARNING = "Research software, not a medical device: no finding of it replaces that of a physician."


def picture(prediction: MaskPrediction, background: Background = "dark") -> bytes:
    """PNG of the axial, coronal and sagittal plane through the middle of what was found."""
    from vol3d.view.draw.slices import slice_picture  # with matplotlib
    from vol3d.view.theme import THEMES

    volume = prediction.volume
    title = volume.source.name if volume.source else "scan"
    masks, names = {"prediction": prediction.mask}, prediction.class_names
    return slice_picture(
        volume.array[0],
        volume.grid.spacing_mm,
        masks,
        names,
        title,
        "".join(orientation(volume.affine)),
        theme=THEMES[background],
    )


def write_picture(prediction: MaskPrediction, path: Path, background: Background = "dark") -> tuple[Note, ...]:
    """`picture` as a file."""
    write_bytes(path, picture(prediction, background))
    return ()


def write_page(prediction: MaskPrediction, path: Path, background: Background = "dark") -> tuple[Note, ...]:
    """One HTML file that loads nothing: picture, volumes, what was assumed, model and hashes."""
    source = prediction.volume.source
    name = source.name if source else "scan"
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    shown = f'<div class="pictures"><figure>{image(picture(prediction, background), name)}</figure></div>'
    parts = [
        f'<aside class="faults"><b>{escape(WARNING)}</b></aside>',
        section("Volumes and intensities", _numbers(prediction)),
        section("Picture", shown),
        *(section(title, _listed(notes)) for title, notes in zip(_NOTED, _notes(prediction), strict=True) if notes),
        section("How it was made", fact_list(_made(prediction))),
    ]
    write_text(path, document(name, f"vol3d prediction, {written}", parts))
    return ()


def _numbers(prediction: MaskPrediction) -> str:
    rows = class_rows(prediction)
    several = len({row["channel"] for row in rows}) > 1
    columns = {"class": "class", "volume_ml": "ml", "voxels": "voxels"} | ({"channel": "channel"} if several else {})
    columns |= {"mean": "mean", "sd": "sd", "p5": "5 %", "median": "median", "p95": "95 %"}
    listed = [[_rounded(row[key]) for key in columns] for row in rows]
    return f'{table(tuple(columns.values()), listed)}<p class="note">Intensities in the unit of the scan.</p>'


def _rounded(value: Any) -> Any:
    return float(np.round(value, 3)) if isinstance(value, float) else value


def _notes(prediction: MaskPrediction) -> tuple[list[Note], list[Note]]:
    return sort_notes((*prediction.notes, *prediction.segmentation.notes))


def _listed(notes: Sequence[Note]) -> str:
    return f"<ul>{''.join(f'<li>{escape(str(note))}</li>' for note in notes)}</ul>"


def _made(prediction: MaskPrediction) -> dict[str, Any]:
    record, grid = prediction.record, prediction.volume.grid
    spacing = " x ".join(f"{length:.3g}" for length in grid.spacing_mm)
    facts: dict[str, Any] = {
        "model": record.model,
        **{key.replace("_", " "): text for key, text in record.terms.items()},
        "SHA-256 of the model": ", ".join(record.model_sha256),
        "SHA-256 of the scan": record.input_sha256,
        "vol3d": record.vol3d,
        "device": record.device,
        "seconds": record.seconds,
        "voxels": " x ".join(map(str, grid.shape)),
        "spacing (mm)": spacing,
    }
    return facts | {key: str(value) for key, value in record.settings.items()}
