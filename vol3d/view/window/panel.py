"""The few kinds of control that the window's panel is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any

import numpy as np

from vol3d.view.theme import DARK

# Textures and the background are taken as sRGB and shown without its curve: the curve beforehand gives back what was
# meant.
_LINEAR = np.arange(256) / 255
_CURVE = np.where(_LINEAR <= 0.0031308, 12.92 * _LINEAR, 1.055 * _LINEAR ** (1 / 2.4) - 0.055)
SHOWN = (255 * _CURVE).round().astype(np.uint8)
"""What to give for each of the 256 values so that it is shown."""
_SWATCH_PX = 20


def toolkit() -> Any:
    """Open3D's own window toolkit; its stubs are too strict for callables and arrays that it takes."""
    from open3d.visualization import gui

    return gui


def whole_open3d() -> Any:
    """Open3D, for the same reason."""
    import open3d

    return open3d


def heading(side: Any, text: str) -> None:
    """A line that begins a part of the panel."""
    _label(side, text, DARK.ink)


def remarks(side: Any, texts: Sequence[str]) -> Callable[[Sequence[str]], None]:
    """Small print, a paragraph for each text; what is returned shows others in its place."""
    label = _label(side, _paragraphs(texts), DARK.muted)

    def show(others: Sequence[str]) -> None:
        label.text = _paragraphs(others)

    return show


def _paragraphs(texts: Sequence[str], width: int = 42) -> str:
    return "\n\n".join(fill(text, width, break_long_words=False, break_on_hyphens=False) for text in texts)


def choice(side: Any, names: Sequence[str], first: str, changed: Callable[[str], None]) -> None:
    """One of several names."""
    gui = toolkit()
    box = gui.Combobox()
    for name in names:
        box.add_item(name)
    box.selected_text = first
    box.set_on_selection_changed(lambda name, _index: changed(name))
    side.add_child(box)


def slider(
    side: Any,
    name: str,
    limits: tuple[float, float],
    first: float,
    changed: Callable[[float], None],
    whole: bool = False,
) -> None:
    """A number between two limits, under its name."""
    gui = toolkit()
    _label(side, name, DARK.muted)
    bar = gui.Slider(gui.Slider.INT if whole else gui.Slider.DOUBLE)
    bar.set_limits(*limits)
    if whole:
        bar.int_value = int(first)
    else:
        bar.double_value = first
    bar.set_on_value_changed(changed)
    side.add_child(bar)


def switches(
    side: Any,
    names: Sequence[str],
    on: set[str],
    changed: Callable[[set[str]], None],
    colours: Sequence[str] | None = None,
    ground: str = DARK.ground,
) -> None:
    """A box to tick for each name, and two buttons for all of them.

    Args:
        on: what is ticked at first.
        changed: is given what is ticked.
        colours: of what the names stand for.
        ground: what these colours are seen on.
    """
    gui = toolkit()
    ticked: set[str] = set(on)
    boxes: list[Any] = []

    def tick(name: str, state: bool) -> None:
        (ticked.add if state else ticked.discard)(name)
        changed(set(ticked))

    def tick_all(state: bool) -> None:
        for box in boxes:
            box.checked = state
        ticked.clear()
        ticked.update(names if state else ())
        changed(set(ticked))

    if len(names) > 2:
        row = gui.Horiz(4)
        for text, state in (("all", True), ("none", False)):
            button = gui.Button(text)
            button.vertical_padding_em = 0
            button.set_on_clicked(lambda state=state: tick_all(state))
            row.add_child(button)
        row.add_stretch()
        side.add_child(row)
    for number, name in enumerate(names):
        row = gui.Horiz(6)
        box = gui.Checkbox("")
        box.checked = name in ticked
        box.set_on_checked(lambda state, name=name: tick(name, state))
        boxes.append(box)
        row.add_child(box)
        if colours is not None:
            row.add_child(gui.ImageWidget(_swatch(colours[number], ground)))
        _label(row, name, DARK.ink)
        side.add_child(row)


def gui_colour(colour: str) -> Any:
    """`#rrggbb` as Open3D's windows take it."""
    gui = toolkit()
    red, green, blue = bytes.fromhex(colour[1:])
    return gui.Color(red / 255, green / 255, blue / 255)


def _swatch(colour: str, ground: str) -> Any:
    """A square of the colour, framed by the ground."""
    pixels = np.empty((_SWATCH_PX, _SWATCH_PX, 3), np.uint8)
    pixels[:] = list(bytes.fromhex(ground[1:]))
    pixels[3:-3, 3:-3] = list(bytes.fromhex(colour[1:]))
    return whole_open3d().geometry.Image(pixels)


def _label(parent: Any, text: str, colour: str) -> Any:
    gui = toolkit()
    label = gui.Label(text)
    label.text_color = gui_colour(colour)
    parent.add_child(label)
    return label
