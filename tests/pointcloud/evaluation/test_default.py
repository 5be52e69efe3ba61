"""`vol3d evaluate` on a copy of the data: the scenes that the data set holds out, not those that were trained on."""

from __future__ import annotations

import json
from pathlib import Path

from tests.pointcloud.tasks.test_rooms import RECIPE, write_rooms
from vol3d.config import load_task
from vol3d.engine.score import on_data


def test_a_copy_of_the_data_is_scored_on_its_validation_scenes(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace("ROOT", str(write_rooms(tmp_path / "data"))))
    task, copy = load_task(recipe), write_rooms(tmp_path / "copy", 2, 1)
    assert on_data(task, copy, None, None, None)[1] == "validation"
    assert on_data(task, copy, "point_folder", None, "all")[1] == "all"
    boxes = json.loads((copy / "boxes.json").read_text())
    (copy / "boxes.json").write_text(json.dumps({**boxes, "validation": []}))
    assert on_data(task, copy, None, None, None)[1] == "all"  # nothing is held out: all of it is new to the model
