"""What the config in a checkpoint of mmdetection3d says of the model: Python source, of which nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

_PARTS = ("model", "test_cfg")  # before 0.8 `test_cfg` stood beside the model


def model_options(meta: Mapping[Any, Any]) -> dict[str, Any]:
    """Options such as `backbone.radius`, tuples as lists; empty where the file holds no config that can be read.

    Args:
        meta: of the checkpoint; the config is in `config` (mmcv) or `cfg` (mmengine).

    >>> model_options({"config": "model = dict(backbone=dict(radius=(0.2, 0.4)))"})
    {'backbone.radius': [0.2, 0.4]}
    """
    text = meta.get("config") or meta.get("cfg")
    if not isinstance(text, str):
        return {}
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, Any] = {}
    for one in statements:
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and one.targets[0].id in _PARTS:
            part, value = one.targets[0].id, _value(one.value)
            found |= dict(_flat(value if part == "model" else {part: value}))
    return found


def _value(node: ast.expr) -> Any:
    """Of literals and of `dict(...)`; anything else stays source."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {word.arg: _value(word.value) for word in node.keywords if word.arg}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(one) for one in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield name, value
        return
    for key, one in value.items():
        yield from _flat(one, f"{name}.{key}" if name else str(key))
