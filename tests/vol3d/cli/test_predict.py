"""Predicting many scans: done ones are skipped, bad ones told, the rest written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.cli.toy import WordTask, save_run, toy  # noqa: F401 (a fixture)
from vol3d.cli.main import main
from vol3d.files import TEMPORARY, _machine
from vol3d.prediction import Beside
from vol3d.scans import parse_objects, write_detections
from vol3d.scans.points.cloud import PointCloud


@pytest.fixture
def scans(toy: Path) -> Path:  # noqa: F811
    folder = toy / "scans"
    folder.mkdir()
    for i in range(3):
        (folder / f"scan_{i}.txt").write_text("word " * i)
    return folder


def predict(*words: object) -> int:
    return main(["predict", "run", *map(str, words), "-o", "out", "--device", "cpu"])


def test_a_folder(scans: Path, capsys):
    assert predict(scans) == 0
    said = capsys.readouterr()
    assert Path("out/scan_2.txt").read_text() == "2 words by 1\n"
    assert "volumes ml: in" in said.out
    assert "3 written to out, 0 failed" in said.err


def test_done_ones_are_skipped_and_said(scans: Path, capsys):
    assert predict(scans / "scan_0.txt") == 0
    before = Path("out/scan_0.txt").stat().st_mtime_ns
    assert predict(scans) == 0
    assert Path("out/scan_0.txt").stat().st_mtime_ns == before
    assert "2 written to out, 1 skipped because a result exists" in capsys.readouterr().err
    assert predict(scans, "--overwrite") == 0
    assert Path("out/scan_0.txt").stat().st_mtime_ns != before


@pytest.mark.parametrize("text", ["bad", "bug"])
def test_one_bad_file_never_stops_the_rest(scans: Path, text: str, capsys):
    (scans / "scan_0.txt").write_text(text)
    assert predict(scans) == 3
    said = capsys.readouterr()
    assert "scan_0.txt" not in said.out and "Traceback" not in said.err
    (reason,) = (line for line in said.err.splitlines() if line.startswith("error: "))  # once, when it happens
    assert "scan_0.txt" in reason
    assert said.err.splitlines()[-1] == "2 written to out, 1 failed: scan_0.txt"
    assert sorted(path.name for path in Path("out").glob("*.txt")) == ["scan_1.txt", "scan_2.txt"]


def test_all_bad_is_1(scans: Path):
    for path in scans.iterdir():
        path.write_text("bad")
    assert predict(scans) == 1


def test_json_is_one_object(scans: Path, capsys):
    (scans / "scan_0.txt").write_text("bad")
    assert predict(scans, "--json") == 3
    rows = json.loads(capsys.readouterr().out)["results"]
    assert [row["status"] for row in rows] == ["failed", "written", "written"]
    assert "Copy it again." in rows[0]["error"]
    assert rows[2]["volumes_ml"] == {"in": 1.25}


def test_what_was_assumed_is_told_once_with_its_scans_and_in_json_as_a_list(scans: Path, capsys):
    assert predict(scans) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["all", "0", "to", "2", "words", "fit", "a", "page"] in said
    assert ["all", "one", "language", "was", "assumed"] in said
    (scans / "scan_0.txt").write_text("bad")
    assert predict(scans, "--overwrite") == 3
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["scan_1.txt,", "scan_2.txt", "one", "language", "was", "assumed"] in said
    assert predict(scans / "scan_2.txt", "--overwrite") == 0
    assert "2 words fit a page" in capsys.readouterr().out
    assert predict(scans / "scan_1.txt", "--overwrite", "--json") == 0
    row = json.loads(capsys.readouterr().out)["results"][0]
    assert row["assumed"] == ["one language was assumed"] and row["noted"] == ["1 words fit a page"]
    assert [fact["code"] for fact in row["assumptions"]] == ["language-assumed"]
    assert [fact["code"] for fact in row["remarks"]] == ["words-fit"] and row["remarks"][0]["numbers"] == {"words": 1}


def test_globs_and_repeats(scans: Path):
    assert predict(scans / "*_[12].txt", scans / "scan_1.txt") == 0
    assert len(list(Path("out").glob("*.txt"))) == 2


def test_a_folder_of_folds_is_an_ensemble(scans: Path, toy: Path):  # noqa: F811
    for fold in range(3):
        save_run(toy / "cv" / f"fold{fold}")
    assert main(["predict", "cv", str(scans), "-o", "out"]) == 0
    assert Path("out/scan_1.txt").read_text() == "1 words by 3\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.txt"], "nothing.txt: no such file or folder"),
        (["scans/*.nii"], "no file matches"),
        (["empty"], "no scan among the inputs"),
        (["scans", "--device", "warp:9"], "--device: cannot use this device"),
        (["scans", "--mirror", "xy"], "--mirror: words has no such option"),
    ],
)
def test_bad_usage(scans: Path, words: list[str], message: str, capsys):
    Path("empty").mkdir()
    assert main(["predict", "run", *words, "-o", "out"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_scans_of_one_name_have_their_results_below_their_own_folders(scans: Path):
    Path("twin").mkdir()
    Path("twin/scan_1.txt").write_text("another scan of five words")
    for words in ([], ["--overwrite"]):
        assert predict(scans, "twin", *words) == 0
        assert Path("out/scans/scan_1.txt").read_text() == "1 words by 1\n"
        assert Path("out/twin/scan_1.txt").read_text() == "5 words by 1\n"
        assert Path("out/scan_2.txt").read_text() == "2 words by 1\n"


def test_scans_of_one_name_in_one_folder_have_results_under_their_whole_names(scans: Path):
    Path("scans/scan_1.text").write_text("five words in this one")
    for words in (["scans/scan_1.txt", "scans/scan_1.text"], ["scans/scan_1.text", "scans/scan_1.txt"]):
        assert predict(*words, "scans/scan_2.txt") == 0
        assert Path("out/scan_1.txt.txt").read_text() == "1 words by 1\n"
        assert Path("out/scan_1.text.txt").read_text() == "5 words by 1\n"
        assert Path("out/scan_2.txt").exists() and not Path("out/scan_1.txt").exists()


@pytest.mark.parametrize("text", ['{"shapes": []}', '{"format": 1, "class_names": [], "objects": []}', "no JSON"])
def test_json_of_others_is_never_replaced_and_never_taken_for_a_result(
    scans: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(WordTask, "result_suffix", ".json")
    Path("out").mkdir()
    Path("out/scan_1.json").write_text(text)
    for words in ([], ["--overwrite"]):
        assert predict(scans, *words) == 3
        assert "scan_1.json: the result would replace a file that vol3d did not write" in capsys.readouterr().err
        assert Path("out/scan_1.json").read_text() == text
        assert Path("out/scan_0.json").exists()
    Path("out/scan_1.json").write_bytes(b"")
    assert predict(scans) == 0, "an empty file is nobody's"


def test_the_result_of_an_earlier_release_is_replaced_only_when_asked(
    scans: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(WordTask, "result_suffix", ".json")
    Path("out").mkdir()
    cloud = PointCloud(np.zeros((1, 3), np.float32), source=Path("scans/scan_1.txt"))
    write_detections(Path("out/scan_1.json"), parse_objects([], ("in", "out"), "none"), cloud)
    before = Path("out/scan_1.json").read_text()
    assert predict(scans) == 3
    assert "does not say of which scan and model it is" in capsys.readouterr().err
    assert Path("out/scan_1.json").read_text() == before
    assert predict(scans, "--overwrite") == 0
    assert json.loads(Path("out/scan_1.json").read_text())["record"]["model"] == "run"


def edited(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize("suffix", [".txt", ".json"])
@pytest.mark.parametrize(
    ("change", "model", "code", "message"),
    [
        (lambda: None, "run", 0, "1 skipped"),
        (lambda: edited(Path("scans/scan_1.txt"), "now another scan"), "run", 1, "got a result of another scan"),
        (lambda: save_run(Path("other")), "other", 1, "got a result of another model (run, other weights)"),
        (lambda: save_run(Path("cv/fold1")), "cv", 1, "got a result of another model"),
        (lambda: Path("moved").mkdir() or Path("scans/scan_1.txt").rename("moved/scan_1.txt"), "run", 0, "1 skipped"),
    ],
)
def test_done_is_what_has_the_same_scan_and_the_same_models(
    scans: Path, change, model: str, code: int, message: str, suffix: str, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(WordTask, "result_suffix", suffix)
    save_run(Path("cv/fold0"))
    assert predict(scans / "scan_1.txt") == 0
    before = Path(f"out/scan_1{suffix}").stat().st_mtime_ns
    change()
    capsys.readouterr()
    scan = next(Path().glob("*/scan_1.txt" if Path("moved").exists() else "scans/scan_1.txt"))
    assert main(["predict", model, str(scan), "-o", "out", "--device", "cpu"]) == code
    said = capsys.readouterr().err
    assert message in said and ("--overwrite" in said)
    assert Path(f"out/scan_1{suffix}").stat().st_mtime_ns == before
    assert main(["predict", model, str(scan), "-o", "out", "--device", "cpu", "--overwrite"]) == 0
    assert Path(f"out/scan_1{suffix}").stat().st_mtime_ns != before


def test_other_settings_make_another_result(scans: Path, capsys):
    assert predict(scans / "scan_1.txt") == 0
    assert predict(scans / "scan_1.txt", "--set", "train.seed=5") == 1
    assert "got a result of other settings: train.seed as trained instead of 5" in capsys.readouterr().err
    assert predict(scans / "scan_1.txt", "--set", "train.seed=5", "--overwrite") == 0
    assert predict(scans / "scan_1.txt", "--set", "train.seed=5") == 0
    assert "1 skipped" in capsys.readouterr().err


def test_files_beside_a_result_belong_to_it(scans: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    assert predict(scans / "scan_1.txt") == 0
    writers = {".csv": Beside(lambda found, path: path.write_text(f"{found.words}") and ())}
    monkeypatch.setattr(WordTask, "writers", lambda task, source: writers)
    for words in ([], []):  # not there, then made
        assert predict(scans / "scan_1.txt", *words) == 0
        assert Path("out/scan_1.csv").read_text() == "1"
    assert "1 skipped" in capsys.readouterr().err
    Path("out/scan_1.csv").write_text("my notes")
    assert predict(scans / "scan_1.txt") == 1 and Path("out/scan_1.csv").read_text() == "my notes"
    Path("out/scan_2.csv").write_text("another's")
    assert predict(scans / "scan_2.txt", "--overwrite") == 1 and Path("out/scan_2.csv").read_text() == "another's"


def test_what_a_killed_prediction_left_is_removed_and_what_another_one_writes_is_kept(scans: Path):
    assert predict(scans / "scan_1.txt") == 0
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    mine, theirs = (Path("out") / f"{TEMPORARY}{_machine()}-{pid}-00.txt" for pid in (int(dead.stdout), os.getpid()))
    far = Path("out") / f"{TEMPORARY}00000000-1-00.txt"
    for path in (mine, theirs, far):
        path.touch()
    assert predict(scans) == 0
    assert not mine.exists() and theirs.exists() and far.exists()


def test_output_onto_the_input_is_refused(scans: Path, capsys):
    assert main(["predict", "run", str(scans), "-o", str(scans), "--overwrite"]) == 2
    assert "would replace an input" in capsys.readouterr().err
    assert (scans / "scan_2.txt").read_text() == "word word "


def test_an_unknown_checkpoint(scans: Path, capsys):
    assert main(["predict", "no-such-model", str(scans), "-o", "out"]) == 2
    assert "no such checkpoint" in capsys.readouterr().err


def test_results_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    from vol3d.cli.predict import _cells
    from vol3d.engine.predict import PredictionRow
    from vol3d.scans.source import ScanSource

    row = PredictionRow(ScanSource(tmp_path / "P1/T1.nii.gz", "T1"), "written", output=tmp_path / "out/P1/T1.nii.gz")
    assert _cells(row, "T1", tmp_path / "out")["output"] == "P1/T1.nii.gz"
    assert _cells(row, "T1", tmp_path / "elsewhere")["output"] == "T1.nii.gz"
