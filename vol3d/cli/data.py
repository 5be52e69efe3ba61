"""`vol3d data`: faults and fingerprint of a data set, and arrays made from it once; the original never changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vol3d import catalog
from vol3d.cli import names
from vol3d.cli.console import print_json, print_table, progress, say
from vol3d.cli.options import Json, make_folder
from vol3d.errors import UsageError, Vol3dError

app = typer.Typer(rich_markup_mode="rich")

Dataset = Annotated[str, typer.Argument(help="How it is laid out (see `vol3d models`).", autocompletion=names.datasets)]
Root = Annotated[Path, typer.Argument(help="Its folder.")]
Workers = Annotated[int | None, typer.Option(min=0, metavar="N", help="Processes.  Default: one per core.")]


@app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """Check, describe or prepare a data set; the original is never changed.

    [bold]Examples[/bold]

      vol3d data check msd DATA/Task04_Hippocampus
      vol3d data stats folder DATA/mine --json
      vol3d data prepare msd DATA/Task04_Hippocampus --recipe unetr_hippocampus -o DATA/ready
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(UsageError.exit_code)


@app.command()
def check(dataset: Dataset, root: Root, workers: Workers = None, as_json: Json = False) -> None:
    """List every fault of a data set, and what to do about each. Leaves with 1 if there are errors.

    [bold]Examples[/bold]

      vol3d data check msd DATA/Task04_Hippocampus
      vol3d data check btcv DATA/Abdomen/RawData --workers 4
      vol3d data check folder DATA/mine --json
    """
    from medical.datasets.check import check as find_faults

    split = find_split(dataset, root)
    with progress("checking") as report:
        faults = find_faults(split, workers, report)
    errors = sum(fault.severity == "error" for fault in faults)
    cases = len(split.train) + len(split.validation) + len(split.test)
    rows = [[fault.severity, fault.case, fault.what, fault.do] for fault in faults]
    if as_json:
        keys = ("severity", "case", "what", "do")
        print_json(
            {
                "data_set": split.name,
                "cases": cases,
                "errors": errors,
                "faults": [dict(zip(keys, r, strict=True)) for r in rows],
            }
        )
    elif rows:
        print_table(["", "case", "fault", "what to do"], rows)
    say(f"{split.name}: {cases} cases, {errors} errors, {len(faults) - errors} warnings")
    if errors:
        raise typer.Exit(Vol3dError.exit_code)


@app.command()
def stats(dataset: Dataset, root: Root, workers: Workers = None, as_json: Json = False) -> None:
    """Describe a data set: shapes, spacings, intensities, volumes of the classes.

    [bold]Examples[/bold]

      vol3d data stats msd DATA/Task04_Hippocampus
      vol3d data stats btcv DATA/Abdomen/RawData --workers 4
      vol3d data stats folder DATA/mine --json > fingerprint.json
    """
    from medical.datasets.stats import stats as describe

    split = find_split(dataset, root)
    with progress("reading") as report:
        facts = describe(split, workers, report)
    if as_json:
        print_json(facts)
    else:
        shown = {key: len(value) if key in ("cases", "unreadable") else value for key, value in facts.items()}
        print_table(["", split.name], flatten(shown))


@app.command()
def prepare(
    dataset: Dataset,
    root: Root,
    recipe: Annotated[
        str,
        typer.Option(help="The recipe whose preprocessing is applied.", autocompletion=names.recipes, metavar="CONFIG"),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the arrays; `prepared: OUT` in a recipe uses it.")
    ],
    workers: Workers = None,
) -> None:
    """Preprocess a data set once, in parallel; the same command goes on where it was stopped.

    [bold]Examples[/bold]

      vol3d data prepare msd DATA/Task04_Hippocampus --recipe unetr_hippocampus -o DATA/ready
      vol3d data prepare btcv DATA/Abdomen --recipe unetr_btcv -o DATA/btcv --workers 4
      vol3d train unetr_hippocampus prepared=DATA/ready
    """
    from medical.datasets.prepare import prepare as write_arrays
    from vol3d.config import load_task

    settings: Any = load_task(recipe, [f"data.name={dataset}", f"data.root={json.dumps(str(root))}"]).settings
    split = find_split(dataset, root)
    make_folder(out)
    with progress("preparing") as report:
        write_arrays(split, settings.preprocess, out, workers, report)
    say(f"{split.name} is ready in {out}")


def find_split(dataset: str, root: Path) -> Any:
    """The cases of the data set at `root`."""
    entry = catalog.find(dataset, catalog.DATASETS, "data set")
    return catalog.load(entry.target)(root=root).split()


def flatten(value: Any, prefix: str = "") -> list[list[str]]:
    """Nested facts as rows of a path and a value."""
    if isinstance(value, dict):
        return [
            row for key, item in value.items() for row in flatten(item, f"{prefix} / {key}" if prefix else str(key))
        ]
    items = value if isinstance(value, (list, tuple)) else [value]
    return [[prefix, ", ".join(f"{item:.5g}" if isinstance(item, float) else str(item) for item in items)]]
