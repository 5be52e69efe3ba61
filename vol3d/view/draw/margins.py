"""What stands around a picture of clouds: title and extent above; origins, classes with counts, and notes below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vol3d.view.draw.colours import value_range
from vol3d.view.draw.footer import footer, footer_height
from vol3d.view.draw.text import text_width
from vol3d.view.scene import Source, ViewScene

DPI = 100
_HEAD, _ORIGINS, _ROW = 46, 34, 19  # pixels of the strip above, of the line of origins and of a line of classes
_LEFT, _SWATCH, _GAP = 16.0, 16.0, 22.0
_TITLE_PT, _FACTS_PT, _ORIGIN_PT, _CLASS_PT = 12.0, 8.5, 9.0, 8.5


class Entry(NamedTuple):
    """A class of the legend and where it stands: pixels from the left, and the line from above."""

    text: str
    colour: str
    left: float
    row: int


class Margins(NamedTuple):
    """Heights in pixels of the strips above and below the scene, and what fills the lower one."""

    head: int
    foot: int
    classes: tuple[Entry, ...]
    notes: str


def measure(scene: ViewScene, size: tuple[int, int]) -> Margins:
    """The strips of a picture of this size; the lower one grows with classes and notes, to half of the picture."""
    notes, classes = footer(scene.notes, size[0]), _classes(scene, size[0])
    rows = 1 + max((entry.row for entry in classes), default=-1)
    foot = _ORIGINS + _ROW * rows + footer_height(notes)
    return Margins(_HEAD, min(foot, size[1] // 2), classes, notes)


def write_margins(figure: Figure, scene: ViewScene, xyz: np.ndarray, margins: Margins) -> None:
    """Title and facts above; what lines and colours mean, and the notes, below."""
    width, height = (figure.get_size_inches() * DPI).round()
    ax, theme = figure.axes[0], scene.opening.theme
    extent = " x ".join(f"{side:.3g}" for side in np.ptp(xyz, axis=0)) + " m, " if len(xyz) > 1 else ""
    wide = _wide(scene.title, _TITLE_PT, bold=True)
    points = _TITLE_PT * min(1.0, (width - 2 * _LEFT) / max(wide, 1e-9))
    title = ax.text(16, height - 24, scene.title, color=theme.ink, fontsize=points, weight="bold", va="center")
    title.set_parse_math(False)
    facts = f"{extent}{len(xyz):,} point{'' if len(xyz) == 1 else 's'}"
    if wide + _GAP + _wide(facts, _FACTS_PT) <= width - 2 * _LEFT:
        ax.text(width - 16, height - 24, facts, color=theme.muted, fontsize=_FACTS_PT, va="center", ha="right")
    middle = margins.foot - _ORIGINS / 2
    end = _origins(figure, scene, middle)
    _colour_bar(figure, scene, end, middle)
    for entry in margins.classes:
        y = margins.foot - _ORIGINS - _ROW * (entry.row + 0.5) + 4
        ax.plot([entry.left + 4], [y], marker="s", markersize=6, color=entry.colour, linestyle="")
        ax.text(entry.left + _SWATCH, y, entry.text, color=theme.ink, fontsize=_CLASS_PT, va="center", parse_math=False)
    ax.text(_LEFT, 8, margins.notes, color=theme.muted, fontsize=7.5, va="bottom", parse_math=False)


def _classes(scene: ViewScene, width: int) -> tuple[Entry, ...]:
    """Each class that is shown with its number of boxes, of each origin where there are several: `car 12 / 10`."""
    names = [np.array(layer.detections.names(), dtype=object)[scene.opening.shows(layer)] for layer in scene.boxes]
    entries: list[Entry] = []
    left, row = _LEFT, 0
    for name, colour in scene.class_colours.items():
        counts = [int((shown == name).sum()) for shown in names]
        if not any(counts):
            continue
        text = f"{name} {' / '.join(map(str, counts))}"
        wide = _SWATCH + _wide(text, _CLASS_PT)
        if entries and left + wide > width - _LEFT:
            left, row = _LEFT, row + 1
        entries.append(Entry(text, colour, left, row))
        left += wide + _GAP
    return tuple(entries)


def _origins(figure: Figure, scene: ViewScene, middle: float) -> float:
    """How many boxes of each origin are shown; where it ends in pixels."""
    entries, names, ink = [], [], scene.opening.theme.ink
    for layer in scene.boxes:
        shown, every = int(scene.opening.shows(layer).sum()), len(layer.detections)
        limit = f", score from {scene.opening.score:.2g}" if layer.scored and scene.opening.score > 0 else ""
        count = f"{shown}" if shown == every else f"{shown} of {every}{limit}"
        names.append(f"{layer.name} ({count})")
        entries.append(Line2D([], [], color=layer.colour or ink, linestyle="--" if layer.colour else "-"))
    return _written(figure, entries, names, middle, ink) if entries else _LEFT


def _written(figure: Figure, entries: Sequence[Line2D], names: Sequence[str], middle: float, ink: str) -> float:
    width, height = figure.get_size_inches() * DPI
    place = (6 / width, middle / height)
    legend = figure.legend(entries, names, loc="center left", bbox_to_anchor=place, frameon=False, ncols=len(names))
    for text in legend.get_texts():
        text.set(color=ink, fontsize=_ORIGIN_PT, parse_math=False)
    return 30.0 + sum(60 + _wide(name, _ORIGIN_PT) for name in names)


def _wide(text: str, points: float, bold: bool = False) -> float:
    """Pixels of a line of text."""
    return points * DPI / 72 * text_width(text, bold)


def _colour_bar(figure: Figure, scene: ViewScene, start: float, middle: float) -> None:
    """What the colours of the points mean, where they follow a number."""
    source, values = _shown_values(scene)
    width, height = figure.get_size_inches() * DPI
    theme = scene.opening.theme
    if source is None or start + 330 > width:
        return
    low, high = value_range(values)
    unit, short = {"height": (" m", _short), "attention": (" %", _digits)}.get(source, ("", _short))
    if short(low) == short(high):
        return
    ramp = LinearSegmentedColormap.from_list("ramp", theme.heights if source == "height" else theme.intensities)
    ax = figure.add_axes(((width - 16 - 210) / width, (middle - 4) / height, 120 / width, 8 / height))
    ax.imshow(np.linspace(0, 1, 120)[None], cmap=ramp, aspect="auto")
    ax.set_axis_off()
    page = figure.axes[0]
    page.text(
        width - 232, middle, f"{source} {short(low)}{unit}", color=theme.muted, fontsize=8, va="center", ha="right"
    )
    page.text(width - 100, middle, f"{short(high)}{unit}", color=theme.muted, fontsize=8, va="center", ha="left")


def _short(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}" if abs(value) < 100 else f"{value:.0f}"


def _digits(value: float) -> str:
    return f"{value:.2g}"


def _shown_values(scene: ViewScene) -> tuple[Source | None, np.ndarray]:
    """Height, intensity or attention of the first cloud that is coloured by it."""
    for layer in scene.points:
        wanted = scene.opening.source
        source = wanted if wanted in layer.sources() else layer.sources()[0]
        if source == "height" and len(layer.xyz):
            return source, layer.xyz[:, 2]
        if source == "attention" and layer.attention is not None:
            return source, layer.attention
        if source == "intensity" and layer.intensity is not None:
            return source, layer.intensity
    return None, np.zeros(0)
