"""Notes below a picture: whole sentences on as many lines as they take."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_CHARACTER, _LINE, _MARGIN = 4.9, 13, 16  # pixels of the font of notes, and around it


def footer(notes: Sequence[str], width: int) -> str:
    """The notes as lines that fit a picture of `width` pixels; empty text without notes."""
    return textwrap.fill("; ".join(notes), max(20, int((width - 2 * _MARGIN) / _CHARACTER)))


def footer_height(text: str) -> int:
    """Pixels that the lines take with the space around them; 0 for no text."""
    return _LINE * (text.count("\n") + 1) + _MARGIN if text else 0
