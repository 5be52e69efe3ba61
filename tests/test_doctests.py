"""The examples in docstrings print what they say, in every module that has some."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("vol3d", "pointcloud", "medical")
    for path in (ROOT / package).rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)


class Finder(doctest.DocTestFinder):
    """Finds a module's functions under the checks of their shapes, too."""

    def _from_module(self, module: ModuleType | None, found: object) -> bool:
        return module is None or getattr(found, "__module__", None) == module.__name__


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in Finder(exclude_empty=True).find(module):
        runner.run(test)
    assert runner.tries and not runner.failures


def test_there_are_many() -> None:
    assert len(MODULES) >= 20
