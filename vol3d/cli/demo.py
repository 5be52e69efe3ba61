"""`vol3d demo`: the whole tour without a download: predict, score, draw."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from vol3d import catalog
from vol3d.cli.console import print_json
from vol3d.cli.options import Behind, Json
from vol3d.errors import UsageError
from vol3d.files import make_folder
from vol3d.output import require_output
from vol3d.terminal import Remarks, tell


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder.")] = Path("vol3d-demo"),
    only: Annotated[
        str | None, typer.Option(metavar="PART", help="hippocampus, rooms or drive.  Default: all.")
    ] = None,
    cases: Annotated[int, typer.Option(min=1, max=12, metavar="N", help="Number of MR scans and rooms, 1 to 12.")] = 12,
    background: Behind = "dark",
    as_json: Json = False,
) -> None:
    """See it work: organs in real MR scans, furniture in synthetic rooms, traffic in synthetic drives. No download.

    Every prediction is scored against the ground truth and drawn.

    [bold]Examples[/bold]

      vol3d demo
      vol3d demo -o tour --cases 3
      vol3d demo --only drive
    """
    if only is not None and only not in catalog.DEMOS:
        raise UsageError("no such part", where="--only", got=only, wanted=", ".join(catalog.DEMOS))
    from vol3d.view.theme import require_background  # with numpy

    shade = require_background(background)
    require_output(out)
    began = time.monotonic()
    parts = {part: target for part, target in catalog.DEMOS.items() if only in (None, part)}
    with redirect_stdout(Remarks(sys.stderr)) if as_json else nullcontext():  # the tour is not the result
        for part, target in parts.items():
            catalog.load(target)(make_folder(out / part), cases, shade)
        tell(f"\n{time.monotonic() - began:.0f} s in all; open the reports in a browser")
    if as_json:
        reports = {part: [str(path) for path in sorted((out / part).rglob("report.html"))] for part in parts}
        print_json({"out": str(out), "reports": reports})
