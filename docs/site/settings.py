"""Every shipped recipe with all of its settings, read from the classes that check them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vol3d import catalog
from vol3d.config import load_task, recipes
from vol3d.config.commented import Line, commented

TITLES = {
    "segmentation": "Recipes: medical volumes",
    "detection": "Recipes: objects in rooms",
    "lidar": "Recipes: LiDAR",
}
_INTRO = """\
All settings of each recipe, as the package reads them. Behind each stands what it means, its unit, and the default
where the recipe differs from it. Change any of them in a copy of the file or on the command line:
`vol3d train RECIPE optim.lr=3e-4`.
"""
_LONGEST = 60  # characters of a default that is printed


def pages() -> dict[str, str]:
    """Name of the page -> its text, one page for each task."""
    sections: dict[str, list[str]] = defaultdict(list)
    for name in recipes():
        task, text = recipe(name)
        sections[task].append(text)
    return {
        f"reference/recipes_{task}.md": "\n".join([f"# {title}", "", _INTRO, *sections[task]])
        for task, title in TITLES.items()
    }


def recipe(name: str) -> tuple[str, str]:
    """The task of a recipe, and its section."""
    settings: Any = load_task(name).settings
    header = _header(name)
    body = commented(lines(settings), "")
    text = f'## {name}\n\n{header}\n\n??? note "All settings"\n\n    ```yaml\n{_indented(body)}\n    ```\n'
    return catalog.MODELS[settings.model.name].task, text


def lines(settings: BaseModel, above: str = "") -> list[Line]:
    """One line for each setting, depth first."""
    found: list[Line] = []
    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        if name not in values:  # what no file says
            continue
        value, key = getattr(settings, name), f"{above}{name}"
        if isinstance(value, BaseModel) and type(value).model_fields:
            found += lines(value, f"{key}.")
        else:
            found.append(Line(key, values[name], _why(field, value)))
    return found


def _why(field: FieldInfo, value: Any) -> str:
    words = [field.description or ""]
    if not field.is_required():
        default = field.get_default(call_default_factory=True)
        if default != value and len(str(default)) <= _LONGEST:
            words.append(f"default: {default}")
    return "; ".join(word for word in words if word) or "see the class of these settings"


def _header(name: str) -> str:
    """The comment at the head of the file, as written."""
    rows = []
    for row in recipes()[name].read_text("utf-8").splitlines():
        if not row.startswith("#"):
            break
        rows.append(row.removeprefix("#").removeprefix(" "))
    return "```text\n" + "\n".join(rows).strip() + "\n```"


def _indented(text: str) -> str:
    return "\n".join(f"    {row}".rstrip() for row in text.splitlines())
