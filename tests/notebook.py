"""Runs a notebook's code cells in one namespace and prints what they would show: `python -m tests.notebook FILE.ipynb`.

A kernel would bring seven packages and some seconds a notebook, and show the same.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any


def cells(path: Path, kind: str) -> list[str]:
    """The text of all cells of a kind, `code` or `markdown`."""
    content = json.loads(path.read_text("utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == kind]


def run(path: Path) -> None:
    """Executes the cells; the value of a last expression is shown as in a notebook, as HTML where it has some."""
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
