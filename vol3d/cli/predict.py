"""`vol3d predict`: any number of scans; one bad file never stops the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vol3d.cli.console import SOME_FAILED, print_json, print_table
from vol3d.cli.licence import say_licence
from vol3d.cli.options import Behind, Changes, Checkpoint, Device, Json, Series, Topic, files_and_settings
from vol3d.dataset_tools.fault import listed
from vol3d.errors import UsageError
from vol3d.notes import MergedNotes
from vol3d.output import require_output
from vol3d.terminal import aside, counted, progress, say

if TYPE_CHECKING:
    from vol3d.engine.predict import PredictionRow
    from vol3d.model import Model
    from vol3d.scans.source import ScanSource

ALL_FAILED = 1
Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Volumes, DICOM series, point clouds or recordings; files, folders or globs.  KEY=VALUE sets a "
        "setting of the model.",
        metavar="INPUT...",
    ),
]
Mirror = Annotated[
    str | None,
    typer.Option(
        metavar="AXES",
        help="Volumes: average over mirrored axes, none or some of i, j, k as in 'ij'.  Default: the model's setting.",
    ),
]
Fast = Annotated[
    bool,
    typer.Option("--fast", help="Volumes: fewer windows and no mirrored views, less exact; noted in the result."),
]
Columns = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Points: names of a file's columns, as in x,y,z,intensity,ring."),
]
Up = Annotated[
    str | None,
    typer.Option(metavar="AXIS", help="Points: the axis that points up, as in y or -z.  Default: detected and noted."),
]
Units = Annotated[
    str | None, typer.Option(metavar="UNIT", help="Points: m, cm, mm, ft or in.  Default: detected and noted.")
]
Ground = Annotated[
    str | None,
    typer.Option(
        metavar="Z",
        help="LiDAR: where the ground is in the file, in metres, or 'auto' to find it; it is shifted to where the "
        "model's training had it.  Default: auto for models with model.ground, else not shifted.",
    ),
]
Align = Annotated[
    bool | None,
    typer.Option(
        "--align/--no-align",
        help="Points: turn a room's walls to the axes for a model of axis-aligned boxes.  Default: yes.",
    ),
]
Score = Annotated[
    float | None,
    typer.Option(min=0, max=1, metavar="S", help="Points: write boxes with at least this score.  Default: 0.3."),
]

Formats = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAMES",
        help="Also write these beside the result.  Volumes: stl, ply, obj (surfaces), rtstruct, csv (volumes and "
        "intensities), png (a picture), html (a page for a person), probabilities, entropy, "
        "radiomics.  Points: csv, kitti.  Recordings: csv, mcap, rrd.",
    ),
]
Probabilities = Annotated[
    bool,
    typer.Option(
        "--probabilities",
        help="Volumes: also write the probability of each class in each voxel, as --format probabilities.",
    ),
]
Entropy = Annotated[
    bool,
    typer.Option(
        "--entropy",
        help="Volumes: also write how unsure the model was (predictive entropy), as --format entropy.",
    ),
]
Roi = Annotated[
    str | None,
    typer.Option(metavar="CLASSES", help="Volumes: only these classes, as in spleen,liver.  Default: all."),
]
Smooth = Annotated[
    int | None,
    typer.Option(min=0, max=200, metavar="N", help="Volumes: rounds of smoothing of the surfaces.  Default: 0."),
]
Every = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Recordings: predict one of N clouds.  Default: each.")
]
Calib = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Points: KITTI's calibration, a file or a folder.  Default: beside the sweep."),
]


def predict(
    checkpoint: Checkpoint,
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder.", metavar="OUT")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Predict again where a result exists.")] = False,
    dicom_seg: Annotated[
        bool, typer.Option("--dicom-seg", help="Also write a DICOM-SEG file for each DICOM series.")
    ] = False,
    series: Series = None,
    mirror: Mirror = None,
    fast: Fast = False,
    columns: Columns = None,
    up: Up = None,
    units: Units = None,
    ground: Ground = None,
    align: Align = None,
    score: Score = None,
    formats: Formats = None,
    probabilities: Probabilities = False,
    entropy: Entropy = False,
    background: Behind = "dark",
    roi: Roi = None,
    smooth: Smooth = None,
    calib: Calib = None,
    topic: Topic = None,
    every: Every = None,
    changes: Changes = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Predict scans with a shipped model or your own: masks on each volume's grid, boxes in each cloud's frame.

    [bold]Examples[/bold]

      vol3d predict unetr-hippocampus scan.nii.gz -o out
      vol3d predict unetr-hippocampus DICOM_FOLDER 'more/*.nii.gz' -o out
      vol3d predict street-cars bag/ -o out --topic /points --every 5 --json
    """
    import vol3d
    from vol3d.engine.device import pick_device

    require_output(out)  # before minutes of work
    formats = _all_formats(formats, probabilities=probabilities, entropy=entropy)
    options: dict[str, Any] = {"mirror": mirror, "roi": roi, "smooth": smooth, "series": series, "formats": formats}
    options |= {"columns": columns, "up": up, "units": units, "ground": ground, "align": align, "score": score}
    options |= {"background": None if background == "dark" else background}
    options |= {"fast": fast or None, "topic": topic, "every": every, "calib": calib, "dicom_seg": dicom_seg or None}
    scans, words = files_and_settings(inputs)
    if not scans:
        raise UsageError("no scan among the arguments", where="INPUT", got=" ".join(words), do="Name a file or folder.")
    settings = [*words, *(changes or [])]
    model = vol3d.load(checkpoint, str(pick_device(device, "--device")), settings).with_options(options)
    _introduce(checkpoint, model)
    with progress("predicting") as report:
        rows = model.predict_files(
            scans, out, overwrite=overwrite, dicom_seg=dicom_seg, series=series, progress=report, each=say_failure
        )

    if as_json:
        print_json({**model.licence_facts, "results": [row.to_dict() for row in rows]})
    else:
        with aside():
            show(rows, out)
    if status := _exit_status(rows):
        raise typer.Exit(status)


def _exit_status(rows: Sequence[PredictionRow]) -> int:
    """0 where all was written; a recording with clouds that failed counts as an input of which some failed."""
    failed = sum(row.status == "failed" for row in rows)
    if failed == len(rows):
        return ALL_FAILED
    return SOME_FAILED if failed or any(row.facts.get("failed_frames") for row in rows) else 0


def _introduce(checkpoint: str, model: Model) -> None:
    """What is known of a model before it predicts."""
    count, classes = len(model.models), ", ".join(model.class_names)
    say(f"{checkpoint}: {counted(count, 'model')} on {model.device}, classes {classes}")
    say_licence(checkpoint, model)


def _all_formats(formats: str | None, **maps: bool) -> str | None:
    """`--format`, with the names of the flags that stand for one."""
    names = [name for name, wanted in maps.items() if wanted]
    return ",".join([formats, *names] if formats is not None else names) if names else formats


def say_failure(row: PredictionRow) -> None:
    """One line as soon as a scan has failed."""
    if row.error is not None:
        say(f"error: {row.error}")


def show(rows: Sequence[PredictionRow], out: Path) -> None:
    """A table of what was done, and which scans failed; names without folders where they are clear."""
    names = _short_names(rows)
    done = [row for row in rows if row.status != "failed"]
    if done:
        _show_done([_cells(row, names[row.source], out) for row in done])
    for title, assumed in (("assumed", True), ("noted", False)):
        if remarks := _notes(rows, names, assumed):
            print_table(["scans", title], remarks)

    failures = [names[row.source] for row in rows if row.status == "failed"]  # each with its reason by `say_failure`
    skipped = sum(row.status == "skipped" for row in rows)
    remark = f", {skipped} skipped because a result exists (--overwrite predicts them again)" if skipped else ""
    which = f": {listed(failures, 8)}" if failures else ""
    say(f"{len(done) - skipped} written to {out}{remark}, {len(failures)} failed{which}")


def _short_names(rows: Sequence[PredictionRow]) -> dict[ScanSource, str]:
    """Names without folders, unless two scans have the same."""
    names = {row.source: row.source.short for row in rows}
    clear = len(set(names.values())) == len(names)
    return names if clear else {source: str(source) for source in names}


def _show_done(cells: Sequence[Mapping[str, Any]]) -> None:
    columns = list(dict.fromkeys(column for row in cells for column in row))
    print_table(columns, [[row.get(column) for column in columns] for row in cells])


def _cells(row: PredictionRow, name: str, out: Path) -> dict[str, Any]:
    """Column -> cell: files by their place in `out`, a dict of facts as a column for each of its keys."""
    files = {"output": row.output, "dicom_seg": row.dicom_seg}
    cells: dict[str, Any] = {"input": name, "status": row.status}
    cells |= {
        key: str(path.relative_to(out)) if path.is_relative_to(out) else path.name
        for key, path in files.items()
        if path is not None
    }
    cells |= {key: value for key, value in row.facts.items() if not isinstance(value, (dict, list))}
    for key, value in row.facts.items():
        if isinstance(value, dict):
            cells |= {f"{key.replace('_', ' ')}: {below}": item for below, item in value.items()}
    return cells


def _notes(rows: Sequence[PredictionRow], names: Mapping[ScanSource, str], assumed: bool) -> list[list[Any]]:
    """Which scans have a note of what was assumed, or any other, and the note; a number that differs is a range."""
    having = defaultdict[tuple[str, str | None, str | None], list[str]](list)
    merged = MergedNotes()
    for row in rows:
        for note in row.notes:
            if note.assumed == assumed:
                merged.add(note)
                having[note.kind].append(names[row.source])
    which = {kind: list(dict.fromkeys(found)) for kind, found in having.items()}
    every = len(rows) if len(rows) > 1 else 0
    return [["all" if len(which[one.kind]) == every else listed(which[one.kind], 3), str(one)] for one in merged]
