"""How wide a text is in the font of pictures."""

from __future__ import annotations

from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

_HINTING = 1.04  # on a grid of pixels letters are a little wider than in their outlines


@lru_cache(4096)
def text_width(text: str, bold: bool = False) -> float:
    """Width of a line as a share of the font's size."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, _FONTS[bold], ismath=False)
    return float(_HINTING * width / _FONTS[bold].get_size_in_points())


_FONTS = {bold: FontProperties(weight="bold" if bold else "normal") for bold in (False, True)}
