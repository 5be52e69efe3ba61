"""`vol3d predict`: any number of scans; one bad file never stops the rest."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vol3d.cli.console import print_json, print_table
from vol3d.cli.options import Changes, Checkpoint, Device, Json, make_folder, pick_device
from vol3d.errors import UsageError, Vol3dError
from vol3d.terminal import progress, say

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vol3d.engine.task import Task
    from vol3d.notes import Note

SOME_FAILED, ALL_FAILED = 3, 1
Inputs = Annotated[
    list[str],
    typer.Argument(help="Scans: volumes, DICOM series, point clouds; files, folders, globs.", metavar="INPUT..."),
]
Mirror = Annotated[
    str | None,
    typer.Option(
        metavar="AXES",
        help="Volumes: average over mirrored axes, none or some of i, j, k as in 'ij'.  Default: the model's own.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Points: what the columns of a file are, as in x,y,z,intensity,ring."),
]
Up = Annotated[
    str | None,
    typer.Option(metavar="AXIS", help="Points: the axis that points up, as in y or -z.  Default: found, and told."),
]
Units = Annotated[
    str | None, typer.Option(metavar="UNIT", help="Points: m, cm, mm, ft or in.  Default: found, and told.")
]
Align = Annotated[
    bool | None,
    typer.Option(
        "--align/--no-align",
        help="Points: show a model of axis-aligned boxes the room with its walls along the axes.  Default: yes.",
    ),
]
Score = Annotated[
    float | None,
    typer.Option(min=0, max=1, metavar="S", help="Points: write boxes of this score and more.  Default: 0.3."),
]


def predict(
    checkpoint: Checkpoint,
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.", metavar="OUT")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Predict again what is there already.")] = False,
    dicom_seg: Annotated[
        bool, typer.Option("--dicom-seg", help="Also write DICOM-SEG beside the mask of each DICOM series.")
    ] = False,
    mirror: Mirror = None,
    columns: Columns = None,
    up: Up = None,
    units: Units = None,
    align: Align = None,
    score: Score = None,
    changes: Changes = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Predict scans with a shipped or own model: masks on each volume's own grid, boxes in each cloud's own frame.

    [bold]Examples[/bold]

      vol3d predict unetr-hippocampus scan.nii.gz -o out
      vol3d predict unetr-hippocampus DICOM_FOLDER 'more/*.nii.gz' -o out
      vol3d predict runs/cv scans/ -o out --overwrite --json
    """
    paths = expand(inputs)
    chosen = pick_device(device)
    from vol3d.checkpoint import load

    loaded = load(checkpoint, chosen, changes or ())
    options = {"mirror": mirror, "columns": columns, "up": up, "units": units, "align": align, "score": score}
    options["dicom_seg"] = dicom_seg or None
    task = loaded.task.with_options({name: value for name, value in options.items() if value is not None})
    sources = task.find_inputs(paths)
    check_results(task, sources, out)
    make_folder(out)
    say(f"{checkpoint}: {len(loaded.models)} model(s) on {chosen}, classes {', '.join(task.class_names)}")
    with progress("predicting") as report:
        rows = predict_all(task, loaded.models, sources, out, chosen, overwrite, report, dicom_seg)
    if as_json:
        print_json({"results": [row | _described(row.get("assumed", ())) for row in rows]})
    else:
        show(rows, out)
    failed = sum(row["status"] == "failed" for row in rows)
    if failed:
        raise typer.Exit(ALL_FAILED if failed == len(rows) else SOME_FAILED)


def expand(inputs: Sequence[str]) -> list[Path]:
    """Paths that exist as they are, or else what a glob finds.

    Raises:
        UsageError: a word is neither.
    """
    paths: list[Path] = []
    for word in inputs:
        path = Path(word).expanduser()
        found = [path] if path.exists() else _matching(str(path))
        if not found:
            raise UsageError("no such file or folder, and no file matches", where=word)
        paths += found
    return list(dict.fromkeys(paths))


def _matching(pattern: str) -> list[Path]:
    # Path.glob refuses absolute patterns and does not know `~`.
    return [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207


def check_results(task: Task, sources: Sequence[Path], out: Path) -> None:
    """Refuses what would write over an input before anything is predicted."""
    if not sources:
        raise UsageError("no scan among the inputs", do="Give files, folders of files, or DICOM series.")
    for source in sources:
        result = task.result_path(source, out).resolve()
        if result in (one.resolve() for one in (source, *sources)):
            raise UsageError("the result would replace an input", where=result, do="Choose another folder for -o.")


def predict_all(
    task: Task,
    models: Sequence[nn.Module],
    sources: Sequence[Path],
    out: Path,
    device: torch.device,
    overwrite: bool,
    report: Any,
    dicom_seg: bool = False,
) -> list[dict[str, Any]]:
    """One row per scan: its `status` is written, skipped or failed, with what the task says, or the `error`."""
    rows = []
    first: dict[Path, Path] = {}  # result -> the scan that has it
    for number, source in enumerate(sources):
        report(number, len(sources), source.name)
        row: dict[str, Any] = {"input": str(source), "status": "written"}
        result = task.result_path(source, out)
        done = result.exists() and not (dicom_seg and not dicom_path(result).exists())
        try:
            _check_result(result, source, first.setdefault(result.resolve(), source))
            if done and not overwrite:
                _check_same(result, source, task.class_names)
                row |= {"status": "skipped", "output": str(result)}
            else:
                row |= _predict_one(task, models, source, out, device, dicom_seg)
        except Exception as error:  # whatever one file does, the others are still predicted
            row |= _failure(source, error)
        rows.append(row)
    report(len(sources), len(sources), "")
    return rows


def _check_result(result: Path, source: Path, first: Path) -> None:
    """Refuses to write over the result of the scan that came first, or over JSON that is no result of vol3d."""
    from vol3d.scans.results.read import is_result

    if first != source:
        do = "Predict them into different folders."
        raise UsageError(f"{first} and {source} would write the same file", where=result, do=do)
    if result.suffix == ".json" and result.exists() and not is_result(result):
        do = "Choose another folder for -o, or move that file."
        raise UsageError("the result would replace a file that vol3d did not write", where=result, do=do)


def _check_same(result: Path, source: Path, class_names: Sequence[str]) -> None:
    """Refuses to take for done what is the result of another scan of that name, or of another model."""
    from vol3d.scans.results.read import unlike

    if result.suffix == ".json" and (other := unlike(result, source, class_names)):
        do = "Give --overwrite to replace it, or another folder for -o."
        raise UsageError("a result is there already that is not of this scan and model", where=result, got=other, do=do)


def dicom_path(result: Path) -> Path:
    """Where the DICOM-SEG of a mask lies: `scan.nii.gz` -> `scan.dcm`."""
    return result.parent / f"{result.name.removesuffix('.gz').removesuffix('.nii')}.dcm"


def _predict_one(
    task: Task, models: Sequence[nn.Module], source: Path, out: Path, device: torch.device, dicom_seg: bool
) -> dict[str, Any]:
    result = task.result_path(source, out)
    row = {"output": str(result), **task.predict(models, source, out, device)}
    if dicom_seg:
        _write_dicom_seg(task, source, result)
        row["dicom_seg"] = str(dicom_path(result))
    return row


def _failure(source: Path, error: Exception) -> dict[str, str]:
    message = str(error) if isinstance(error, Vol3dError) else f"{source}: {type(error).__name__}: {error}"
    say(f"error: {message}")
    return {"status": "failed", "error": message}


def _write_dicom_seg(task: Task, source: Path, result: Path) -> None:
    from vol3d.scans.dicom.seg import write_dicom_seg
    from vol3d.scans.read import read_labels
    from vol3d.scans.volumes.volume import Segmentation

    mask = read_labels(result)
    write_dicom_seg(dicom_path(result), Segmentation(mask.array[0], mask.grid, task.class_names, source))


def show(rows: Sequence[dict[str, Any]], out: Path) -> None:
    """A table of what happened, the failures with their reason; names without folders where they are clear."""
    names = {row["input"]: Path(row["input"]).name for row in rows}
    short = names if len(set(names.values())) == len(names) else {name: name for name in names}
    done = [row for row in rows if row["status"] != "failed"]
    columns = list(
        dict.fromkeys(key for row in done for key, value in row.items() if not isinstance(value, (dict, list)))
    )
    nested = list(
        dict.fromkeys((key, sub) for row in done for key, v in row.items() if isinstance(v, dict) for sub in v)
    )
    if done:
        told = [{key: _told(key, value, short) for key, value in row.items()} for row in done]
        table = [[*(row.get(c) for c in columns), *((row.get(k) or {}).get(s) for k, s in nested)] for row in told]
        print_table([*columns, *(f"{key.replace('_', ' ')}: {sub}" for key, sub in nested)], table)
    if remarks := count_notes(rows):
        print_table(["scans", "assumed"], remarks)
    failures = [
        [short[row["input"]], row["error"].removeprefix(f"{row['input']}: ")]
        for row in rows
        if row["status"] == "failed"
    ]
    if failures:
        print_table(["failed", "reason"], failures)
    skipped = sum(row["status"] == "skipped" for row in rows)
    remark = f", {skipped} skipped because they were there (--overwrite predicts them again)" if skipped else ""
    say(f"{len(done) - skipped} written to {out}{remark}, {len(failures)} failed")


def count_notes(rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """How many scans have a note under `assumed`, and the note; numbers that differ between them are left out."""
    alike: dict[tuple[str | None, ...], list[Note]] = {}
    for row in rows:
        for note in row.get("assumed", ()):
            alike.setdefault(note.kind, []).append(note)
    same = {kind: len({str(note) for note in notes}) == 1 for kind, notes in alike.items()}
    return [[len(notes), str(notes[0]) if same[kind] else notes[0].form()] for kind, notes in alike.items()]


def _described(notes: Sequence[Note]) -> dict[str, Any]:
    """What was assumed, as JSON has it: sentences, and the facts that they are made of."""
    if not notes:
        return {}
    return {"assumed": [str(note) for note in notes], "assumptions": [note.to_dict() for note in notes]}


def _told(key: str, value: Any, short: Mapping[str, str]) -> Any:
    """A cell of the table: the input by its short name, a file written by its name (the folder is told below)."""
    if key == "input":
        return short[value]
    return Path(value).name if key in ("output", "dicom_seg") else value
