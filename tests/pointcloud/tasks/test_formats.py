"""`predict --format kitti` from the shell: the text belongs to its calibration, wherever that lies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.pointcloud.datasets.test_kitti import CALIBRATION, write_small_kitti
from tests.pointcloud.evaluation.test_submission import untrained
from vol3d.cli.main import main


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    root = write_small_kitti(tmp_path / "data")
    run = untrained(tmp_path, "kitti", root)
    sweep = root / "training/velodyne/000000.bin"
    return ["predict", run, str(sweep), "-o", str(tmp_path / "out"), "--score", "0", "--json", "--format", "kitti"]


def status(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    main(words)
    (row,) = json.loads(capsys.readouterr().out)["results"]
    return row.get("error") or row["status"]


def test_another_calibration_at_the_same_path_is_noticed(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = tmp_path / "data/training/calib/000000.txt"
    assert [status(words, capsys), status(words, capsys)] == ["written", "skipped"]
    given = tmp_path / "moved.txt"
    shutil.copy(beside, given)
    assert status([*words, "--calib", str(given)], capsys) == "skipped"  # the same, from elsewhere
    before = (tmp_path / "out/000000.txt").read_text()

    given.write_text(CALIBRATION.replace("-0.27", "-0.77"))
    assert status([*words, "--calib", str(given)], capsys) == "written"
    assert (tmp_path / "out/000000.txt").read_text() != before
    assert status([*words, "--calib", str(given)], capsys) == "skipped"
    assert status([*words[:-2]], capsys) == "skipped"  # the boxes do not depend on it
    assert status(words, capsys) == "written"
    assert (tmp_path / "out/000000.txt").read_text() == before
    beside.write_text(given.read_text())
    assert status(words, capsys) == "written"


def test_a_text_of_somebody_else_is_left_alone(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    label = shutil.copy(tmp_path / "data/training/label_2/000000.txt", tmp_path / "out/000000.txt")
    for more in ([], ["--overwrite"]):
        assert "would replace a file that vol3d did not write" in status([*words, *more], capsys)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [Path(label).name]
