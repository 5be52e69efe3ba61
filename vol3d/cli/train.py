"""`vol3d train`: a configuration, a folder, and the same command again to resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vol3d.cli import names
from vol3d.cli.console import SOME_FAILED, print_json, print_table
from vol3d.cli.options import Behind, Device, Json
from vol3d.cli.verdict import rows, verdict
from vol3d.errors import UsageError
from vol3d.output import require_output
from vol3d.terminal import aside, say, tell

if TYPE_CHECKING:
    from vol3d.engine.folds import Spread
    from vol3d.engine.task import TrainingTask
    from vol3d.seeds.study import SeedStudy

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
    background: Behind = "dark",
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a recipe, evaluate it and write the report. The same command again resumes.

    [bold]Examples[/bold]

      vol3d train unetr_hippocampus_small data=DATA/Task04_Hippocampus time=6min
      vol3d train my.yaml lr=1e-3 model.depth=6 -o runs/a --dry-run
      vol3d train my.yaml --seeds 5 --jobs 2 -o runs/seeds
    """
    if sum([bool(seeds), folds, dry_run, overfit is not None]) > 1:
        raise UsageError("choose one of --seeds, --folds, --dry-run and --overfit")
    require_seeds(seeds, jobs)
    from vol3d.config import load_task

    words, folder = with_background(overrides, background), out or default_folder(config)
    if not dry_run:
        require_output(folder)
    if folds:
        from vol3d.engine.folds import train_folds

        print_spread(train_folds(config, words, folder, device), folder, as_json)
    else:
        run(load_task, config, words, folder, seeds, jobs, dry_run, overfit, device, as_json)


def with_background(overrides: Sequence[str] | None, background: str) -> list[str]:
    """The overrides with the setting that `--background` stands for, unless it is the default."""
    return [*(overrides or []), *([] if background == "dark" else [f"train.background={background}"])]


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
    as_json: bool,
) -> None:
    """Trains the task that `load` makes of the configuration, once or with several seeds, and prints the score."""
    from vol3d.engine.distributed import is_main
    from vol3d.engine.loop import train as fit

    if seeds:
        from vol3d.seeds.train import train_seeds

        _print_study(train_seeds(config, words, out, seeds, device, load, jobs), as_json)
        return
    evaluation = fit(load(config, words), out, device=device, dry_run=dry_run, overfit=overfit)
    if not is_main():
        return
    if dry_run:
        _print_dry_run(evaluation.summary, out, as_json)
        return
    if as_json:
        score = {"score_name": evaluation.score_name, "score": evaluation.score}
        print_json({"run": str(out), **score, "summary": evaluation.summary, "report": str(out / "report.html")})
    say(f"{evaluation.score_name} {evaluation.score:.4f}; report: {out / 'report.html'}")


def require_seeds(seeds: int | None, jobs: int) -> None:
    """Raises UsageError for jobs without seeds."""
    if jobs > 1 and not seeds:
        raise UsageError("only seeds are trained side by side", where="--jobs", got=jobs, do="Add --seeds N.")


def _print_dry_run(summary: dict[str, Any], out: Path, as_json: bool) -> None:
    if as_json:
        print_json({"run": str(out), **summary, "verdict": verdict(summary, out)})
        return
    print_table(["dry run", "value"], rows(summary))
    for sentence in verdict(summary, out):
        tell(sentence)


def _print_study(study: SeedStudy, as_json: bool) -> None:
    """The scores, the outliers and where the report is; exits with status 3 if some seeds have no score."""
    from vol3d.engine.distributed import is_main

    if not is_main():
        return
    if as_json:
        print_json({"run": str(study.folder), **study.to_dict(), "report": str(study.folder / "report.html")})
    else:
        _show_study(study)
    say(f"report: {study.folder / 'report.html'}")
    if study.failed:
        raise typer.Exit(SOME_FAILED)


def _show_study(study: SeedStudy) -> None:
    scores = [[name, score, ""] for name, score in study.scores.items()]
    scores += [[name, None, why] for name, why in study.failed.items()]
    with aside():
        print_table(["run", study.score_name, ""], scores)
    tell(str(study))
    for name in study.outliers:
        tell(f"{name} is an outlier (generalised ESD test, 5 %)")


def print_spread(spread: Spread, out: Path | None, as_json: bool) -> None:
    """The scores of the folds, and where in `out` their report is."""
    from vol3d.engine.distributed import is_main

    if not is_main():
        return
    if out is not None:
        say(f"report: {out / 'report.html'}")
    if as_json:
        print_json({"run": None if out is None else str(out), **asdict(spread)})
        return
    with aside():
        print_table(["run", spread.score_name], [[name, score] for name, score in spread.scores.items()])
    tell(str(spread))
