"""`vol3d evaluate`: the data set's official metrics of a checkpoint or an ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from vol3d import catalog
from vol3d.cli import names
from vol3d.cli.console import cell, print_first_columns, print_json
from vol3d.cli.options import Changes, Checkpoint, Device, Json, make_folder, pick_device
from vol3d.errors import UsageError
from vol3d.terminal import progress, say

if TYPE_CHECKING:
    from vol3d.engine.settings import Settings
    from vol3d.engine.task import Evaluation, Task

Part = Literal["validation", "train", "all"]
Root = Annotated[Path, typer.Option("--data", help="The data set's folder.", metavar="ROOT")]
Layout = Annotated[
    str | None,
    typer.Option(
        help="Layout of ROOT.  Default: that of the training data.",
        autocompletion=names.datasets,
        metavar="NAME",
    ),
]
PartName = Annotated[
    str | None,
    typer.Option(
        metavar="PART",
        help="validation, train or all labelled cases.  Default: validation with --fold, on the training "
        "data, or where the data set itself names validation cases; otherwise all.",
    ),
]
Submission = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Also write the benchmark's submission: a JSON file for nuScenes, a folder of text files for KITTI.",
    ),
]
_LONG = 100  # what is longer gets a line of its own


def evaluate(
    checkpoint: Checkpoint,
    data: Root,
    dataset: Layout = None,
    fold: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Score the validation cases of this fold.")
    ] = None,
    split: PartName = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the scores, pictures and report.")] = None,
    submission: Submission = None,
    changes: Changes = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Score a model on a data set: official metrics per class, with a confidence interval.

    [bold]Examples[/bold]

      vol3d evaluate unetr-hippocampus --data DATA/Task04_Hippocampus --fold 0
      vol3d evaluate runs/first --data DATA/Task04_Hippocampus -o scores
      vol3d evaluate runs/pillars --data DATA/nuscenes --submission results_nusc.json
    """
    if split not in (None, "validation", "train", "all"):
        raise UsageError("no such split", where="--split", got=split, wanted="validation, train or all")
    chosen = pick_device(device)
    from torch import nn

    from vol3d.checkpoint import load

    loaded = load(checkpoint, chosen, changes or ())
    task, part = _on(loaded.task, data, dataset, fold, cast("Part | None", split))
    if submission is not None:
        task = task.submitting(submission)
    say(f"{checkpoint}: {len(loaded.models)} model(s) on {chosen}, {part} cases of {data}")
    if out is not None:
        make_folder(out)
    with progress("evaluating") as report:
        model = loaded.models[0] if len(loaded.models) == 1 else nn.ModuleList(loaded.models)
        evaluation = task.evaluate(model, chosen, report, pictures=out is not None)
    evaluation.summary.update(split=part, data=str(data), checkpoint=str(checkpoint), models=len(loaded.models))
    if out is not None:
        _write(out, task, evaluation)
    show(evaluation, as_json)


def _write(out: Path, task: Task, evaluation: Evaluation) -> None:
    from vol3d.config import dump
    from vol3d.engine import results
    from vol3d.files import write_text

    write_text(out / "config.yaml", dump(task.settings))
    results.write(out, evaluation, step=0)
    say(f"report: {out / 'report.html'}")


def _on(task: Task, root: Path, dataset: str | None, fold: int | None, part: Part | None) -> tuple[Task, Part]:
    """The task on the data set at `root`, and the part of it that is scored."""
    trained_on: Settings = task.settings.data  # type: ignore[attr-defined]
    same = dataset is None and _same_folder(trained_on.root, root)  # type: ignore[attr-defined]
    if dataset is None:
        kind = type(trained_on)
    else:
        kind = catalog.load(catalog.find(dataset, catalog.DATASETS, "data set").target)
    if fold is not None and "fold" not in kind.model_fields:
        raise UsageError("this data set has no folds", where="--fold", got=fold, do="Use --split, or leave both out.")
    # A fold means one of those that the model was trained with, wherever the data lie now.
    values = trained_on.model_dump() if same or (fold is not None and dataset is None) else {}
    chosen = {"root": root} if fold is None else {"root": root, "fold": fold}
    data: Any = kind(**values | chosen)
    if part is None:
        # Without folds the split is that of the data set: its training scenes were trained on, wherever a copy lies.
        named = "fold" not in kind.model_fields and bool(data.split().validation)
        part = "validation" if fold is not None or same or named else "all"
    return task.on(data, part), part


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return one.expanduser().resolve() == other.expanduser().resolve()
    except OSError:
        return False


def show(evaluation: Evaluation, as_json: bool) -> None:
    """Prints an evaluation: one JSON object, or the score and a table of the classes."""
    if as_json:
        print_json(evaluation.summary)
        return
    classes = next((v for v in evaluation.summary.values() if isinstance(v, dict) and _rows(v)), {})
    columns = list(
        dict.fromkeys(key for row in classes.values() for key in row if not isinstance(row[key], (list, dict)))
    )
    if classes:
        rows = [[name, *(row.get(c) for c in columns)] for name, row in classes.items()]
        more = print_first_columns(["class", *columns], rows)
        if more:
            say(f"{more} more columns: --json prints them, -o writes them")
    print(f"{evaluation.score_name} {cell(evaluation.score)}")
    facts = {key.replace("_", " "): value for key, value in evaluation.summary.items() if not isinstance(value, dict)}
    say("; ".join(f"{key} {_fact(value)}" for key, value in facts.items() if len(str(value)) <= _LONG))
    for key, value in facts.items():
        if len(str(value)) > _LONG:
            say(f"{key}: {value}")


def _fact(value: object) -> str:
    return " to ".join(cell(bound) for bound in value) if isinstance(value, (list, tuple)) else cell(value)


def _rows(value: dict[str, object]) -> bool:
    return bool(value) and all(isinstance(row, dict) for row in value.values())
