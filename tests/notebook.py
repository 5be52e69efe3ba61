"""Runs a notebook's code cells in one namespace and prints what they would show: `python -m tests.notebook FILE.ipynb`.

A kernel would bring seven packages and some seconds a notebook, and show the same.
"""

from __future__ import annotations

import ast
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import vol3d


def cells(path: Path, kind: str) -> list[str]:
    """The text of all cells of a kind, `code` or `markdown`."""
    content = json.loads(path.read_text("utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == kind]


def run(path: Path) -> None:
    """Executes the cells; the value of a last expression is shown as in a notebook, as HTML where it has some.

    The samples are five of the twelve scans, as few as there are folds.
    """
    with tempfile.TemporaryDirectory() as folder:
        few = fewer_samples(Path(folder), 5)
        vol3d.samples = lambda: few
        _execute(path)


def fewer_samples(folder: Path, count: int) -> Path:
    """The samples with so many of their labelled scans, in `folder`."""
    own = vol3d.samples()
    about = json.loads((own / "dataset.json").read_text("utf-8"))
    for part in ("training", "validation"):
        about[part] = about[part][:count]
        for file in (name for case in about[part] for name in case.values()):
            (folder / file).parent.mkdir(exist_ok=True)
            shutil.copyfile(own / file, folder / file)
    (folder / "dataset.json").write_text(json.dumps(about), "utf-8")
    return folder


def _execute(path: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, source in enumerate(cells(path, "code"), 1):
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        where = f"{path.name}, code cell {number}"
        exec(compile(tree, where, "exec"), namespace)
        value = None
        if last is not None:
            value = eval(compile(ast.Expression(last.value), where, "eval"), namespace)  # type: ignore[attr-defined]
        if value is not None:
            print(value._repr_html_() if hasattr(value, "_repr_html_") else value, flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
