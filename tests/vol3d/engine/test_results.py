"""Files of an evaluation: its own pictures go with the next one, a person's stay."""

from __future__ import annotations

from pathlib import Path

from vol3d.engine import results
from vol3d.engine.task import Evaluation


def test_only_the_pictures_of_an_earlier_evaluation_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / results.PICTURES
    folder.mkdir()
    (folder / "holiday.png").write_bytes(b"mine")
    for title in ("best", "worst"):
        results.write(tmp_path, Evaluation(0.5, "score", {}, pictures={title: b"\x89PNG"}), step=0)
        assert sorted(path.name for path in folder.iterdir()) == sorted([f"{title}.png", "holiday.png"])
