"""`vol3d evaluate` on a copy of the data: the scenes that the data set holds out, not those that were trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pointcloud.tasks.test_rooms import RECIPE, write_rooms
from vol3d.config import load_task
from vol3d.engine.score import on_data
from vol3d.errors import UsageError


def test_a_copy_of_the_data_is_scored_on_its_validation_scenes(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace("ROOT", str(write_rooms(tmp_path / "data"))))
    task, copy = load_task(recipe), write_rooms(tmp_path / "copy", 2, 1)
    assert on_data(task, copy, None, None, None)[1] == "validation"
    assert on_data(task, copy, "point_folder", None, "all")[1] == "all"
    boxes = json.loads((copy / "boxes.json").read_text())
    (copy / "boxes.json").write_text(json.dumps({**boxes, "validation": []}))
    assert on_data(task, copy, None, None, None)[1] == "all"  # nothing is held out: all of it is new to the model


def test_words_are_settings_of_the_data_that_is_scored(tmp_path: Path) -> None:
    recipe, root = tmp_path / "recipe.yaml", write_rooms(tmp_path / "data")
    recipe.write_text(RECIPE.replace("ROOT", str(root)))
    task, copy = load_task(recipe, ["data.units=cm"]), write_rooms(tmp_path / "copy", 2, 1)
    for where, units in ((root, "cm"), (copy, "auto")):
        data: Any = on_data(task, where, None, None, None, ["up=y"])[0].data
        assert (data.root, data.up, data.units) == (where, "y", units)
    with pytest.raises(UsageError, match="unknown setting 'unit'; did you mean 'units'"):
        on_data(task, copy, None, None, None, ["unit=mm"])
