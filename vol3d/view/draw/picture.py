"""A scene as one PNG, anywhere: clouds with boxes at an angle from above, a volume as slices and organ surfaces."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from vol3d.errors import UsageError
from vol3d.scans.results.box_shapes import box_lines, corners, velocity_lines
from vol3d.view.draw.boxes import box_colours, box_label, label_weights
from vol3d.view.draw.camera import View, place_camera
from vol3d.view.draw.colours import point_colours
from vol3d.view.draw.labels import Label, around_box, place_labels
from vol3d.view.draw.margins import DPI, Margins, measure, write_margins
from vol3d.view.draw.raster import draw_points, point_radius
from vol3d.view.draw.volume_picture import draw_volume
from vol3d.view.scene import BoxLayer, ViewScene
from vol3d.view.theme import Theme

_SMALLEST, _LARGEST = (320, 240), (8192, 8192)
_PIECES = 28  # of a box's line, each drawn bright or faint
_WIDTH_PT, _FAINT = 1.5, 0.28
_LONE_PX, _LONE_SHARE = 3.0, 0.05  # few points have at least this share of their mean distance, up to so many pixels
_HIDDEN = 0.02  # of the depth: a line this much behind a point is hidden by it


def draw_scene(scene: ViewScene, size: tuple[int, int] = (1280, 800)) -> bytes:
    """A PNG of what `scene.opening` shows.

    Lines of boxes are faint where points hide them; the surest boxes are labelled with class and score as long as there
    is room, and the legend has every class with its number of boxes.

    Args:
        size: width and height in pixels; the picture of a volume has the width and as much height as it takes.

    Raises:
        UsageError: a size that is too small to show anything or too large for memory.
    """
    if not all(low <= side <= high for low, side, high in zip(_SMALLEST, size, _LARGEST, strict=True)):
        wanted = f"{_SMALLEST[0]}x{_SMALLEST[1]} to {_LARGEST[0]}x{_LARGEST[1]}"
        raise UsageError("the picture cannot have this size", got=f"{size[0]}x{size[1]}", wanted=wanted)
    scene, theme = scene.on_background(), scene.opening.theme
    if scene.volume is not None:
        return draw_volume(scene, scene.volume, size[0])
    margins = measure(scene, size)
    stage = (size[0], size[1] - margins.head - margins.foot)
    shown = [layer.detections.boxes[scene.opening.shows(layer)] for layer in scene.boxes]
    hold = np.concatenate([np.zeros((0, 3)), *(corners(boxes).reshape(-1, 3) for boxes in shown)])
    xyz = np.concatenate([np.zeros((0, 3), np.float32), *(layer.xyz for layer in scene.points)])
    held = (xyz, hold) if scene.around is None else (scene.around, None)
    view = place_camera(scene.opening.camera, held[0], stage, held[1])
    colours = [point_colours(layer, scene.opening.source, theme) for layer in scene.points]
    rgb = np.concatenate([np.zeros((0, 3), np.uint8), *colours])
    pixels, depth = draw_points(view, xyz, rgb, _radius(view, xyz), theme.rgb)
    figure = _page(pixels, size, margins.foot, theme)
    labels = [label for layer in scene.boxes for label in _draw_boxes(figure, scene, layer, view, depth, margins.foot)]
    _write_labels(figure, labels, size, margins, theme)
    write_margins(figure, scene, xyz, margins)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _radius(view: View, xyz: np.ndarray) -> float:
    """Of a point's disc in metres; few points are drawn large enough to be seen."""
    if not len(xyz):
        return 0.0
    least_px = min(_LONE_PX, _LONE_SHARE * float(np.sqrt(view.size[0] * view.size[1] / len(xyz))))
    away = float(np.median((xyz[:: max(1, len(xyz) // 1000)] - view.eye) @ view.axes[2]))
    return max(point_radius(xyz), least_px * away / view.focal_px)


def _page(pixels: np.ndarray, size: tuple[int, int], foot: int, theme: Theme) -> Figure:
    """A figure measured in pixels from its lower left corner, with the scene between two strips."""
    width, height = size
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=theme.ground)
    figure.figimage(pixels, 0, foot, origin="upper", zorder=-1)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.set_axis_off()
    return figure


def _draw_boxes(
    figure: Figure, scene: ViewScene, layer: BoxLayer, view: View, depth: np.ndarray, foot: int
) -> list[Label]:
    """Draws the layer's boxes that are shown, and returns the labels that matter most."""
    rows = np.flatnonzero(scene.opening.shows(layer))
    colours, weights = box_colours(scene, layer), label_weights(layer)
    bright: list[tuple[np.ndarray, str]] = []
    faint: list[tuple[np.ndarray, str]] = []
    labels = []
    ways = dict(zip(*(part.tolist() for part in velocity_lines(layer.detections.boxes)), strict=True))
    for row, edges in zip(rows.tolist(), box_lines(layer.detections.boxes)[rows], strict=True):
        colour, lines = colours[row], np.concatenate((edges, np.reshape(ways.get(row, ()), (-1, 2, 3))))
        for run, hidden in _runs(lines, view, depth, foot):
            (faint if hidden else bright).append((run, colour))
        pixels, ahead = view.project(corners(layer.detections.boxes[row][None])[0])
        if np.isfinite(ahead).all():
            pixels[:, 1] = view.size[1] - pixels[:, 1] + foot
            labels.append(
                Label(box_label(layer.detections, row, layer.scored), colour, around_box(pixels), float(weights[row]))
            )
    dashes: str | tuple[float, tuple[float, ...]] = "-" if layer.colour is None else (0.0, (4.0, 2.0))
    ax = figure.axes[0]
    halo = LineCollection([run for run, _ in bright], colors=scene.opening.theme.ground, linewidths=_WIDTH_PT + 1.8)
    halo.set(alpha=0.55, zorder=3)
    ax.add_collection(halo)
    for runs, alpha, order in ((faint, _FAINT, 2), (bright, 1.0, 4)):
        ink = LineCollection([run for run, _ in runs], colors=[colour for _, colour in runs], linewidths=_WIDTH_PT)
        ink.set(alpha=alpha, linestyle=dashes, capstyle="butt", zorder=order)
        ax.add_collection(ink)
    return sorted(labels, key=lambda label: -label.weight)[: scene.opening.labels]


def _runs(lines: np.ndarray, view: View, depth: np.ndarray, foot: int) -> Iterator[tuple[np.ndarray, bool]]:
    """Pieces (n, 2) of each line (lines, 2, 3) in pixels of the page, and whether points hide them."""
    share = np.linspace(0, 1, _PIECES + 1)[:, None]
    points = lines[:, None, 0] * (1 - share) + lines[:, None, 1] * share
    pixels, ahead = view.project(points)
    height, width = depth.shape
    with np.errstate(invalid="ignore"):
        inside = np.isfinite(ahead) & (pixels >= 0).all(axis=-1) & (pixels < (width, height)).all(axis=-1)
    x, y = np.where(inside[..., None], pixels, 0).astype(np.int64).transpose(2, 0, 1)
    hidden = ahead > depth[y, x] * (1 + _HIDDEN)
    pixels[..., 1] = height - pixels[..., 1] + foot
    for along, within, behind in zip(pixels, inside, hidden, strict=True):
        start = 0
        for at in range(1, _PIECES + 1):
            if at == _PIECES or behind[at] != behind[start] or not within[at]:
                piece = along[start : at + 1][within[start : at + 1]]
                if len(piece) > 1:
                    yield piece, bool(behind[start])
                start = at


def _write_labels(figure: Figure, labels: list[Label], size: tuple[int, int], margins: Margins, theme: Theme) -> None:
    page = (2.0, float(margins.foot), size[0] - 2.0, float(size[1] - margins.head))
    for label, (x, y), points in place_labels(labels, DPI / 72, page, bold=True):
        text = figure.axes[0].text(x, y, label.text, color=label.colour, fontsize=points, ha="left", va="bottom")
        halo = withStroke(linewidth=2.4, foreground=theme.ground)
        text.set(parse_math=False, zorder=6, weight="bold", path_effects=[halo])
