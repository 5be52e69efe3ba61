"""Many scans, one after the other: done ones are skipped, bad ones reported, the rest written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from vol3d.engine.task import PredictionTask
from vol3d.errors import UsageError, Vol3dError
from vol3d.notes import Note
from vol3d.prediction import Prediction
from vol3d.scans.results.read import is_result, unlike
from vol3d.terminal import Progress


@dataclass(frozen=True)
class PredictionRow:
    """What became of one scan.

    Args:
        source: the scan.
        status: `skipped` where its result was there already.
        output: the main file of the result; None if it failed.
        error: why it failed.
        facts: what was found, ready for JSON.
        notes: what was assumed.
        dicom_seg: the DICOM-SEG file beside a mask, where one was asked for.
    """

    source: Path
    status: Literal["written", "skipped", "failed"]
    output: Path | None = None
    error: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    dicom_seg: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: keys without a value are left out."""
        row: dict[str, Any] = {"input": str(self.source), "status": self.status}
        row |= {} if self.output is None else {"output": str(self.output)}
        row |= self.facts
        if self.notes:
            row["assumed"] = [str(note) for note in self.notes]
            row["assumptions"] = [note.to_dict() for note in self.notes]
        row |= {} if self.dicom_seg is None else {"dicom_seg": str(self.dicom_seg)}
        return row if self.error is None else {**row, "error": self.error}


def check_results(task: PredictionTask[Any], sources: Sequence[Path], out: Path) -> None:
    """Refuses what would write over an input, before anything is predicted.

    Raises:
        UsageError: no scan, or a result that would replace one of the scans.
    """
    if not sources:
        raise UsageError("no scan among the inputs", do="Give files, folders of files, or DICOM series.")
    inputs = {source.resolve() for source in sources}
    for source in sources:
        result = task.result_path(source, out).resolve()
        if result in inputs:
            raise UsageError("the result would replace an input", where=result, do="Choose another output folder.")


def predict_files(
    task: PredictionTask[Any],
    models: Sequence[nn.Module],
    sources: Sequence[Path],
    out: Path,
    device: torch.device,
    *,
    overwrite: bool = False,
    dicom_seg: bool = False,
    progress: Progress = lambda done, total, name: None,
    each: Callable[[PredictionRow], None] = lambda row: None,
) -> list[PredictionRow]:
    """Predicts scans into a folder; whatever one of them does, the others are predicted.

    Args:
        sources: as `task.find_inputs` gives them.
        overwrite: predict again what is there already.
        dicom_seg: also write DICOM-SEG beside the mask of each DICOM series.
        progress: called before each scan.
        each: called after each scan.
    """
    rows = []
    first: dict[Path, Path] = {}  # result -> the scan that has it
    for number, source in enumerate(sources):
        progress(number, len(sources), source.name)
        result = task.result_path(source, out)
        seg = dicom_path(result) if dicom_seg else None
        done = result.exists() and (seg is None or seg.exists())
        try:
            _check_free(result, source, first.setdefault(result.resolve(), source))
            if done and not overwrite:
                _check_same(result, source, task.class_names)
                row = PredictionRow(source, "skipped", result)
            else:
                row = _written(task.predict(models, task.read(source), device), source, result, seg)
        except Exception as error:
            row = PredictionRow(source, "failed", error=_reason(source, error))
        rows.append(row)
        each(row)
    progress(len(sources), len(sources), "")
    return rows


def dicom_path(result: Path) -> Path:
    """Where the DICOM-SEG of a mask lies: `scan.nii.gz` -> `scan.dcm`."""
    return result.parent / f"{result.name.removesuffix('.gz').removesuffix('.nii')}.dcm"


def _written(prediction: Prediction, source: Path, result: Path, seg: Path | None) -> PredictionRow:
    prediction.write(result)
    if seg is not None:
        prediction.write(seg)
    return PredictionRow(source, "written", result, None, prediction.facts(), prediction.notes, seg)


def _check_free(result: Path, source: Path, first: Path) -> None:
    """Refuses to write over the result of the scan that came first, or over JSON that is no result of vol3d."""
    if first != source:
        do = "Predict them into different folders."
        raise UsageError(f"{first} and {source} would write the same file", where=result, do=do)
    if result.suffix == ".json" and result.exists() and not is_result(result):
        do = "Choose another output folder, or move that file."
        raise UsageError("the result would replace a file that vol3d did not write", where=result, do=do)


def _check_same(result: Path, source: Path, class_names: Sequence[str]) -> None:
    """Refuses to take for done what is the result of another scan of that name, or of another model."""
    if result.suffix == ".json" and (other := unlike(result, source, class_names)):
        do = "Give --overwrite to replace it, or another output folder."
        raise UsageError("a result is there already that is not of this scan and model", where=result, got=other, do=do)


def _reason(source: Path, error: Exception) -> str:
    return str(error) if isinstance(error, Vol3dError) else f"{source}: {type(error).__name__}: {error}"
