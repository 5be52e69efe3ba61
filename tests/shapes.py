"""Which modules have the shapes of their annotations checked in tests: all that have any, but for a few.

A subprocess of a test runs without the checks, as a user's process does; a worker of pytest-xdist has them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beartype import BeartypeConf, beartype
from jaxtyping import config, install_import_hook

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("vol3d", "pointcloud", "medical")

check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # as everywhere in Python, an int will do for a float

UNCHECKED: dict[str, str] = {}
"""Module -> why its annotations are not checked."""


def annotated() -> list[str]:
    """Every module of the packages that imports jaxtyping."""
    paths = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return [_module(path) for path in paths if _imports_jaxtyping(path)]


def install() -> None:
    """Check what `UNCHECKED` does not except, in this process; nothing of it may have been imported before."""
    checked = [name for name in annotated() if name not in UNCHECKED]
    if late := [name for name in checked if name in sys.modules]:
        raise RuntimeError(f"imported before its shapes could be checked: {', '.join(late)}")
    install_import_hook(checked, f"{__name__}.check")


@contextmanager
def unchecked() -> Iterator[None]:
    """Without the checks, so that a test of bad input meets the function's own."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports_jaxtyping(path: Path) -> bool:
    text = path.read_text("utf-8")
    return "jaxtyping" in text and any(
        (isinstance(node, ast.ImportFrom) and node.module == "jaxtyping")
        or (isinstance(node, ast.Import) and any(alias.name == "jaxtyping" for alias in node.names))
        for node in ast.walk(ast.parse(text))
    )
