"""Compiled kernels come back into a checkout with the same sources, whole, and into no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import kernels

KERNEL = """
from numba import njit
from vol3d.number import NUMBER

@njit(cache=True)
def f():
    return NUMBER
"""
RUN = "import vol3d.kernel as k; print(k.f(), sum(k.f.stats.cache_hits.values()))"


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOL3D_TEST_KERNELS", str(tmp_path / "store"))


def checkout(folder: Path, number: int = 7) -> Path:
    (folder / "vol3d").mkdir(parents=True)
    (folder / "vol3d" / "__init__.py").touch()
    (folder / "vol3d" / "kernel.py").write_text(KERNEL)
    (folder / "vol3d" / "number.py").write_text(f"NUMBER = {number}\n")
    return folder


def run(project: Path) -> str:
    environment = {"PYTHONPATH": str(project), "PATH": ""}
    command = [sys.executable, "-c", RUN]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_second_checkout_compiles_nothing(tmp_path: Path) -> None:
    first, second, other = checkout(tmp_path / "a"), checkout(tmp_path / "b"), checkout(tmp_path / "c", 8)
    assert kernels.restore(first) == 0 and run(first).split() == ["7", "0"]
    kernels.keep(first)
    assert kernels.restore(second) == 2 and run(second).split() == ["7", "1"]
    assert kernels.restore(second) == 0  # what is there stays
    assert kernels.restore(other) == 0 and run(other).split() == ["8", "0"]  # its constant was compiled in


def test_the_key_sees_what_kernels_import_and_nothing_else(tmp_path: Path) -> None:
    project = checkout(tmp_path / "a")
    key = kernels.key(project)
    (project / "vol3d" / "other.py").write_text("OTHER = 1\n")
    assert kernels.key(project) == key
    (project / "vol3d" / "number.py").write_text("NUMBER = 7  # said otherwise\n")
    assert kernels.key(project) != key


def test_archives_grow_and_old_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "KEPT", 1)
    for number, count in ((1, 1), (2, 3), (2, 2)):
        project = tmp_path / str(number)
        checkout(project, number) if not project.exists() else None
        for old in kernels.compiled(project):
            old.unlink()
        for name in range(count):
            (project / "vol3d" / f"{name}.nbc").write_bytes(b"x")
        kernels.keep(project)
    (archive,) = kernels.store().iterdir()
    assert archive.name == f"{kernels.key(tmp_path / '2')}.zip"
    assert kernels.restore(checkout(tmp_path / "again", 2)) == 3


def test_a_store_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = checkout(tmp_path / "a")
    (project / "vol3d" / "f.nbc").touch()
    (tmp_path / "file").touch()
    monkeypatch.setenv("VOL3D_TEST_KERNELS", str(tmp_path / "file" / "store"))
    kernels.keep(project)
    assert "are not kept" in capsys.readouterr().out
    assert kernels.restore(checkout(tmp_path / "b")) == 0


def test_a_checkout_without_kernels_keeps_none(tmp_path: Path) -> None:
    kernels.keep(checkout(tmp_path / "a"))
    assert not kernels.store().exists()
