"""Many scans, one after the other: done ones are skipped, bad ones reported, the rest written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from vol3d.engine.task import PredictionTask
from vol3d.errors import UsageError, Vol3dError
from vol3d.files import make_folder
from vol3d.notes import Note
from vol3d.prediction import Prediction
from vol3d.scans.read import is_dicom_source
from vol3d.scans.results.read import is_result, unlike
from vol3d.scans.source import ScanSource
from vol3d.terminal import Progress

_NO_SERIES = Note("no-dicom-seg", "no DICOM-SEG: the scan is not a DICOM series")


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

    source: ScanSource
    status: Literal["written", "skipped", "failed"]
    output: Path | None = None
    error: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    dicom_seg: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: keys without a value are left out."""
        row: dict[str, Any] = {"input": str(self.source.path), "status": self.status}
        row |= {} if self.source.series is None else {"series": self.source.series}
        row |= {} if self.output is None else {"output": str(self.output)}
        row |= self.facts
        if self.notes:
            row["assumed"] = [str(note) for note in self.notes]
            row["assumptions"] = [note.to_dict() for note in self.notes]
        row |= {} if self.dicom_seg is None else {"dicom_seg": str(self.dicom_seg)}
        return row if self.error is None else {**row, "error": self.error}


def result_paths(sources: Sequence[ScanSource], suffix: str, out: Path) -> dict[ScanSource, Path]:
    """Where the main file of each result goes: straight into `out`, or of equal names below their own folders.

    `scan.nrrd` -> `out/scan.nii.gz`; `P1/T1.nii`, `P2/T1.nii` -> `out/P1/T1.nii.gz`, `out/P2/T1.nii.gz`.

    Raises:
        UsageError: no scan, a result that would replace one of the scans, or two that would write the same file.
    """
    if not sources:
        raise UsageError("no scan among the inputs", do="Give files, folders of files, or DICOM series.")
    alike: dict[str, list[ScanSource]] = {}
    for source in sources:
        alike.setdefault(source.name.casefold(), []).append(source)

    paths: dict[ScanSource, Path] = {}
    for group in alike.values():
        folders = [source.path.absolute().parent for source in group]
        shared = os.path.commonpath(folders)
        below = [Path(os.path.relpath(folder, shared)) for folder in folders]
        paths |= {source: out / way / f"{source.name}{suffix}" for source, way in zip(group, below, strict=True)}
    _check_paths(paths)
    return paths


def _check_paths(paths: Mapping[ScanSource, Path]) -> None:
    inputs = {file.resolve() for source in paths for file in source.files}
    first: dict[Path, ScanSource] = {}
    for source, path in paths.items():
        result = path.resolve()
        if result in inputs:
            raise UsageError("the result would replace an input", where=result, do="Choose another output folder.")
        if first.setdefault(result, source) != source:
            do = "Predict them into different folders."
            raise UsageError(f"{first[result]} and {source} would write the same file", where=path, do=do)


def predict_files(
    task: PredictionTask[Any],
    models: Sequence[nn.Module],
    results: Mapping[ScanSource, Path],
    device: torch.device,
    *,
    overwrite: bool = False,
    dicom_seg: bool = False,
    progress: Progress = lambda done, total, name: None,
    each: Callable[[PredictionRow], None] = lambda row: None,
) -> list[PredictionRow]:
    """Predicts scans; whatever one of them does, the others are predicted.

    Args:
        results: the scans, as `task.find_inputs` gives them, and the main files of their results.
        overwrite: predict again what is there already.
        dicom_seg: also write DICOM-SEG beside the mask of each DICOM series.
        progress: called before each scan.
        each: called after each scan.
    """
    rows = []
    for number, (source, result) in enumerate(results.items()):
        progress(number, len(results), source.path.name)
        seg = dicom_path(result) if dicom_seg and is_dicom_source(source.path) else None
        done = result.exists() and (seg is None or seg.exists())
        try:
            _check_free(result)
            if done and not overwrite:
                _check_same(result, source.path, task.class_names)
                row = PredictionRow(source, "skipped", result)
            else:
                row = _written(task.predict(models, task.read(source), device), source, result, seg)
                if dicom_seg and seg is None:
                    row = replace(row, notes=(*row.notes, _NO_SERIES))
        except Exception as error:
            row = PredictionRow(source, "failed", error=_reason(source, error))
        rows.append(row)
        each(row)
    progress(len(results), len(results), "")
    return rows


def dicom_path(result: Path) -> Path:
    """Where the DICOM-SEG of a mask lies: `scan.nii.gz` -> `scan.dcm`."""
    return result.parent / f"{result.name.removesuffix('.gz').removesuffix('.nii')}.dcm"


def _written(prediction: Prediction, source: ScanSource, result: Path, seg: Path | None) -> PredictionRow:
    make_folder(result.parent)
    prediction.write(result)
    if seg is not None:
        prediction.write(seg)
    return PredictionRow(source, "written", result, None, prediction.facts(), prediction.notes, seg)


def _check_free(result: Path) -> None:
    """Refuses to write over JSON that is no result of vol3d."""
    if result.suffix == ".json" and result.exists() and not is_result(result):
        do = "Choose another output folder, or move that file."
        raise UsageError("the result would replace a file that vol3d did not write", where=result, do=do)


def _check_same(result: Path, source: Path, class_names: Sequence[str]) -> None:
    """Refuses to take for done what is the result of another scan of that name, or of another model."""
    if result.suffix == ".json" and (other := unlike(result, source, class_names)):
        do = "Give --overwrite to replace it, or another output folder."
        raise UsageError("a result is there already that is not of this scan and model", where=result, got=other, do=do)


def _reason(source: ScanSource, error: Exception) -> str:
    return str(error) if isinstance(error, Vol3dError) else f"{source}: {type(error).__name__}: {error}"
