"""`vol3d data`: faults and facts of a data set, and arrays made from it once; the original never changes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from vol3d import catalog, examples
from vol3d.class_names import spelled_alike
from vol3d.cli import names
from vol3d.cli.console import print_json, print_table
from vol3d.cli.options import Json
from vol3d.dataset_tools.fault import Fault
from vol3d.errors import UsageError, Vol3dError
from vol3d.output import require_output
from vol3d.terminal import counted, progress, say

MANY, SHOWN = 12, 3  # faults of one kind that are printed one by one, and that are shown of more
app = typer.Typer(rich_markup_mode="rich")

Dataset = Annotated[str, typer.Argument(help="Its layout (see `vol3d models`).", autocompletion=names.datasets)]
Root = Annotated[Path, typer.Argument(help="Folder of the data set.")]
Words = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings of the data set.")]
Workers = Annotated[int | None, typer.Option(min=0, metavar="N", help="Worker processes.  Default: one per core.")]


@app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """Check, describe or prepare a data set; the original is never changed.

    [bold]Examples[/bold]

      vol3d data check msd DATA/Task04_Hippocampus
      vol3d data prepare scannet DATA/scannet -o DATA/scannet_ready
      vol3d data generate drives DATA/drives --scenes 20
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(UsageError.exit_code)


@app.command()
def check(dataset: Dataset, root: Root, words: Words = None, workers: Workers = None, as_json: Json = False) -> None:
    """List every fault of a data set and how to fix it. Exits with status 1 if there are errors.

    [bold]Examples[/bold]

      vol3d data check msd DATA/Task04_Hippocampus
      vol3d data check scannet DATA/scannet --workers 4
      vol3d data check point_folder DATA/mine up=y units=mm --json
    """
    tools, split = find_tools(dataset), find_split(dataset, root, words)
    with progress("checking") as report:
        faults = tools.check(split, workers, report)
    errors = sum(fault.severity == "error" for fault in faults)
    cases = len(split.train) + len(split.validation) + len(split.test)
    if as_json:
        described = [fault.to_dict() for fault in faults]
        print_json({"data_set": split.name, "cases": cases, "errors": errors, "faults": described})
    elif faults:
        print_table(["", "case", "fault", "what to do"], rows_of(faults))
    say(f"{split.name}: {counted(cases, 'case')}, errors: {errors}, warnings: {len(faults) - errors}")
    if errors:
        raise typer.Exit(Vol3dError.exit_code)


def rows_of(faults: Sequence[Fault]) -> list[list[str]]:
    """A row for each fault; of a kind that many cases have, a row for the first ones and one that counts the others."""
    kinds, rows = defaultdict[tuple[str, str], list[Fault]](list), []
    for fault in faults:
        kinds[fault.severity, fault.code].append(fault)
    for (severity, code), alike in kinds.items():
        shown = alike if len(alike) <= MANY else alike[:SHOWN]
        rows += [[severity, fault.case, fault.what, fault.do] for fault in shown]
        if len(shown) < len(alike):
            what = f"{len(alike) - len(shown)} more cases like these ({code})"
            rows.append([severity, "...", what, "--json lists them all."])
    return rows


@app.command()
def stats(dataset: Dataset, root: Root, words: Words = None, workers: Workers = None, as_json: Json = False) -> None:
    """Describe a data set: volumes by shape, spacing, intensity; scenes by points, extent, boxes; and its classes.

    [bold]Examples[/bold]

      vol3d data stats msd DATA/Task04_Hippocampus
      vol3d data stats scannet DATA/scannet --workers 4
      vol3d data stats folder DATA/mine --json > fingerprint.json
    """
    tools, split = find_tools(dataset), find_split(dataset, root, words)
    with progress("reading") as report:
        facts = tools.stats(split, workers, report)
    if as_json:
        print_json(facts)
        return
    for table in tools.tables(facts):
        print_table(table.columns, table.rows, table.title)


@app.command()
def prepare(
    dataset: Dataset,
    root: Root,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output folder; for volumes, `prepared: OUT` in a recipe uses it.")
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            help="For volumes: the recipe whose preprocessing is applied. Point clouds need none.",
            autocompletion=names.recipes,
            metavar="CONFIG",
        ),
    ] = None,
    words: Words = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Convert a data set to arrays once, in parallel; the same command resumes when it was stopped.

    [bold]Examples[/bold]

      vol3d data prepare msd DATA/Task04_Hippocampus --recipe unetr_hippocampus -o DATA/ready
      vol3d data prepare scannet DATA/scannet -o DATA/scannet_ready --workers 8
      vol3d data prepare point_folder DATA/mine up=y units=mm -o DATA/mine_ready
    """
    from vol3d.config import load_task

    tools = find_tools(dataset)
    if out.resolve() == root.resolve():
        raise UsageError("this is the data set itself", where="--out", got=out, do="Choose another folder.")
    require_output(out)
    data = find_data(dataset, root, words)
    overrides = [f"data.{word}" for word in (f"name={dataset}", _root(root), *_of_data(words))]
    settings: Any = load_task(recipe, overrides).settings if recipe else None
    with progress("preparing") as report:
        name = tools.prepare(data, settings, out, workers, report)
    if as_json:
        print_json({"data_set": name, "out": str(out)})
    say(f"{name} is ready in {out}")


@app.command()
def export(
    layout: Annotated[str, typer.Argument(help="The layout to write: nnunet.", metavar="LAYOUT")],
    dataset: Dataset,
    root: Root,
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder, new or of an export that was stopped.")],
    words: Words = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Write a data set of volumes in the layout of another program, with channels, regions and voxels to ignore.

    Voxels and geometry are those of the originals; nothing is resampled.

    [bold]Examples[/bold]

      vol3d data export nnunet folder DATA/mine -o nnUNet_raw/Dataset101_Mine
      vol3d data export nnunet btcv DATA/BTCV -o nnUNet_raw/Dataset102_BTCV --workers 4
      vol3d data export nnunet msd DATA/Task04_Hippocampus -o Dataset004_Hippocampus
    """
    written = catalog.find(layout, catalog.EXPORTS, "layout to export to")
    if written.task not in (kind := catalog.find(dataset, catalog.DATASETS, "data set")).tasks:
        got = f"{dataset} ({kind.summary})"
        raise UsageError(f"only data sets of volumes can be written as {layout}", where="DATASET", got=got)
    require_output(out)
    split = find_split(dataset, root, words)
    with progress("exporting") as report:
        catalog.load(written.target)(split, out, workers, report)
    if as_json:
        print_json({"data_set": split.name, "layout": layout, "out": str(out)})
    say(f"{split.name} is in {out}; `vol3d data check {layout} {out}` reads it back")


_FORMATS = (
    "point_folder, labelcloud (degrees), labelcloud_rel (radians), cvat (Datumaro 3D), supervisely, sustechpoints, "
    "kitti (label_2 with calib), openpcdet (lines x y z l w h yaw class), nuscenes (its tables)"
)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A label file, or the folder that the format has.", metavar="LABELS")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output folder, new or empty; for boxes.json also that of the clouds.")
    ],
    source_format: Annotated[str, typer.Option("--from", metavar="FORMAT", help=f"Of the labels: {_FORMATS}.")],
    target_format: Annotated[
        str, typer.Option("--to", metavar="FORMAT", help="To be written.  Default: point_folder, which training reads.")
    ] = "point_folder",
) -> None:
    """Convert boxes around objects in point clouds from and to the formats of labelling tools and data sets.

    Point files are not copied: the labels name them.

    [bold]Examples[/bold]

      vol3d data convert labels/ --from labelcloud -o DATA/mine
      vol3d data convert export/ --from cvat --to supervisely -o project
      vol3d data convert DATA/mine --from point_folder --to kitti -o DATA/as_kitti
    """
    counts = catalog.load(catalog.CONVERT_LABELS)(source, source_format, target_format, out)
    scenes = counts.pop("")
    found = ", ".join(f"{number} {name}" for name, number in counts.items()) or "no boxes"
    say(f"{scenes} scans with {found} are in {out} as {target_format}")
    for alike in spelled_alike(counts):
        say(f"note: {' and '.join(alike)} are classes of their own; rename them in the labels if they are one")
    if target_format == "point_folder":
        _say_next(out)


def _say_next(out: Path) -> None:
    """What a new `boxes.json` still lacks, and how to go on."""
    missing = catalog.load(catalog.MISSING_CLOUDS)(out)
    if missing:
        say(f"next: put the {len(missing)} clouds beside {out / 'boxes.json'}, the first as {out / missing[0]}")
    say("every fifth scan is held out (`validation` in boxes.json); scans of one place belong on one side")
    say(f"then: vol3d data check point_folder {out}; vol3d init point_folder {out}")


@app.command()
def generate(
    kind: Annotated[
        str,
        typer.Argument(
            help="rooms, frames (of depth cameras in rooms), drives or kitti.",
            metavar="KIND",
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Output folder.")],
    scenes: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many.  Default: 200 rooms, 400 frames, 20 drives of 100 MB each, 200 of kitti.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="The same seed gives the same scenes.")] = 0,
    streets: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Of drives: simple or realistic.  Default: simple, as the demo has them."),
    ] = None,
    scanner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of realistic drives and of kitti: hdl-64e, hdl-32e, vlp-16, two-vlp-32c, os1-64, os1-128, or mixed: "
            "each in its turn.",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="S", help="How long a drive lasts, 1 to 15 s; a keyframe each half second.  Default: 8."),
    ] = None,
    sweeps: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of drives: sweeps that lead to each keyframe, 1 to 10.  Default: 10."),
    ] = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Generate a synthetic data set in the format of ScanNet, SUN RGB-D, nuScenes or KITTI.

    [bold]Examples[/bold]

      vol3d data generate rooms DATA/rooms --scenes 40 --seed 7 --workers 2
      vol3d data generate frames DATA/frames --scenes 1200
      vol3d data generate kitti DATA/frames --scenes 500
    """
    with progress("generating") as report:
        out = examples.generate(
            kind,
            out,
            scenes,
            seed=seed,
            streets=streets,
            scanner=scanner,
            seconds=seconds,
            sweeps=sweeps,
            workers=workers,
            progress=report,
        )
    generator = catalog.GENERATORS[kind]
    count = scenes or generator.scenes
    if as_json:
        print_json({"kind": kind, "count": count, "layout": generator.data_set, "out": str(out)})
    say(f"{count} {generator.unit} are in {out}; read them as `{generator.data_set}`")


def find_split(dataset: str, root: Path, words: list[str] | None = None) -> Any:
    """The cases of the data set at `root`; see `find_data`."""
    return find_data(dataset, root, words).split()


def find_data(dataset: str, root: Path, words: list[str] | None = None) -> Any:
    """The settings of the data set at `root`, as the `key=value` words say, with `data.` before them or without.

    Raises:
        UsageError: a word is no setting of the data set.
    """
    from vol3d.config import build, from_words

    entry = catalog.find(dataset, catalog.DATASETS, "data set")
    return build(from_words([_root(root), *_of_data(words)]), catalog.load(entry.target))


def _of_data(words: list[str] | None) -> list[str]:
    """Words as the data set calls its settings: those of a recipe have `data.` before them."""
    return [word.removeprefix("data.") for word in words or []]


def _root(root: Path) -> str:
    return f"root={json.dumps(str(root))}"


def find_tools(dataset: str) -> Any:
    """The module that checks, describes and prepares data sets of this kind."""
    entry = catalog.find(dataset, catalog.DATASETS, "data set")
    return import_module(catalog.DATA_TOOLS[entry.task])
