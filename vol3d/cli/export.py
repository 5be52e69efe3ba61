"""`vol3d export`: a checkpoint as one ONNX or torch.export file, with its measured difference to the original."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vol3d.cli.console import print_json, print_table
from vol3d.cli.options import Changes, Checkpoint, Json, Words
from vol3d.terminal import say


def export(
    checkpoint: Checkpoint,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write: .onnx, or .pt2 for torch.export.", metavar="FILE")
    ],
    words: Words = None,
    scans: Annotated[
        list[Path] | None,
        typer.Option("--scan", metavar="FILE", help="Compare the results on this scan too.  Repeatable."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Compare the scores on this data set too, as evaluate does.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="ONNX: compute in 16-bit floats.")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="ONNX: matrix products in 8-bit integers (dynamic quantisation).")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """Export a model to ONNX or torch.export and measure how far it is from the original.

    The file holds classes, preparation and window; vol3d predict takes the .onnx.

    [bold]Examples[/bold]

      vol3d export unetr-hippocampus -o model.onnx --scan scan.nii.gz
      vol3d export runs/mine -o model.onnx --half --data DATA/mine
      vol3d predict model.onnx scan.nii.gz -o out
    """
    import vol3d
    from vol3d.errors import UsageError

    if half and int8:
        raise UsageError("one precision at a time", where="--half", got="--half and --int8", do="Leave one out.")
    found = vol3d.export(
        vol3d.load(checkpoint, "cpu", [*(words or []), *(changes or [])]),
        out,
        scans=scans or (),
        data=data,
        precision="half" if half else "int8" if int8 else "float32",
        overwrite=overwrite,
        stage=say,
    )
    if as_json:
        print_json({"file": str(out), **found})
    else:
        _print(found, out)


def _print(found: dict[str, Any], out: Path) -> None:
    """The differences as a table, and where the file is."""
    rows = [
        [one["on"], f"{one['largest']:.2e}", f"{one['largest_output']:.3g}", _result(one)]
        for one in found["differences"]
    ]
    print_table(["input", "largest difference", "of outputs up to", "result"], rows, "exported against original")
    if scores := found.get("scores"):
        numbers = [f"{scores['original']:.4f}", f"{scores['exported']:.4f}", f"{scores['change']:+.4f}"]
        print_table(["data", "score", "original", "exported", "change"], [[scores["data"], scores["score"], *numbers]])
    say(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {found['precision']}")


def _result(one: dict[str, Any]) -> str:
    """What became of the result of one scan."""
    if "voxels" in one:
        least = min(one["dice"].items(), key=lambda pair: pair[1], default=None)
        dice = "" if least is None else f"; least Dice {least[1]:.4f} ({least[0]})"
        return f"{one['voxels_changed']} of {one['voxels']} voxels changed{dice}"
    if "boxes" in one:
        change = one.get("largest_score_change")
        score = "" if change is None else f"; scores differ by up to {change:.4f}"
        return f"{one['boxes_found_again']} of {one['boxes']} boxes found again, {one['boxes_exported']} in all{score}"
    return ""
