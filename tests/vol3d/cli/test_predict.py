"""Predicting many scans: done ones are skipped, bad ones told, the rest written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.cli.toy import WordTask, save_run, toy  # noqa: F401 (a fixture)
from vol3d.cli.main import main
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
    Path("out/scan_0.txt").write_text("kept")
    assert predict(scans) == 0
    assert Path("out/scan_0.txt").read_text() == "kept"
    assert "2 written to out, 1 skipped because a result exists" in capsys.readouterr().err
    assert predict(scans, "--overwrite") == 0
    assert Path("out/scan_0.txt").read_text() == "0 words by 1\n"


@pytest.mark.parametrize("text", ["bad", "bug"])
def test_one_bad_file_never_stops_the_rest(scans: Path, text: str, capsys):
    (scans / "scan_0.txt").write_text(text)
    assert predict(scans) == 3
    said = capsys.readouterr()
    assert "scan_0.txt" in said.out
    assert "Traceback" not in said.err
    assert sorted(path.name for path in Path("out").iterdir()) == ["scan_1.txt", "scan_2.txt"]


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


def test_what_was_assumed_is_told_once_with_a_count_and_in_json_as_a_list(scans: Path, capsys):
    assert predict(scans) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["3", "…", "words", "fit", "a", "page"] in said
    assert ["3", "one", "language", "was", "assumed"] in said
    assert predict(scans / "scan_2.txt", "--overwrite") == 0
    assert "2 words fit a page" in capsys.readouterr().out
    assert predict(scans / "scan_1.txt", "--overwrite", "--json") == 0
    row = json.loads(capsys.readouterr().out)["results"][0]
    assert row["assumed"] == ["1 words fit a page", "one language was assumed"]
    assert [fact["code"] for fact in row["assumptions"]] == ["words-fit", "language-assumed"]
    assert row["assumptions"][0]["numbers"] == {"words": 1}


def test_globs_and_repeats(scans: Path):
    assert predict(scans / "*_[12].txt", scans / "scan_1.txt") == 0
    assert len(list(Path("out").iterdir())) == 2


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


def test_two_that_would_write_the_same_file_are_refused_before_anything_is_predicted(scans: Path, capsys):
    Path("scans/scan_1.TXT").write_text("the name differs in its suffix only")
    assert main(["predict", "run", "scans/scan_1.txt", "scans/scan_1.TXT", "-o", "out"]) == 2
    assert "scans/scan_1.txt and scans/scan_1.TXT would write the same file" in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.parametrize("text", ['{"shapes": []}', '{"format": 1, "class_names": [], "objects": []}', "no JSON", ""])
def test_json_of_others_is_never_replaced_and_never_taken_for_a_result(
    scans: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(WordTask, "result_suffix", ".json")
    Path("out").mkdir()
    Path("out/scan_1.json").write_text(text)
    for words in ([], ["--overwrite"]):
        write_detections(Path("out/scan_2.json"), parse_objects([], ("chair",), "no boxes"))
        assert predict(scans, *words) == 3
        assert "scan_1.json: the result would replace a file that vol3d did not write" in capsys.readouterr().err
        assert Path("out/scan_1.json").read_text() == text
        assert Path("out/scan_0.json").exists()
        assert (Path("out/scan_2.json").read_text() == "2 words by 1\n") == bool(words)
        Path("out/scan_0.json").unlink()


@pytest.mark.parametrize(
    ("of", "names", "other"),
    [
        ("scans/scan_1.txt", ("in", "out"), None),
        ("moved/scan_1.txt", ("in", "out"), None),
        ("scans/scan_0.txt", ("in", "out"), "got of scan_0.txt"),
        ("twin/scan_1.txt", ("in", "out"), "got of out/../twin/scan_1.txt"),
        ("scans/scan_1.txt", ("chair",), "got of a model with other classes"),
    ],
)
def test_a_result_of_another_scan_or_model_is_not_taken_for_done(
    scans: Path, of: str, names: tuple[str, ...], other: str | None, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(WordTask, "result_suffix", ".json")
    Path("out").mkdir()
    Path("twin").mkdir()
    Path("twin/scan_1.txt").write_text("another scan")
    cloud = PointCloud(np.zeros((1, 3), np.float32), source=Path(of))
    write_detections(Path("out/scan_1.json"), parse_objects([], names, "none"), cloud)
    before = Path("out/scan_1.json").read_text()
    assert predict(scans / "scan_1.txt") == (1 if other else 0)
    said = capsys.readouterr().err
    assert "1 skipped" in said if other is None else other in said
    assert Path("out/scan_1.json").read_text() == before
    assert predict(scans / "scan_1.txt", "--overwrite") == 0
    assert Path("out/scan_1.json").read_text() == "1 words by 1\n"


def test_output_onto_the_input_is_refused(scans: Path, capsys):
    assert main(["predict", "run", str(scans), "-o", str(scans), "--overwrite"]) == 2
    assert "would replace an input" in capsys.readouterr().err
    assert (scans / "scan_2.txt").read_text() == "word word "


def test_an_unknown_checkpoint(scans: Path, capsys):
    assert main(["predict", "no-such-model", str(scans), "-o", "out"]) == 2
    assert "no such checkpoint" in capsys.readouterr().err
