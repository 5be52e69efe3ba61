"""Tensors of a released file under this package's names, by rules on whole names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

Tensors = Mapping[str, Tensor]
Rules = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]


def renamed(tensors: Tensors, rules: Rules) -> dict[str, Tensor]:
    """The first rule that matches a whole name renames it."""
    return {_by_rule(name, rules): tensor for name, tensor in tensors.items()}


def _by_rule(name: str, rules: Rules) -> str:
    for pattern, ours in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(ours) if isinstance(ours, str) else ours(match)
    return name
