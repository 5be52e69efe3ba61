"""A scene as one PNG, anywhere: clouds with boxes at an angle from above, a volume as slices and organ surfaces."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from vol3d.errors import UsageError
from vol3d.scans.results.box_shapes import box_lines, corners, velocity_lines
from vol3d.scans.results.palette import GROUND, INK, MUTED
from vol3d.view.draw.boxes import box_colours, box_label
from vol3d.view.draw.camera import View, place_camera
from vol3d.view.draw.colours import HEIGHTS, INTENSITIES, point_colours, value_range
from vol3d.view.draw.labels import Label, place_labels
from vol3d.view.draw.raster import draw_points, point_radius
from vol3d.view.draw.volume_picture import draw_volume
from vol3d.view.scene import BoxLayer, Source, ViewScene

_DPI = 100
_HEAD, _FOOT = 46, 54  # pixels of the strips above and below the scene
_SMALLEST, _LARGEST = (320, 240), (8192, 8192)
_PIECES = 28  # of a box's line, each drawn bright or faint
_WIDTH_PT, _FAINT = 1.5, 0.28
_HIDDEN = 0.02  # of the depth: a line this much behind a point is hidden by it


def draw_scene(scene: ViewScene, size: tuple[int, int] = (1280, 800)) -> bytes:
    """A PNG of what `scene.opening` shows.

    Lines of boxes are faint where points hide them; boxes are labelled with class and score, the surest first, as long
    as there is room.

    Args:
        size: width and height in pixels; the picture of a volume has the width and as much height as it takes.

    Raises:
        UsageError: a size that is too small to show anything or too large for memory.
    """
    if not all(low <= side <= high for low, side, high in zip(_SMALLEST, size, _LARGEST, strict=True)):
        wanted = f"{_SMALLEST[0]}x{_SMALLEST[1]} to {_LARGEST[0]}x{_LARGEST[1]}"
        raise UsageError("the picture cannot have this size", got=f"{size[0]}x{size[1]}", wanted=wanted)
    if scene.volume is not None:
        return draw_volume(scene, scene.volume, size[0])
    stage = (size[0], size[1] - _HEAD - _FOOT)
    shown = [layer.detections.boxes[scene.opening.shows(layer)] for layer in scene.boxes]
    hold = np.concatenate([np.zeros((0, 3)), *(corners(boxes).reshape(-1, 3) for boxes in shown)])
    xyz = np.concatenate([np.zeros((0, 3), np.float32), *(layer.xyz for layer in scene.points)])
    view = place_camera(scene.opening.camera, xyz, stage, hold)
    colours = [point_colours(layer, scene.opening.source) for layer in scene.points]
    rgb = np.concatenate([np.zeros((0, 3), np.uint8), *colours])
    ground = tuple(bytes.fromhex(GROUND[1:]))
    pixels, depth = draw_points(view, xyz, rgb, point_radius(xyz), (ground[0], ground[1], ground[2]))
    figure = _page(pixels, size)
    labels = [label for layer in scene.boxes for label in _draw_boxes(figure, scene, layer, view, depth)]
    _write_labels(figure, labels, size)
    _write_margins(figure, scene, xyz)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _page(pixels: np.ndarray, size: tuple[int, int]) -> Figure:
    """A figure measured in pixels from its lower left corner, with the scene between two strips."""
    width, height = size
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=GROUND)
    figure.figimage(pixels, 0, _FOOT, origin="upper", zorder=-1)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.set_axis_off()
    return figure


def _draw_boxes(figure: Figure, scene: ViewScene, layer: BoxLayer, view: View, depth: np.ndarray) -> list[Label]:
    """Draws the layer's boxes that are shown, and returns the labels that they ask for."""
    rows = np.flatnonzero(scene.opening.shows(layer))
    colours = box_colours(scene, layer)
    bright: list[tuple[np.ndarray, str]] = []
    faint: list[tuple[np.ndarray, str]] = []
    labels = []
    ways = dict(zip(*(part.tolist() for part in velocity_lines(layer.detections.boxes)), strict=True))
    for row, edges in zip(rows.tolist(), box_lines(layer.detections.boxes)[rows], strict=True):
        colour, lines = colours[row], np.concatenate((edges, np.reshape(ways.get(row, ()), (-1, 2, 3))))
        for run, hidden in _runs(lines, view, depth):
            (faint if hidden else bright).append((run, colour))
        pixels, ahead = view.project(corners(layer.detections.boxes[row][None])[0])
        if np.isfinite(ahead).all():
            pixels[:, 1] = view.size[1] - pixels[:, 1] + _FOOT
            around = (*pixels.min(axis=0), *pixels.max(axis=0))
            weight = float(layer.detections.scores[row]) if layer.scored else 2.0 - 1e-3 * float(ahead.min())
            labels.append(Label(box_label(layer.detections, row, layer.scored), colour, around, weight))
    dashes: str | tuple[float, tuple[float, ...]] = "-" if layer.colour is None else (0.0, (4.0, 2.0))
    ax = figure.axes[0]
    halo = LineCollection([run for run, _ in bright], colors=GROUND, linewidths=_WIDTH_PT + 1.8, alpha=0.55, zorder=3)
    ax.add_collection(halo)
    for runs, alpha, order in ((faint, _FAINT, 2), (bright, 1.0, 4)):
        ink = LineCollection([run for run, _ in runs], colors=[colour for _, colour in runs], linewidths=_WIDTH_PT)
        ink.set(alpha=alpha, linestyle=dashes, capstyle="butt", zorder=order)
        ax.add_collection(ink)
    return labels


def _runs(lines: np.ndarray, view: View, depth: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
    """Pieces (n, 2) of each line (lines, 2, 3) in pixels of the page, and whether points hide them."""
    share = np.linspace(0, 1, _PIECES + 1)[:, None]
    points = lines[:, None, 0] * (1 - share) + lines[:, None, 1] * share
    pixels, ahead = view.project(points)
    height, width = depth.shape
    with np.errstate(invalid="ignore"):
        inside = np.isfinite(ahead) & (pixels >= 0).all(axis=-1) & (pixels < (width, height)).all(axis=-1)
    x, y = np.where(inside[..., None], pixels, 0).astype(np.int64).transpose(2, 0, 1)
    hidden = ahead > depth[y, x] * (1 + _HIDDEN)
    pixels[..., 1] = height - pixels[..., 1] + _FOOT
    for along, within, behind in zip(pixels, inside, hidden, strict=True):
        start = 0
        for at in range(1, _PIECES + 1):
            if at == _PIECES or behind[at] != behind[start] or not within[at]:
                piece = along[start : at + 1][within[start : at + 1]]
                if len(piece) > 1:
                    yield piece, bool(behind[start])
                start = at


def _write_labels(figure: Figure, labels: list[Label], size: tuple[int, int]) -> None:
    page = (2.0, float(_FOOT), size[0] - 2.0, float(size[1] - _HEAD))
    for label, (x, y), points in place_labels(labels, _DPI / 72, page):
        text = figure.axes[0].text(x, y, label.text, color=label.colour, fontsize=points, ha="left", va="bottom")
        text.set(parse_math=False, zorder=6, weight="bold", path_effects=[withStroke(linewidth=2.4, foreground=GROUND)])


def _write_margins(figure: Figure, scene: ViewScene, xyz: np.ndarray) -> None:
    """Title and facts above, what the colours mean below."""
    width, height = (figure.get_size_inches() * _DPI).round()
    ax = figure.axes[0]
    extent = " x ".join(f"{side:.3g}" for side in np.ptp(xyz, axis=0)) + " m, " if len(xyz) else ""
    room = int((width - 40) / 6.4 - 1.45 * len(scene.title))
    ax.text(16, height - 24, scene.title, color=INK, fontsize=12, weight="bold", va="center", parse_math=False)
    facts = f"{extent}{len(xyz):,} points"
    if len(facts) <= room:
        ax.text(width - 16, height - 24, facts, color=MUTED, fontsize=8.5, va="center", ha="right")
    notes = "; ".join(scene.notes)
    room = int((width - 32) / 5.6)
    notes = notes if len(notes) <= room else notes[: room - 1] + "…"
    ax.text(16, 13, notes, color=MUTED, fontsize=7.5, va="center", parse_math=False)
    end = _legend(figure, scene)
    _colour_bar(figure, scene, end)


def _legend(figure: Figure, scene: ViewScene) -> float:
    """How many boxes of each origin are shown; where it ends in pixels."""
    entries, names = [], []
    for layer in scene.boxes:
        shown, every = int(scene.opening.shows(layer).sum()), len(layer.detections)
        limit = f", score from {scene.opening.score:.2g}" if layer.scored and scene.opening.score > 0 else ""
        count = f"{shown}" if shown == every else f"{shown} of {every}{limit}"
        names.append(f"{layer.name} ({count})")
        entries.append(Line2D([], [], color=layer.colour or INK, linestyle="--" if layer.colour else "-"))
    if not entries:
        return 16.0
    width, height = figure.get_size_inches() * _DPI
    place = (6 / width, 36 / height)
    legend = figure.legend(entries, names, loc="center left", bbox_to_anchor=place, frameon=False, ncols=len(names))
    for text in legend.get_texts():
        text.set(color=INK, fontsize=9, parse_math=False)
    return 30.0 + sum(60 + 6.5 * len(name) for name in names)


def _colour_bar(figure: Figure, scene: ViewScene, start: float) -> None:
    """What the colours of the points mean, where they follow a number."""
    source, values = _shown_values(scene)
    width, height = figure.get_size_inches() * _DPI
    if source is None or start + 330 > width:
        return
    low, high = value_range(values)
    ramp = LinearSegmentedColormap.from_list("ramp", HEIGHTS if source == "height" else INTENSITIES)
    ax = figure.add_axes(((width - 16 - 210) / width, 32 / height, 120 / width, 8 / height))
    ax.imshow(np.linspace(0, 1, 120)[None], cmap=ramp, aspect="auto")
    ax.set_axis_off()
    unit, short = {"height": (" m", _short), "attention": (" %", _digits)}.get(source, ("", _short))
    page = figure.axes[0]
    page.text(width - 232, 36, f"{source} {short(low)}{unit}", color=MUTED, fontsize=8, va="center", ha="right")
    page.text(width - 100, 36, f"{short(high)}{unit}", color=MUTED, fontsize=8, va="center", ha="left")


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
