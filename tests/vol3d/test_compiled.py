"""Compiled functions work where nothing but the folder for temporary files can be written to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from vol3d import compiled

pytestmark = pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")


@pytest.fixture
def nothing_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(compiled.VARIABLE, raising=False)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_private_folder_is_the_last_resort(nothing_writable: Path) -> None:
    compiled.choose_cache()
    folder = Path(os.environ.pop(compiled.VARIABLE))
    assert folder.parent == nothing_writable and folder.stat().st_mode & 0o077 == 0
    compiled.choose_cache()
    assert os.environ.pop(compiled.VARIABLE) == str(folder)


def test_a_folder_that_others_may_write_to_is_not_used(nothing_writable: Path) -> None:
    taken = nothing_writable / f"vol3d-numba-{os.getuid()}"
    taken.mkdir()
    taken.chmod(0o777)
    compiled.choose_cache()
    assert os.environ.pop(compiled.VARIABLE) != str(taken)


@pytest.mark.parametrize("home", [None, "relative", "/nowhere/at/all"])
def test_an_unknown_home_folder_is_none(
    home: str | None, nothing_writable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME") if home is None else monkeypatch.setenv("HOME", home)
    assert not compiled._home_is_writable()


def test_what_is_set_or_writable_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(compiled.VARIABLE, raising=False)
    compiled.choose_cache()
    assert compiled.VARIABLE not in os.environ
