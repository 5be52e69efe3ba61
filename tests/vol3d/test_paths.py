"""`~` is the home folder at every door."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vol3d
from vol3d import checkpoint, files
from vol3d.cli.main import _at_home, main
from vol3d.config import read
from vol3d.config.build import build
from vol3d.config.yaml import from_words
from vol3d.engine.settings import Settings
from vol3d.errors import UsageError, Vol3dError
from vol3d.paths import cache_folder, user_path
from vol3d.scans import read_points, read_volume


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


class Places(Settings):
    root: Path
    more: Path | None = None
    folds: int | Path = 5
    name: str = "~"


def test_the_home_folder(home: Path) -> None:
    assert user_path("~") == home and user_path(Path("~/a b")) == home / "a b"
    assert user_path("a/~/b") == Path("a/~/b")
    assert user_path("~nobodys-backup.nii.gz") == Path("~nobodys-backup.nii.gz")


def test_no_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", str)  # as for a user whom the system does not know, without HOME
    with pytest.raises(UsageError, match=r"~/x: no home folder is known\. Set HOME"):
        user_path("~/x")
    assert user_path("/a") == Path("/a")


def test_settings_of_files_and_words(home: Path) -> None:
    settings = build(from_words(["root=~/x", "more=~", "folds=~/f.json", "name='~'"]), Places)
    assert (settings.root, settings.more, settings.folds) == (home / "x", None, home / "f.json")
    assert settings.name == "~"
    assert Places(root=Path("~/y")).root == home / "y"
    (home / "a.yaml").write_text("root: ~/z\n")
    document = read("~/a.yaml")
    assert build(document, Places).root == home / "z" and document.source == "~/a.yaml"


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("~/x", "{home}/x"),
        ("--out=~/x", "{home}/x"),
        ("-o~/x", "{home}/x"),
        ("data.root=~/x", "data.root=~/x"),  # a setting, which the settings expand
        ("a~b", "a~b"),
    ],
)
def test_words_of_the_command_line(home: Path, word: str, wanted: str) -> None:
    start = word.partition("~")[0] if word.startswith("-") else ""
    assert _at_home(word) == start + wanted.format(home=home)


def test_every_door_of_python(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.parent)
    np.save(home / "a.npy", np.random.default_rng(0).uniform(0, 5, (50, 3)))
    assert len(read_points("~/a.npy", up="z", units="m").xyz) == 50
    assert len(vol3d.read("~/a.npy", up="z", units="m").xyz) == 50  # type: ignore[union-attr]
    files.write_json("~/b.json", 1)
    assert files.read_json("~/b.json") == 1 and files.make_folder("~/c") == home / "c"
    for call in (
        lambda: vol3d.load("~/none.safetensors"),
        lambda: checkpoint.read_weights("~/none.pt"),
        lambda: vol3d.load_released("unetr", "~/none.pt"),
        lambda: read_volume("~/none.nii.gz"),
        lambda: vol3d.train("~/none.yaml", "~/run"),
    ):
        with pytest.raises(Vol3dError, match=r"[Nn]o such"):
            call()
    assert not (home / "run").exists()


def test_the_commands_outputs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "file").touch()
    assert main(["predict", "unetr-hippocampus", "x.nii", "--out=~/file"]) == 1
    assert f"error: {home / 'file'}: a file is in the place of the output's folder" in capsys.readouterr().err


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("VOL3D_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "/h")
    assert cache_folder() == Path("/h/.cache/vol3d")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/vol3d")
    monkeypatch.setenv("VOL3D_CACHE", "~/c")
    assert cache_folder() == Path("/h/c")
