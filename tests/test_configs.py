"""Every shipped recipe parses, and builds its task without the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from vol3d.config import dump, load_task, read, recipes
from vol3d.config.header import RecipeHeader, read_header
from vol3d.errors import UsageError

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
    header = read_header(RECIPES[name])
    assert any(f"vol3d train {name}" in command for command in header.commands), "no command trains it"
    assert all(command.startswith("vol3d ") for command in header.commands)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("model: {}\n", "has no 'Paper:'"),
        ("# A.\n#\n# Paper:    P\n# Command:  vol3d train a\nmodel: {}\n", "has no 'Expected:'"),
        ("# A.\n#\n# Paper:    P\n# Paper:    Q\n", "has 'Paper:' twice"),
        ("", "has no 'Paper:'"),
    ],
)
def test_a_header_without_its_fields(text: str, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=wanted):
        read_header(path)


def test_a_header_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "# A net.\n#\n# Paper:    P (X 2021),\n#           table 1.\n# Expected: 0.5.\n"
        "# Command:  vol3d data x\n#           vol3d train a\n#\n# Further: it is\n# small.\nmodel: {}  # not this\n"
    )
    wanted = RecipeHeader(
        "A net.", "P (X 2021), table 1.", "0.5.", ("vol3d data x", "vol3d train a"), "Further: it is small."
    )
    assert read_header(path) == wanted
