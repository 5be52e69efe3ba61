"""Many scans, one after the other: done ones are skipped, bad ones reported, the rest written."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

import vol3d
from vol3d.config.chosen import LATER
from vol3d.dataset_tools.index import flat
from vol3d.engine.existing import is_done, with_earlier_files
from vol3d.engine.task import PredictionTask, Windows
from vol3d.errors import UsageError, Vol3dError
from vol3d.files import make_folder, remove_leftovers
from vol3d.notes import Note, as_facts, sort_notes
from vol3d.prediction import Beside, Prediction, Unfinished
from vol3d.scans.digest import of_scan
from vol3d.scans.read import is_dicom_source
from vol3d.scans.results.record import Record, add_file, stem_of
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
        notes: what was assumed, found or changed.
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
            assumed, others = sort_notes(self.notes)
            row |= {key: list(map(str, notes)) for key, notes in (("assumed", assumed), ("noted", others)) if notes}
            row |= as_facts(self.notes)
        row |= {} if self.dicom_seg is None else {"dicom_seg": str(self.dicom_seg)}
        return row if self.error is None else {**row, "error": self.error}


def result_paths(sources: Sequence[ScanSource], suffix: str, out: Path) -> dict[ScanSource, Path]:
    """Where the main file of each result goes, whatever the order of the scans.

    Straight into `out`: `scan.nrrd` -> `out/scan.nii.gz`. Of equal names below their own folders: `P1/T1.nii`,
    `P2/T1.nii` -> `out/P1/T1.nii.gz`, `out/P2/T1.nii.gz`. In one folder under their whole names: `scan.nrrd`,
    `scan.mha` -> `out/scan.nrrd.nii.gz`, `out/scan.mha.nii.gz`.

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
        for source, folder in zip(group, folders, strict=True):
            name = source.name if folders.count(folder) == 1 else source.path.name
            paths[source] = out / os.path.relpath(folder, shared) / f"{name}{suffix}"
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


def model_record(
    task: PredictionTask[Any], info: Sequence[Mapping[str, Any]], name: str, device: torch.device
) -> Record:
    """What the records of all results of a model have in common.

    Args:
        task: with its options and settings set.
        info: what the checkpoint of each network says about itself.
        name: what the model was loaded by.
    """
    made_with: dict[str, Any] = {}
    if info:
        text = json.dumps(info[0]["settings"])
        trained = type(task).settings_type.model_validate_json(text, strict=True, context={LATER: True})
        before, now = flat(trained.model_dump(mode="json")), flat(task.settings.model_dump(mode="json"))
        keys = [key for key in now if key not in task.unrecorded]
        made_with = {key: now[key] for key in keys if key not in before or before[key] != now[key]}
    hashes = tuple(str(one["sha256"]) for one in info)
    return Record(
        model=Path(name).name, model_sha256=hashes, settings=made_with, device=str(device), vol3d=vol3d.__version__
    )


def predict_files(
    task: PredictionTask[Any],
    models: Sequence[nn.Module],
    results: Mapping[ScanSource, Path],
    device: torch.device,
    *,
    record: Record = Record(),  # noqa: B008 (frozen)
    overwrite: bool = False,
    dicom_seg: bool = False,
    progress: Progress = lambda done, total, name: None,
    each: Callable[[PredictionRow], None] = lambda row: None,
) -> list[PredictionRow]:
    """Predicts scans; whatever one of them does, the others are predicted.

    What a killed process left behind is removed first. A result that is there, whole, and of the same scan, model and
    settings is kept.

    Args:
        results: the scans, as `task.find_inputs` gives them, and the main files of their results.
        record: of the models, see `model_record`.
        overwrite: predict again what is there already; files that vol3d did not write are never replaced.
        dicom_seg: also write DICOM-SEG beside the mask of each DICOM series.
        progress: called before each scan.
        each: called after each scan.
    """
    for folder in {result.parent for result in results.values()}:
        remove_leftovers(folder, of_the_dead=True)
    rows = []
    for number, (source, result) in enumerate(results.items()):
        progress(number, len(results), source.short)
        seg = dicom_path(result) if dicom_seg and is_dicom_source(source.path) else None
        try:
            beside = _all_beside(task, source, result, seg)
            wanted = replace(of_scan(record, source), made_with=_made_with(beside))
            if is_done([result, *beside], wanted, overwrite):
                row = PredictionRow(source, "skipped", result, dicom_seg=_there(seg))
            else:
                windows = partial(_windows, progress, number, len(results), source.short)
                unfinished = Unfinished(result, with_earlier_files(wanted, result, [result, *beside]), overwrite)
                row = _predicted(task, models, source, device, unfinished, beside, windows)
                row = replace(row, dicom_seg=_there(seg))
                if dicom_seg and seg is None:
                    row = replace(row, notes=(*row.notes, _NO_SERIES))
        except Exception as error:
            row = PredictionRow(source, "failed", error=_reason(source, error))
        rows.append(row)
        each(row)
    progress(len(results), len(results), "")
    return rows


def _all_beside(task: PredictionTask[Any], source: ScanSource, result: Path, seg: Path | None) -> dict[Path, Beside]:
    """What is written beside the main file, and where."""
    found = {_beside(result, suffix): one for suffix, one in task.writers(source).items()}
    return found if seg is None else {**found, seg: Beside(_write_seg)}


def _made_with(beside: Mapping[Path, Beside]) -> dict[str, str]:
    return {path.name: one.made_with for path, one in beside.items() if one.made_with is not None}


def _beside(result: Path, suffix: str) -> Path:
    return result.parent / f"{stem_of(result)}{suffix}"


def dicom_path(result: Path) -> Path:
    """Where the DICOM-SEG of a mask lies: `scan.nii.gz` -> `scan.dcm`."""
    return _beside(result, ".dcm")


def _predicted(
    task: PredictionTask[Any],
    models: Sequence[nn.Module],
    source: ScanSource,
    device: torch.device,
    unfinished: Unfinished,
    beside: Mapping[Path, Beside],
    windows: Windows,
) -> PredictionRow:
    begin, result = time.perf_counter(), unfinished.result
    prediction = task.predict(models, task.read(source), device, windows, unfinished)
    prediction = replace(prediction, record=replace(unfinished.record, seconds=round(time.perf_counter() - begin, 3)))

    make_folder(result.parent)
    notes = prediction.notes + prediction.write(result)
    for path, one in beside.items():
        notes += one.write(prediction, path)
        add_file(result, path)
    prediction.finish()
    return PredictionRow(source, "written", result, None, prediction.facts(), tuple(dict.fromkeys(notes)))


def _write_seg(prediction: Prediction, path: Path) -> tuple[Note, ...]:
    return prediction.write(path)


def _windows(progress: Progress, number: int, scans: int, name: str, done: int, total: int) -> None:
    """Progress within one scan."""
    progress(number, scans, f"{name}, {done} of {total}")


def _there(path: Path | None) -> Path | None:
    return path if path is not None and path.exists() else None


def _reason(source: ScanSource, error: Exception) -> str:
    return str(error) if isinstance(error, Vol3dError) else f"{source}: {type(error).__name__}: {error}"
