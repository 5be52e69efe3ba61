"""The examples in docstrings are true. A module with examples is named here."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

MODULES = (
    "medical.datasets.regions",
    "vol3d.dataset_tools.fault",
    "vol3d.dataset_tools.tables",
    "vol3d.notes",
    "vol3d.scans.points.cloud",
    "vol3d.scans.points.options",
    "vol3d.scans.points.read",
)
ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted and not result.failed


def test_every_module_with_examples_is_named() -> None:
    files = (path for package in ("vol3d", "pointcloud", "medical") for path in (ROOT / package).rglob("*.py"))
    found = [path for path in files if ">>> " in path.read_text("utf-8")]
    assert [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(found)] == sorted(MODULES)
