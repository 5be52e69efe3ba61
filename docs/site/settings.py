"""Every shipped recipe with all of its settings, read from the classes that check them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from vol3d import catalog
from vol3d.config import load_task, recipes
from vol3d.config.commented import commented
from vol3d.config.explained import explained
from vol3d.config.header import header_of

TITLES = {
    "segmentation": "Recipes: medical volumes",
    "detection": "Recipes: objects in rooms",
    "lidar": "Recipes: LiDAR",
    "pretraining": "Recipes: unlabelled volumes",
}
_INTRO = """\
All settings of each recipe, as the package reads them. Behind each stands what it means, its unit, and the default
where the recipe differs from it. Change any of them in a copy of the file or on the command line:
`vol3d train RECIPE optim.lr=3e-4`.
"""


def pages() -> dict[str, str]:
    """Name of the page -> its text, one page for each task."""
    sections: dict[str, list[str]] = defaultdict(list)
    for name in recipes():
        task, text = recipe(name)
        sections[task].append(text)
    return {
        f"reference/recipes_{task}.md": "\n".join([f"# {TITLES[task]}", "", _INTRO, *texts])
        for task, texts in sections.items()
    }


def recipe(name: str) -> tuple[str, str]:
    """The task of a recipe, and its section."""
    settings: Any = load_task(name).settings
    header = f"```text\n{header_of(recipes()[name]).strip()}\n```"
    body = commented(explained(settings), "")
    text = f'## {name}\n\n{header}\n\n??? note "All settings"\n\n    ```yaml\n{_indented(body)}\n    ```\n'
    return catalog.MODELS[settings.model.name].task, text


def _indented(text: str) -> str:
    return "\n".join(f"    {row}".rstrip() for row in text.splitlines())
