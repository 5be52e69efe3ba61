"""Files of an evaluation: its own pictures go with the next one, a person's stay."""

from __future__ import annotations

from pathlib import Path

from vol3d import files
from vol3d.engine import results
from vol3d.engine.task import Evaluation


def test_only_the_pictures_of_an_earlier_evaluation_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / results.PICTURES
    folder.mkdir()
    (folder / "holiday.png").write_bytes(b"mine")
    for title in ("best", "worst"):
        results.write(tmp_path, Evaluation(0.5, "score", {}, pictures={title: b"\x89PNG"}), step=0)
        assert sorted(path.name for path in folder.iterdir()) == sorted([f"{title}.png", "holiday.png"])


def test_names_of_pictures_need_no_quotes_and_the_report_keeps_their_titles(tmp_path: Path) -> None:
    titles = ["Worst scene scene0018_00, F1 0.545", "worst scene scene0018_00: F1 0.545", "../Ünïcode 'x'", ", "]
    pictures = {title: b"\x89PNG\r\n\x1a\n" + bytes([i]) for i, title in enumerate(titles)}
    results.write(tmp_path, Evaluation(0.5, "score", {}, pictures=pictures), step=0)
    wanted = ["worst_scene_scene0018_00_f1_0.545", "worst_scene_scene0018_00_f1_0.545_1", "ünïcode_x", "picture"]
    folder = tmp_path / results.PICTURES
    assert {path.name for path in folder.iterdir()} == {f"{name}.png" for name in wanted}
    assert (folder / "worst_scene_scene0018_00_f1_0.545_1.png").read_bytes()[-1] == 1
    assert 'alt="Worst scene scene0018_00, F1 0.545"' in (tmp_path / results.REPORT).read_text("utf-8")


def test_pictures_of_an_earlier_release_go_too(tmp_path: Path) -> None:
    old = tmp_path / results.PICTURES / "Best case, Dice 0.9.png"
    old.parent.mkdir()
    old.write_bytes(b"old")
    results.write(tmp_path, Evaluation(0.5, "score", {}), step=0)
    content = files.read_json(tmp_path / results.EVALUATION)
    del content["captions"]
    files.write_json(tmp_path / results.EVALUATION, {**content, "pictures": [old.name]})
    results.write(tmp_path, Evaluation(0.5, "score", {}, pictures={"Best case": b"\x89PNG"}), step=0)
    assert [path.name for path in old.parent.iterdir()] == ["best_case.png"]
