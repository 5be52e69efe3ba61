"""Names of boxes over the Open3D scene, with a halo and clear of one another, wherever the eye goes.

Open3D's own labels have no halo, so that points hide them, and cover one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from vol3d.view.draw.labels import Label, around_box, place_labels
from vol3d.view.theme import Theme
from vol3d.view.window.panel import gui_colour, toolkit

_MOST = 18  # Open3D draws no more than 20 things in a window beside the scene
_EDGE_PX = 3.0  # of the stage without names
_LINE = 1.3  # height of a line as a share of the font size
_SHARE = 0.86  # of the window's font size; its letters are narrower than those of pictures
# A text is drawn so many times, the last time in its colour: a background would be as high as two lines.
_HALO = ((-1, -1), (1, -1), (-1, 1), (1, 1), (0, 0))


class BoxName(NamedTuple):
    """A text, its colour, the corners (8, 3) of its box, and how much it matters."""

    text: str
    colour: str
    corners: np.ndarray
    weight: float


class BoxNames:
    """What is written over the stage."""

    def __init__(self, window: Any, stage: Any, theme: Theme) -> None:
        self.window, self.stage, self.theme = window, stage, theme
        self.names: Sequence[BoxName] = ()
        self.made: list[Any] = []
        self.seen_from: tuple[Any, ...] | None = None

    def show(self, names: Sequence[BoxName]) -> None:
        """These, and no others."""
        self.names, self.seen_from = names, None

    def place(self) -> bool:
        """Writes the names where their boxes are seen; whether anything changed since the last time."""
        camera, frame = self.stage.scene.camera, self.stage.frame
        view, projection = np.asarray(camera.get_view_matrix()), np.asarray(camera.get_projection_matrix())
        seen_from = (view.tobytes(), projection.tobytes(), frame.x, frame.y, frame.width, frame.height)
        if seen_from == self.seen_from:
            return False
        self.seen_from = seen_from
        size, font = (frame.width, frame.height), _SHARE * self.window.theme.font_size
        labels = seen_labels(self.names, projection @ view, size)
        placed = place_labels(labels, 1.0, (_EDGE_PX, _EDGE_PX, size[0] - _EDGE_PX, size[1] - _EDGE_PX), True, [font])[
            :_MOST
        ]
        for made in self.made[len(placed) :]:
            made.visible = False
        for number, (label, (x, y), _) in enumerate(placed):
            self._write(number, label, frame.x + x, frame.y + frame.height - y - _LINE * font, font)
        return True

    def _write(self, number: int, label: Label, left: float, top: float, font: float) -> None:
        gui = toolkit()
        if number == len(self.made):
            self.made.append(gui.Widget())
            self.window.add_child(self.made[-1])
            for _ in _HALO:
                self.made[-1].add_child(gui.Label(""))
        made = self.made[number]
        made.visible, made.background_color = True, gui.Color(0, 0, 0, 0)
        size, edge = (round(font * (len(label.text) + 1)), round(2 * font)), self.window.scaling
        made.frame = gui.Rect(round(left - edge), round(top - edge), 0, 0)  # takes no clicks, is as large as its texts
        for one, (right, down) in zip(made.get_children(), _HALO, strict=True):
            one.text, one.text_color = label.text, gui_colour(self.theme.ground if right else label.colour)
            one.frame = gui.Rect(round(left + right * edge), round(top + down * edge), *size)


def seen_labels(names: Sequence[BoxName], clip_from_scene: np.ndarray, size: tuple[int, int]) -> list[Label]:
    """The names whose boxes are before the eye and at least partly on the stage, in pixels from its lower left corner.

    Args:
        clip_from_scene: (4, 4) projection times view, as of OpenGL.
        size: width and height of the stage in pixels.
    """
    labels = []
    for name in names:
        clip = np.c_[name.corners, np.ones(len(name.corners))] @ clip_from_scene.T
        if clip[:, 3].min() <= 0:
            continue
        at = (clip[:, :2] / clip[:, 3:] + 1) / 2 * size
        if (at.max(axis=0) > 0).all() and (at.min(axis=0) < size).all():
            labels.append(Label(name.text, name.colour, around_box(at), name.weight))
    return labels
