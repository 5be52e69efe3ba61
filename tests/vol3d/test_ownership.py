"""Another project's `pointcloud` or `medical` is named instead of failing somewhere inside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from vol3d import catalog, ownership
from vol3d.cli import machine
from vol3d.errors import Vol3dError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another project's package, found before ours."""
    folder = tmp_path / "pointcloud"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('imported')\n")
    spec = ModuleSpec("pointcloud", None, origin=str(folder / "__init__.py"), is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(ownership, "find_spec", lambda name: spec if name == "pointcloud" else None)
    ownership.require_ours.cache_clear()
    yield folder
    ownership.require_ours.cache_clear()


def test_ours_pass() -> None:
    assert [ownership.foreign_folder(name) for name in ownership.OURS] == [None, None]
    assert machine.examine()["packages"].keys() == {"pointcloud", "medical"}
    ownership.require_ours("pointcloud")


def test_the_catalogue_names_the_foreign_folder_and_what_to_do(foreign: Path) -> None:
    with pytest.raises(Vol3dError, match=r"another project's package.*pip uninstall pointcloud") as caught:
        catalog.load(catalog.MODELS["3detr"].target)
    assert caught.value.where == foreign and caught.value.wanted == ROOT / "pointcloud"
    assert catalog.load("vol3d.errors:Vol3dError") is Vol3dError


def test_doctor_names_the_foreign_folder(foreign: Path) -> None:
    lines = machine.examine()["packages"]
    assert lines["pointcloud"].startswith(f"another project's: {foreign}; pip uninstall pointcloud")


def test_doctor_names_a_package_that_writes_into_our_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "packages_distributions", lambda: {"pointcloud": ["vol3d", "pointcloud"]})
    assert ownership.describe("pointcloud").startswith("pointcloud writes into its folder; pip uninstall pointcloud")
    monkeypatch.setattr(ownership, "packages_distributions", lambda: {"pointcloud": ["vol3d", "vol3d"]})
    assert ownership.describe("pointcloud") == "pass"


def test_a_real_foreign_package_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "pointcloud").mkdir()
    (tmp_path / "pointcloud" / "__init__.py").write_text("")
    code = (
        "import sys; from vol3d import catalog\n"
        "try: catalog.load(catalog.MODELS['3detr'].target)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print('torch' in sys.modules, 'pointcloud' in sys.modules)"
    )
    line = [sys.executable, "-c", code]
    done = subprocess.run(
        line, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100, check=True
    )
    first, last = done.stdout.splitlines()
    assert first.startswith(f"Vol3dError {tmp_path / 'pointcloud'}: another project's package is called 'pointcloud'")
    assert last == "False False"
