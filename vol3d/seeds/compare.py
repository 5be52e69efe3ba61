"""Two studies of seeds compared, with a report: pre-trained against from scratch, or any other two recipes."""

from __future__ import annotations

from pathlib import Path

from vol3d.comparison.compare import compare
from vol3d.comparison.result import Comparison
from vol3d.errors import UsageError
from vol3d.seeds.report import COMPARISON, write_comparison
from vol3d.seeds.study import read_study


def compare_studies(a: Path, b: Path, out: Path) -> Comparison:
    """The comparison of two folders of seeds; its page and its numbers are written into the folder `out`.

    Raises:
        UsageError: not two folders of seeds, runs that cannot be compared, or a folder with something else in it.
        DataError: damaged files.
    """
    comparison = compare(a, b)
    if comparison.kind != "seeds":
        do = "Leave --out out, or give two folders of `vol3d train --seeds`."
        raise UsageError("only comparisons of seeds have a report", where="--out", got=f"{a} and {b}", do=do)
    if out.exists() and any(out.iterdir()) and not (out / COMPARISON).is_file():
        do = "Choose another folder."
        raise UsageError("the report would be put between files that no comparison wrote", where=out, do=do)
    write_comparison(out, [read_study(a), read_study(b)], comparison)
    return comparison
