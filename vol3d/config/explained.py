"""All settings of a task with what they mean, for `vol3d config`; and which task a recipe is for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from vol3d import catalog
from vol3d.config.commented import Line
from vol3d.config.yaml import in_a_row

_MODEL = re.compile(r"^model:\s*(?:\{\s*|(?:#.*)?\n\s+)name:\s*['\"]?([\w-]+)", re.MULTILINE)


def explained(settings: BaseModel) -> list[Line]:
    """A line for every setting, defaults included; its comment is the setting's description and its default."""
    return _lines(settings, settings.model_dump(mode="json"), "")


def _lines(settings: BaseModel, values: dict[str, Any], prefix: str) -> list[Line]:
    lines = []
    for name, field in type(settings).model_fields.items():
        if name not in values:  # never written
            continue
        below = getattr(settings, name)
        if isinstance(below, BaseModel) and values[name]:
            lines += _lines(below, values[name], f"{prefix}{name}.")
        else:
            lines.append(Line(prefix + name, values[name], _why(field, below)))
    return lines


def _why(field: FieldInfo, value: Any) -> str:
    """What a setting means, its choices, and its default where another value is set."""
    words = [field.description or ""]
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if len(choices) > 1:
        words.append(f"one of {', '.join(map(str, choices))}")
    default = field.get_default()
    states_one = not field.is_required() and field.default_factory is None and not isinstance(default, BaseModel)
    if states_one and default != value:
        words.append(f"default {in_a_row(to_jsonable_python(default))}")
    return "; ".join(filter(None, words))


def task_of(path: Path) -> str | None:
    """The task that a recipe is for, by its `model.name`; None for a recipe whose model is not in the catalogue."""
    found = _MODEL.search(path.read_text("utf-8", errors="replace"))
    entry = catalog.MODELS.get(found[1]) if found else None
    return entry.task if entry else None
