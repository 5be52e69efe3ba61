"""`vol3d demo`: the whole tour without a download: predict, score, draw."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from vol3d import catalog
from vol3d.errors import UsageError
from vol3d.files import make_folder
from vol3d.output import require_output
from vol3d.terminal import tell


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder.")] = Path("vol3d-demo"),
    only: Annotated[
        str | None, typer.Option(metavar="PART", help="hippocampus, rooms or drive.  Default: all.")
    ] = None,
    cases: Annotated[int, typer.Option(min=1, max=12, metavar="N", help="Number of MR scans and rooms, 1 to 12.")] = 12,
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
    require_output(out)
    began = time.monotonic()
    for part, target in catalog.DEMOS.items():
        if only in (None, part):
            catalog.load(target)(make_folder(out / part), cases)
    tell(f"\n{time.monotonic() - began:.0f} s in all; open the reports in a browser")
