"""What cannot be written to is found before the work, and trying leaves nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import vol3d
from vol3d import files
from vol3d.cli.main import main
from vol3d.errors import Vol3dError
from vol3d.output import require_output


def test_what_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    assert require_output(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert require_output(str(tmp_path / "a.json"), folder=False) == tmp_path / "a.json"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.json").write_text("old")
    require_output(tmp_path / "a.json", folder=False)
    assert (tmp_path / "a.json").read_text() == "old"


def test_a_file_for_a_folder_and_a_folder_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, folder in (
        (tmp_path / "file", True),
        (tmp_path / "file" / "a" / "b", True),
        (tmp_path / "file/x", False),
    ):
        with pytest.raises(Vol3dError, match="file: a file is in the place of the output's folder"):
            require_output(path, folder)
    with pytest.raises(Vol3dError, match="a folder is in the output's place"):
        require_output(tmp_path, folder=False)


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.EACCES, "no permission"), (errno.EROFS, "no permission"), (errno.ENOSPC, "disk is full")],
)
def test_what_the_system_refuses(number: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("vol3d.output.tempfile", SimpleNamespace(TemporaryFile=refuse))
    with pytest.raises(Vol3dError, match=f"out: .*{says}"):
        require_output(tmp_path / "out")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vol3d.output.is_full", lambda folder: True)
    with pytest.raises(Vol3dError, match="disk is full"):
        require_output(tmp_path / "out")


@pytest.mark.parametrize(
    "words",
    [
        "predict unetr-hippocampus none.nii -o OUT",
        "evaluate unetr-hippocampus --data none -o OUT",
        "evaluate unetr-hippocampus --data none --submission OUT/a.json",
        "train unetr_hippocampus_small data.root=none -o OUT",
        "train unetr_hippocampus_small data.root=none --folds -o OUT",
        "distill object_dgcnn_pillars_drives_small distill.teacher=none -o OUT",
        "data prepare msd none -o OUT",
        "data generate rooms OUT",
        "import 3detr-m-scannet none.pth -o OUT",
        "demo -o OUT",
        "view none.ply --png OUT/a.png",
    ],
)
def test_every_command_finds_it_first(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    out = tmp_path / "out"
    out.mkdir()

    def refuse(**options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("vol3d.output.tempfile", SimpleNamespace(TemporaryFile=refuse))
    assert main([word.replace("OUT", str(out)) for word in words.split()]) == 1
    assert "no permission to write here" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_python_finds_it_first(tmp_path: Path) -> None:
    files.write_text(tmp_path / "file", "")
    with pytest.raises(Vol3dError, match="a file is in the place"):
        vol3d.train("no such recipe", tmp_path / "file")
    with pytest.raises(Vol3dError, match="a file is in the place"):
        vol3d.evaluate("no such model", "no such data", out=tmp_path / "file")
