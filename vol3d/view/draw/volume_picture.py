"""A volume as one PNG: three slices with the outlines of its masks, and below them the surfaces of its organs."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from vol3d.view.draw.camera import place_camera
from vol3d.view.draw.footer import footer, footer_height
from vol3d.view.draw.raster import draw_surfaces
from vol3d.view.draw.slices import slice_picture
from vol3d.view.draw.surfaces import Surface, organ_surfaces
from vol3d.view.scene import Camera, MaskLayer, ViewScene, VolumeLayer
from vol3d.view.theme import Theme

_DPI = 100
_TALL, _HEAD = 400, 30  # pixels of the row of surfaces and of the line above it
# Name, and where the eye stands: RAS, so that the front is +y and the patient's left is -x.
_SIDES = (
    ("from the front", Camera(90.0, 8.0)),
    ("from the left", Camera(180.0, 8.0)),
    ("from the right, behind and above", Camera(-50.0, 40.0)),
)


def draw_volume(scene: ViewScene, layer: VolumeLayer, width: int) -> bytes:
    """A PNG of `width` pixels: planes, and for each mask three views of its surfaces."""
    theme = scene.opening.theme
    masks = {mask.name: _kept(mask, scene.opening.classes) for mask in layer.masks}
    names = _class_names(layer)
    image, spacing = layer.volume.array[0], layer.volume.grid.spacing_mm
    planes = slice_picture(image, spacing, masks, names, scene.title, "RAS", scene.opening.window, theme, width)
    rows = [(imread(io.BytesIO(planes))[..., :3] * 255).round().astype(np.uint8)]
    for mask in layer.masks:
        surfaces = [
            one for one in organ_surfaces(mask) if scene.opening.classes is None or one.name in scene.opening.classes
        ]
        if surfaces:
            rows.append(_surface_row(mask.name, surfaces, width, theme))
    if scene.notes:
        rows.append(_caption(scene.notes, width, theme))
    buffer = io.BytesIO()
    picture = np.concatenate(rows)
    figure = _blank(width, len(picture), theme.ground)
    figure.figimage(picture, 0, 0, origin="upper")
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _kept(mask: MaskLayer, classes: tuple[str, ...] | None) -> np.ndarray:
    labels = mask.segmentation.labels
    if classes is None:
        return labels
    wanted = [label for label, name in enumerate(mask.segmentation.class_names) if name in classes]
    return np.where(np.isin(labels, wanted), labels, 0)


def _class_names(layer: VolumeLayer) -> tuple[str, ...]:
    return max((mask.segmentation.class_names for mask in layer.masks), key=len, default=("background",))


def _surface_row(name: str, surfaces: list[Surface], width: int, theme: Theme) -> np.ndarray:
    points = np.concatenate([surface.vertices for surface in surfaces])
    ends = [width * number // len(_SIDES) for number in range(len(_SIDES) + 1)]
    panels = []
    for (_, camera), start, stop in zip(_SIDES, ends[:-1], ends[1:], strict=True):
        view = place_camera(camera, points[:0], (stop - start, _TALL), points)
        panels.append(draw_surfaces(view, surfaces, theme.rgb)[0])
    figure = _blank(width, _TALL + _HEAD, theme.ground)
    figure.figimage(np.concatenate(panels, axis=1), 0, 0, origin="upper")
    for (side, _), start in zip(_SIDES, ends, strict=False):
        text = f"{name}: surfaces {side}" if start == 0 else side
        place = ((start + 18) / width, 1 - _HEAD / 2 / (_TALL + _HEAD))
        figure.text(*place, text, color=theme.muted, fontsize=9, va="center", parse_math=False)
    return _pixels(figure)


def _caption(notes: tuple[str, ...], width: int, theme: Theme) -> np.ndarray:
    text = footer(notes, width)
    figure = _blank(width, footer_height(text), theme.ground)
    figure.text(18 / width, 0.5, text, color=theme.ink, fontsize=7.5, va="center", parse_math=False)
    return _pixels(figure)


def _blank(width: int, height: int, ground: str) -> Figure:
    return Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=ground)


def _pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
