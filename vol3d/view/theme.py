"""What pictures look like on a dark and on a light background: paper, ink, and the colours of points and classes.

Scenes hold the colours of the dark theme; `Theme.shown` gives their counterparts. On light the ramps go from pale to
dark, so that what is high or strong stands out on both.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import chain
from typing import Literal

import numpy as np

from vol3d.errors import UsageError
from vol3d.scans.results.palette import COLOURS

Background = Literal["dark", "light"]


@dataclass(frozen=True)
class Theme:
    """Colours as `#rrggbb`.

    Args:
        ground: behind everything.
        ink: text and annotated boxes.
        muted: notes.
        unlabelled: points without a class.
        clouds: one for each of several clouds that are shown together.
        heights: from low to high in even steps of lightness, so that order survives without colour.
        intensities: from weak to strong, in the same way; of attention, too.
        classes: one for each of `vol3d.scans.results.palette.COLOURS`.
        own: share of their brightness that points in their own colours keep; white ones would be lost on white.
    """

    ground: str
    ink: str
    muted: str
    unlabelled: str
    clouds: tuple[str, ...]
    heights: tuple[str, ...]
    intensities: tuple[str, ...]
    classes: tuple[str, ...]
    own: float

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The ground as red, green and blue from 0 to 255."""
        red, green, blue = bytes.fromhex(self.ground[1:])
        return red, green, blue

    def own_colours(self, rgb: np.ndarray) -> np.ndarray:
        """Points' own colours (N, 3) uint8 as they are drawn."""
        return rgb if self.own == 1 else (rgb * np.float32(self.own)).astype(np.uint8)

    def shown(self, colour: str) -> str:
        """The counterpart of a colour of the dark theme; any other colour stays as it is."""
        return self.counterparts.get(colour, colour)

    @cached_property
    def counterparts(self) -> dict[str, str]:
        """Colour of the dark theme -> colour of this one."""
        return dict(zip(_flat(DARK), _flat(self), strict=True))


def _flat(theme: Theme) -> list[str]:
    *colours, _ = astuple(theme)
    return list(chain.from_iterable([one] if isinstance(one, str) else one for one in colours))


DARK = Theme(
    ground="#101418",
    ink="#f2f4f6",
    muted="#a9b2bb",
    unlabelled="#6b7480",
    clouds=("#a8b1ba", "#88ccee", "#e6b366", "#7fc99a", "#d98fa5"),
    heights=("#3a3f8f", "#3170a8", "#2f9ea0", "#6cc07a", "#c9d957", "#fbe28a"),
    intensities=("#3b3f63", "#6f4a94", "#b8578c", "#ee7f66", "#fbc06f", "#fdf3c0"),
    classes=COLOURS,
    own=1.0,
)
LIGHT = Theme(
    ground="#ffffff",
    ink="#1b2127",
    muted="#5d6873",
    unlabelled="#8a949e",
    clouds=("#8c96a0", "#0090b8", "#a8721e", "#3f8a5c", "#b0607a"),
    heights=("#b5d99c", "#74c3a0", "#3fa0b0", "#2f77ab", "#34509a", "#2d2a6e"),
    intensities=("#e8cf9c", "#f0a96e", "#dd7366", "#b0508a", "#6c4590", "#2e3157"),
    classes=(
        *("#0080c8", "#009068", "#3f48d8", "#b06400", "#989000", "#b8508c"),
        *("#0090b8", "#006860", "#e02020", "#809848", "#8058a8", "#288000", "#b05070", "#0070b8", "#887048", "#b83008"),
        *("#687880", "#7800e8", "#c00088", "#00a000", "#2048d8", "#c00048", "#00a050", "#a030c0", "#586000", "#689800"),
        *("#804810", "#705070", "#689868", "#009898", "#982878", "#0058b8", "#a078a8"),
    ),
    own=0.88,
)
THEMES: dict[Background, Theme] = {"dark": DARK, "light": LIGHT}


def require_background(word: str) -> Background:
    """The word itself.

    Raises:
        UsageError: no background.
    """
    for known in THEMES:
        if known == word:
            return known
    raise UsageError("unknown background", where="--background", got=word, wanted=" or ".join(THEMES))
