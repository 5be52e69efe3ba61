"""`vol3d train`: a configuration, a folder, and the same command again to resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vol3d.cli import names
from vol3d.cli.console import cell, print_table
from vol3d.cli.options import Device
from vol3d.errors import UsageError
from vol3d.output import require_output
from vol3d.terminal import aside, say, tell

if TYPE_CHECKING:
    from vol3d.engine.folds import Spread
    from vol3d.engine.task import TrainingTask
    from vol3d.seeds.study import SeedStudy

SOME_FAILED = 3

Config = Annotated[
    str,
    typer.Argument(help="A YAML file or a shipped recipe's name (see `vol3d models`).", autocompletion=names.recipes),
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that override the file's.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run.  Default: runs/<its name>.")]
Seeds = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Train N seeds and report how they differ; more can be added later."),
]
Jobs = Annotated[int, typer.Option(min=1, metavar="N", help="Seeds that are trained side by side.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Run one batch through every stage; write nothing.")]
Overfit = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Train and evaluate on the same N cases, as a check.")
]


def train(
    config: Config,
    overrides: Overrides = None,
    out: Out = None,
    seeds: Seeds = None,
    jobs: Jobs = 1,
    folds: Annotated[bool, typer.Option("--folds", help="Train every fold; the folder is an ensemble.")] = False,
    dry_run: DryRun = False,
    overfit: Overfit = None,
    device: Device = None,
) -> None:
    """Train a recipe, evaluate it and write the report. The same command again resumes.

    [bold]Examples[/bold]

      vol3d train unetr_hippocampus_small data.root=DATA/Task04_Hippocampus
      vol3d train my.yaml optim.lr=1e-3 -o runs/a --dry-run
      vol3d train my.yaml --seeds 5 --jobs 2 -o runs/seeds
    """
    if sum([bool(seeds), folds, dry_run, overfit is not None]) > 1:
        raise UsageError("choose one of --seeds, --folds, --dry-run and --overfit")
    require_seeds(seeds, jobs)
    from vol3d.config import load_task

    words, folder = overrides or [], out or default_folder(config)
    if not dry_run:
        require_output(folder)
    if folds:
        from vol3d.engine.folds import train_folds

        _tell_spread(train_folds(config, words, folder, device))
    else:
        run(load_task, config, words, folder, seeds, jobs, dry_run, overfit, device)


def default_folder(config: str) -> Path:
    """Where the runs of a recipe lie."""
    return Path("runs") / Path(config).name.removesuffix(".yaml").removesuffix(".yml")


def run(
    load: Callable[[str | Path, Sequence[str]], TrainingTask],
    config: str,
    words: list[str],
    out: Path,
    seeds: int | None,
    jobs: int,
    dry_run: bool,
    overfit: int | None,
    device: str | None,
) -> None:
    """Trains the task that `load` makes of the configuration, once or with several seeds, and prints the score."""
    from vol3d.engine.distributed import is_main
    from vol3d.engine.loop import train as fit

    if seeds:
        from vol3d.seeds.train import train_seeds

        _tell_study(train_seeds(config, words, out, seeds, device, load, jobs))
        return
    evaluation = fit(load(config, words), out, device=device, dry_run=dry_run, overfit=overfit)
    if not is_main():
        return
    if dry_run:
        rows = [row for key, value in evaluation.summary.items() for row in _rows(key, value)]
        print_table(["dry run", "value"], rows)
    else:
        say(f"{evaluation.score_name} {evaluation.score:.4f}; report: {out / 'report.html'}")


def require_seeds(seeds: int | None, jobs: int) -> None:
    """Raises UsageError for jobs without seeds."""
    if jobs > 1 and not seeds:
        raise UsageError("only seeds are trained side by side", where="--jobs", got=jobs, do="Add --seeds N.")


def _tell_study(study: SeedStudy) -> None:
    """The scores, the outliers and where the report is; exits with status 3 if some seeds have no score."""
    from vol3d.engine.distributed import is_main

    if not is_main():
        return
    rows = [[name, score, ""] for name, score in study.scores.items()]
    rows += [[name, None, why] for name, why in study.failed.items()]
    with aside():
        print_table(["run", study.score_name, ""], rows)
    tell(str(study))
    for name in study.outliers:
        tell(f"{name} is an outlier (generalised ESD test, 5 %)")
    say(f"report: {study.folder / 'report.html'}")
    if study.failed:
        raise typer.Exit(SOME_FAILED)


def _tell_spread(spread: Spread) -> None:
    from vol3d.engine.distributed import is_main

    if is_main():
        with aside():
            print_table(["run", spread.score_name], [[name, score] for name, score in spread.scores.items()])
        tell(str(spread))


def _rows(name: str, value: Any) -> list[list[str]]:
    """One line of a table, or one for each entry of a dict."""
    if isinstance(value, dict):
        return [row for key, item in value.items() for row in _rows(f"{name}: {key}", item)]
    return [[name.replace("_", " "), f"{value:,}" if isinstance(value, int) else cell(value)]]
