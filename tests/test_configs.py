"""Every shipped recipe parses, and builds its task without the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from vol3d.config import dump, load_task, read, recipes

RECIPES = recipes()


@pytest.mark.skipif(not RECIPES, reason="no recipe is shipped yet")
@pytest.mark.parametrize("name", RECIPES or ["none"])
def test_a_recipe_builds_its_task(name: str, tmp_path: Path) -> None:
    task = load_task(name)
    path = tmp_path / "resolved.yaml"
    path.write_text(dump(task.settings))
    assert load_task(path).settings == task.settings
    assert read(name).source == str(RECIPES[name])


@pytest.mark.skipif(not RECIPES, reason="no recipe is shipped yet")
@pytest.mark.parametrize("name", RECIPES or ["none"])
def test_a_recipe_says_where_it_comes_from(name: str) -> None:
    head = RECIPES[name].read_text("utf-8").split("\nmodel:")[0]
    for word in ("Paper:", "Expected:", f"vol3d train {name}"):
        assert word in head, f"{name}: its header has no '{word}'"
