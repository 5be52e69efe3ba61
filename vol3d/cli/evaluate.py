"""`vol3d evaluate`: the data set's official metrics of a checkpoint or an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from vol3d.cli import names
from vol3d.cli.console import cell, print_first_columns, print_json
from vol3d.cli.licence import say_licence
from vol3d.cli.options import Behind, Changes, Checkpoint, Device, Json, Words
from vol3d.errors import UsageError
from vol3d.output import require_output
from vol3d.paths import user_path
from vol3d.terminal import counted, progress, say

if TYPE_CHECKING:
    from vol3d.engine.task import Evaluation, Part
    from vol3d.view.theme import Background

Root = Annotated[
    Path | None, typer.Option("--data", help="The data set's folder; the word data=ROOT is the same.", metavar="ROOT")
]
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
        help="validation, train or all labelled cases; or test, which writes the --submission and scores nothing.  "
        "Default: validation with --fold, on the training data, or where the data set itself names validation cases; "
        "otherwise all.",
    ),
]
Submission = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Also write the benchmark's submission: JSON (nuScenes), a folder (KITTI), feather (Argoverse 2).",
    ),
]
_LONG = 100  # what is longer gets a line of its own


def evaluate(
    checkpoint: Checkpoint,
    words: Words = None,
    data: Root = None,
    dataset: Layout = None,
    fold: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Score the validation cases of this fold.")
    ] = None,
    folds: Annotated[
        bool, typer.Option("--folds", help="Score each model of a folder of folds on its own cases, with one report.")
    ] = False,
    split: PartName = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the scores, pictures and report.")] = None,
    submission: Submission = None,
    background: Behind = "dark",
    changes: Changes = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Score a model on a data set: official metrics per class, with a confidence interval.

    [bold]Examples[/bold]

      vol3d evaluate runs/fold0 data=DATA/Task04_Hippocampus --json
      vol3d evaluate runs/cv data=DATA/Task04_Hippocampus --folds -o scores
      vol3d evaluate runs/pillars --data DATA/kitti --split test --submission results
    """
    import vol3d
    from vol3d.engine.device import pick_device

    for path in (out, submission):
        if path is not None:
            require_output(path, folder=path.is_dir() or path == out)  # before minutes of work
    root, settings = _root(data, [*(words or []), *(changes or [])])
    if folds:
        _refuse_with_folds(fold, split, submission)
        _evaluate_folds(checkpoint, root, dataset, out, device, settings, background, as_json)
        return
    of_data = [word.removeprefix("data.") for word in settings if word.startswith("data.")]
    settings = [word for word in settings if not word.startswith("data.")]
    model = vol3d.load(checkpoint, str(pick_device(device, "--device")), settings)
    say(f"{checkpoint}: {counted(len(model.models), 'model')} on {model.device}, cases of {root}")
    say_licence(checkpoint, model)
    with progress("evaluating") as report:
        evaluation = vol3d.evaluate(
            model,
            root,
            dataset=dataset,
            fold=fold,
            split=cast("Part | None", split),
            out=out,
            submission=submission,
            background=cast("Background", background),
            data_settings=of_data,
            progress=report,
        )
    show(evaluation, as_json, out)


def _refuse_with_folds(fold: int | None, split: str | None, submission: Path | None) -> None:
    """Raises UsageError for what one model is scored on."""
    for option, value in (("--fold", fold), ("--split", split), ("--submission", submission)):
        if value is not None:
            raise UsageError("not with --folds, which scores each model on its own cases", where=option, got=value)


def _evaluate_folds(
    checkpoint: str,
    root: Path,
    dataset: str | None,
    out: Path | None,
    device: str | None,
    settings: list[str],
    background: str,
    as_json: bool,
) -> None:
    """One fold after the other, a table of their scores, and the report of all in `out`."""
    import vol3d
    from vol3d.cli.train import print_spread
    from vol3d.engine.device import pick_device
    from vol3d.engine.folds import evaluate_folds
    from vol3d.view.theme import require_background

    chosen, shade = str(pick_device(device, "--device")), require_background(background)
    with progress("evaluating") as report:
        spread = evaluate_folds(
            checkpoint, root, dataset, out, lambda path: vol3d.load(path, chosen, settings), report, shade
        )
    print_spread(spread, out, as_json)


def _root(data: Path | None, words: Sequence[str]) -> tuple[Path, list[str]]:
    """The data set's folder, and the other words.

    Raises:
        UsageError: no folder, or two.
    """
    roots = [word.partition("=")[2].strip() for word in words if word.partition("=")[0].strip() == "data"]
    if len(roots) + (data is not None) != 1:
        what = "no data set" if data is None and not roots else "more than one data set"
        raise UsageError(what, where="data", do="Give data=ROOT once.")
    others = [word for word in words if word.partition("=")[0].strip() != "data"]
    return (user_path(roots[0]) if data is None else data), others


def show(evaluation: Evaluation, as_json: bool, out: Path | None = None) -> None:
    """Prints an evaluation, and where in `out` its report is: one JSON object, or the score and a table of classes."""
    if out is not None:
        say(f"report: {out / 'report.html'}")
    if as_json:
        print_json(evaluation.summary)
        return
    from vol3d.engine.trained_on import remarks
    from vol3d.report.folder import RunFolder

    title = RunFolder(name="", measured=evaluation.metrics).title
    classes: dict[str, Any] = next((value for value in evaluation.summary.values() if _is_table(value)), {})
    if classes:
        _show_classes(classes, title)
    if evaluation.score_name:
        print(f"{evaluation.score_name} {cell(evaluation.score)}")
    _show_facts(evaluation.summary, title)
    for text in remarks(evaluation.summary):
        say(f"note: {text}")


def _show_classes(classes: Mapping[str, Mapping[str, Any]], title: Callable[[str], str]) -> None:
    """A row for each class; columns that do not fit are left out and counted, counts of all classes said once."""
    from vol3d.report.scores import shown

    columns = _columns(classes)
    shared = {key: value for key in columns if (value := _shared_count(key, classes)) is not None}
    columns = {key: None for key in columns if key not in shared}
    rows = [[name, *(shown(row, column) for column in columns)] for name, row in classes.items()]
    if more := print_first_columns(["class", *map(title, columns)], rows):
        say(f"more columns ({more}): --json prints them, -o writes them")
    if shared:
        say("in each class: " + ", ".join(f"{title(key)} {value}" for key, value in shared.items()))


def _columns(classes: Mapping[str, Mapping[str, Any]]) -> dict[str, None]:
    """Keys whose values fit into a cell, in their order."""
    cells = (item for row in classes.values() for item in row.items())
    return dict.fromkeys(key for key, value in cells if not isinstance(value, (list, dict)))


def _shared_count(key: str, classes: Mapping[str, Mapping[str, Any]]) -> int | None:
    """The count that several classes all have, which tells none from another; None for any other column."""
    values = [row.get(key) for row in classes.values()]
    first = values[0]
    alike = len(values) > 2 and isinstance(first, int) and all(value == first for value in values)
    return first if alike else None


def _show_facts(summary: Mapping[str, Any], title: Callable[[str], str]) -> None:
    """Short facts on one line, long ones on a line each; tables are left out."""
    facts = {title(key): value for key, value in summary.items() if not _is_nested(value)}
    long = {key: value for key, value in facts.items() if len(str(value)) > _LONG}
    say("; ".join(f"{key} {_fact(value)}" for key, value in facts.items() if key not in long))
    for key, value in long.items():
        say(f"{key}: {value}")


def _fact(value: object) -> str:
    return " to ".join(cell(bound) for bound in value) if isinstance(value, (list, tuple)) else cell(value)


def _is_nested(value: object) -> bool:
    """Whether it is a table, or the remarks."""
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(row, dict) for row in value.values())
