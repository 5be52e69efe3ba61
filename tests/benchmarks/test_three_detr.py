"""The rows of 3DETR's tables are tasks whose networks build, and a tiny table is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import three_detr
from benchmarks.three_detr import RECIPE, ROWS, TABLES, words_of, work
from pointcloud.structures.detector import RoomDetector
from tests.pointcloud.synthetic import write_rooms
from tests.pointcloud.tasks.test_rooms import RECIPE as ROOMS
from vol3d.config import load_task


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_a_task(name: str) -> None:
    settings = load_task(RECIPE, words_of(name, 1)).settings
    model = settings.model.build(("chair", "table"))
    assert isinstance(model, RoomDetector) and settings.train.seed == 1
    encoder, *rest = ROWS[name].title.split(", ")
    assert (getattr(settings.model, "encoder", "transformer") == "pointnet2") == (encoder == "PointNet++")
    assert (rest[0] == "transformer") == (getattr(settings.model, "decoder", "transformer") == "transformer")
    assert rest[1] == {"boxnet": "box", "votenet": "vote"}.get(settings.model.name, "set")


def test_every_row_is_in_a_table() -> None:
    assert {name for names in TABLES.values() for name in names} == set(ROWS)


def test_a_tiny_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(ROOMS.replace("ROOT", str(write_rooms(tmp_path / "data"))))
    monkeypatch.setattr(three_detr, "RECIPE", str(recipe))
    for _ in range(2):
        work(["3detr-m"], 1, tmp_path / "out", ["train.epochs=1", "train.evaluate_every=1"])  # keeps the recipe's model
    assert capsys.readouterr().err.count("is done") == 1
    table = (tmp_path / "out" / "table.md").read_text()
    assert "| masked transformer, transformer, set | 0." in table and "| 62.7 / 37.5 |" in table
    assert "| transformer, box, box | not measured | not measured | 0 | 31.0 / 10.2 |" in table
