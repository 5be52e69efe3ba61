"""A scan seen from above with its annotated and its detected boxes, as one PNG, made without a display.

x points right and y up on the page. Annotated boxes have solid outlines and detected ones dashed, in two colours that
differ for the colour-blind too. A box that can turn has a tick at its front, one that moves an arrow as long as its
way in one second.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from scipy.ndimage import distance_transform_edt

from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.box_shapes import footprints, have_headings, ticks, velocity_lines
from vol3d.scans.results.detections import Detections
from vol3d.view.draw.labels import Label, place_labels
from vol3d.view.theme import THEMES, Background, Theme

_WIDTH, _TALLEST, _DPI = 10.0, 8.5, 110
_GAP, _HEAD, _FOOT = 0.3, 0.42, 0.42
_POINTS = 150_000
_HEIGHTS: dict[Background, LinearSegmentedColormap] = {
    "dark": LinearSegmentedColormap.from_list("heights", ["#2b3a4a", "#3f6d8e", "#5fa8a3", "#a8cf9a", "#f3efc3"]),
    "light": LinearSegmentedColormap.from_list("heights", ["#dfe7ec", "#b9cfdb", "#8fb4bd", "#6f958c", "#5d6f5c"]),
}
_ENDS: dict[Background, tuple[str, str]] = {"dark": ("dark", "bright"), "light": ("pale", "dark")}


@dataclass(frozen=True)
class TopViewStyle:
    """What is drawn of the points.

    Args:
        colour: points in their own colours (heights, where the cloud has none) or by height.
        cut_m: points higher than this above the floor are left out, so that one sees what is under a ceiling; the
            floor is at the 1st percentile of the heights.
        range_m: half the side of the square around the sensor at the origin, with rings; None: all of the scan.
        spread_m: how far a point colours the ground around it where there is no other.
    """

    colour: Literal["own", "height"] = "own"
    cut_m: float | None = None
    range_m: float | None = None
    spread_m: float = 0.05


ROOM = TopViewStyle(cut_m=2.0, spread_m=0.09)
STREET = TopViewStyle(colour="height", range_m=50.0, spread_m=0.15)


class _Stroke(NamedTuple):
    """How the boxes of one kind are drawn."""

    name: str
    colour: str
    line: tuple[float, tuple[float, ...]] | Literal["-"]
    width: float


_DASHES = (0.0, (3.2, 1.7))
_STROKES: dict[Background, tuple[_Stroke, _Stroke]] = {
    "dark": (_Stroke("annotated", "#56c1ff", "-", 1.7), _Stroke("detected", "#ffa62b", _DASHES, 1.7)),
    "light": (_Stroke("annotated", "#0068a8", "-", 1.7), _Stroke("detected", "#c84a00", _DASHES, 1.7)),
}
"""How boxes are drawn that are annotated, and that were detected."""


def draw_top_view(
    cloud: PointCloud,
    truth: Detections | None = None,
    found: Detections | None = None,
    title: str = "",
    style: TopViewStyle = TopViewStyle(),
    background: Background = "dark",
) -> bytes:
    """A PNG of the scan from above; where labels would cover one another, annotations and the surest boxes keep theirs.

    Args:
        cloud: points that are not finite are not drawn; of more than 150,000 every k-th is.
        truth: annotated boxes, labelled with their class; None: there is no annotation.
        found: detections, labelled with class and score; None: nothing was looked for.
        title: one line above the picture.
        style: what is drawn of the points.
        background: `light` for print and slides.
    """
    theme = THEMES[background]
    xyz, colours, legend = _points(cloud, style, background)
    low, high = _frame(xyz, truth, found, style)
    figure, ax = _layout(high - low, theme)
    _paint(ax, xyz, colours, low, high, style.spread_m)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    if style.range_m:
        _rings(ax, style.range_m, theme)
    entries, labels = [], []
    for boxes, stroke in zip((truth, found), _STROKES[background], strict=True):
        if boxes is not None:
            _boxes(ax, boxes, stroke, theme)
            labels += _labels(boxes, stroke, scored=boxes is found)
            entries.append(_entry(len(boxes), stroke))
    _write_labels(ax, labels, low, high, theme)
    _scale_bar(figure, ax, float(high[0] - low[0]), theme)
    _heading(figure, title, low, high, style, theme)
    _legend(figure, entries, legend, theme)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _points(cloud: PointCloud, style: TopViewStyle, background: Background) -> tuple[np.ndarray, np.ndarray, str]:
    """Points to draw from the lowest to the highest, their colours (n, 3) in 0 to 1, and what these mean."""
    step = max(1, -(-len(cloud) // _POINTS))
    xyz, rgb = cloud.xyz[::step], cloud.columns.get("rgb")
    kept = np.isfinite(xyz).all(axis=1)
    if style.cut_m is not None and kept.any():
        kept &= xyz[:, 2] <= np.percentile(xyz[kept, 2], 1) + style.cut_m
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(xyz[rows, 2], kind="stable")]
    heights = xyz[rows, 2]
    if style.colour == "own" and rgb is not None:
        dimmest = 0.06 if background == "dark" else 0.34  # so that boxes stand out
        return xyz[rows], dimmest + 0.66 * rgb[::step][rows].astype(np.float32) / 255, ""
    if not len(rows):
        return xyz[rows], np.zeros((0, 3)), ""
    bottom, top = (round(float(height), 1) + 0.0 for height in np.percentile(heights, [2, 98]))
    share = np.clip((heights - bottom) / max(top - bottom, 1e-6), 0, 1)
    lowest, highest = _ENDS[background]
    legend = f"points by height, {bottom:.1f} m ({lowest}) to {top:.1f} m ({highest})"
    return xyz[rows], _HEIGHTS[background](share)[:, :3], legend


def _frame(
    xyz: np.ndarray, truth: Detections | None, found: Detections | None, style: TopViewStyle
) -> tuple[np.ndarray, np.ndarray]:
    """Lower left and upper right of the picture, metres; stray points and stray detections do not widen it."""
    if style.range_m:
        return np.full(2, -style.range_m), np.full(2, style.range_m)
    parts = [np.percentile(xyz[:, :2], [0.3, 99.7], axis=0)] if len(xyz) else []
    parts += [footprints(truth.boxes).reshape(-1, 2)] if truth is not None and len(truth) else []
    if not parts and found is not None and len(found):
        parts = [footprints(found.boxes).reshape(-1, 2)]
    corners = np.concatenate(parts) if parts else np.array([(-1.0, -1.0), (1.0, 1.0)])
    low, high = corners.min(axis=0), corners.max(axis=0)
    longest = max(float((high - low).max()), 0.1)
    middle, side = (low + high) / 2, np.maximum(high - low, 0.35 * longest) + 0.06 * longest
    return middle - side / 2, middle + side / 2


def _layout(size: np.ndarray, theme: Theme) -> tuple[Figure, Axes]:
    """A figure whose axes have equal scales; its width is fixed."""
    scale = min((_WIDTH - 2 * _GAP) / size[0], _TALLEST / size[1])
    width, height = scale * size
    total = _HEAD + height + _FOOT
    figure = Figure(figsize=(_WIDTH, total), dpi=_DPI, facecolor=theme.ground)
    ax = figure.add_axes(((_WIDTH - width) / 2 / _WIDTH, _FOOT / total, width / _WIDTH, height / total))
    ax.set_axis_off()
    return figure, ax


def _paint(ax: Axes, xyz: np.ndarray, colours: np.ndarray, low: np.ndarray, high: np.ndarray, spread_m: float) -> None:
    """The highest point of each pixel; a pixel without one takes the colour of the nearest, if it is near."""
    pixel = (high[0] - low[0]) / ax.get_window_extent().width
    columns, rows = (int(n) for n in np.maximum(np.ceil((high - low) / pixel), 1))
    cells = np.floor((xyz[:, :2] - low) / pixel).astype(np.int64)
    inside = ((cells >= 0) & (cells < (columns, rows))).all(axis=1)
    if not inside.any():
        return
    highest = np.full((rows, columns), -1)
    highest[cells[inside, 1], cells[inside, 0]] = np.flatnonzero(inside)  # in order of height: the last one stays
    away, (y, x) = distance_transform_edt(highest < 0, return_indices=True)
    image = np.ones((rows, columns, 4), np.float32)
    image[..., :3] = colours[highest[y, x]]
    image[..., 3] = away <= max(spread_m / pixel, 1)
    extent = (low[0], low[0] + columns * pixel, low[1], low[1] + rows * pixel)
    ax.imshow(image, origin="lower", extent=extent, aspect="auto", interpolation="nearest", zorder=1)


def _rings(ax: Axes, range_m: float, theme: Theme) -> None:
    """Circles of equal distance from the sensor."""
    step = _round_length(range_m / 2.5)
    for radius in np.arange(step, range_m + 1e-6, step):
        turn = np.linspace(0, 2 * np.pi, 181)
        ax.plot(radius * np.cos(turn), radius * np.sin(turn), color=theme.muted, alpha=0.35, linewidth=0.7, zorder=2)
        side = -radius / np.sqrt(2)
        note = ax.text(side, -side, f"{radius:g} m", color=theme.muted, fontsize=8, ha="right", va="bottom", zorder=2)
        note.set_path_effects([withStroke(linewidth=2, foreground=theme.ground)])
    ax.plot([0], [0], marker="+", color=theme.ink, markersize=9, zorder=2)


def _boxes(ax: Axes, boxes: Detections, stroke: _Stroke, theme: Theme) -> None:
    table = boxes.boxes
    if not len(table):
        return

    outlines = list(footprints(table))
    halo = PolyCollection(outlines, facecolors="none", edgecolors=theme.ground, linewidths=stroke.width + 2.2)
    halo.set(alpha=0.75, zorder=3)
    lines = PolyCollection(outlines, facecolors="none", edgecolors=stroke.colour, linewidths=stroke.width)
    lines.set(linestyle=stroke.line, zorder=4)
    ax.add_collection(halo)
    ax.add_collection(lines)

    if have_headings(table):
        ends = list(ticks(table)[..., :2])
        ax.add_collection(LineCollection(ends, colors=stroke.colour, linewidths=stroke.width * 0.8, zorder=4))

    arrow = {"arrowstyle": "-|>", "color": stroke.colour, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
    for here, there in velocity_lines(table)[1][..., :2]:
        ax.annotate("", there, here, arrowprops=arrow, zorder=5, annotation_clip=True)


def _labels(boxes: Detections, stroke: _Stroke, scored: bool) -> list[Label]:
    return [
        Label(f"{name} {score:.2f}" if scored else name, stroke.colour, _anchor(box), float(score) if scored else 2.0)
        for name, score, box in zip(boxes.names(), boxes.scores, boxes.boxes.astype(np.float64), strict=True)
    ]


def _anchor(box: np.ndarray) -> tuple[float, float, float, float]:
    """The rectangle that a label keeps to: the box, or a square inside of one that stands askew."""
    askew = abs(np.sin(2 * box[6])) > 0.2
    size = np.full(2, box[3:5].min() / np.sqrt(2)) if askew else np.ptp(footprints(box[None])[0], axis=0)
    return (*(box[:2] - size / 2), *(box[:2] + size / 2))


def _write_labels(ax: Axes, labels: Sequence[Label], low: np.ndarray, high: np.ndarray, theme: Theme) -> None:
    per_point = (high[0] - low[0]) / (ax.get_window_extent().width * 72 / _DPI)  # metres in a point of the page
    for label, (x, y), size in place_labels(labels, per_point, (*low, *high)):
        text = ax.text(x, y, label.text, color=label.colour, fontsize=size, ha="left", va="bottom", zorder=6)
        text.set(parse_math=False, path_effects=[withStroke(linewidth=3, foreground=theme.ground)])


def _scale_bar(figure: Figure, ax: Axes, width_m: float, theme: Theme) -> None:
    """Below the picture, where it covers nothing."""
    length = _round_length(width_m / 6)
    share = length / width_m * ax.get_position().width
    name = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m" if length >= 1 else f"{length * 100:g} cm"
    y = 0.21 / figure.get_figheight()
    figure.add_artist(
        Line2D([0.5 - share / 2, 0.5 + share / 2], [y, y], color=theme.ink, linewidth=2.4, solid_capstyle="butt")
    )
    figure.text(0.5 + share / 2 + 0.008, y, name, color=theme.ink, fontsize=9, va="center")


def _round_length(at_most: float) -> float:
    """1, 2 or 5 times a power of ten."""
    decade = 10.0 ** np.floor(np.log10(at_most))
    return float(max(decade * step for step in (1, 2, 5) if decade * step <= at_most * (1 + 1e-9)))


def _heading(figure: Figure, title: str, low: np.ndarray, high: np.ndarray, style: TopViewStyle, theme: Theme) -> None:
    across, up = high - low
    cut = f", without points over {style.cut_m:g} m above the floor" if style.cut_m is not None else ""
    note = f"from above, {across:.3g} m x {up:.3g} m, x right, y up{cut}"
    start, top = _GAP / _WIDTH, 1 - 0.21 / figure.get_figheight()
    figure.text(start, top, title, color=theme.ink, fontsize=12, weight="bold", va="center", parse_math=False)
    figure.text(1 - start, top, note, color=theme.muted, fontsize=8.5, va="center", ha="right")


def _entry(count: int, stroke: _Stroke) -> Line2D:
    label = f"{stroke.name} ({count})"
    return Line2D([], [], color=stroke.colour, linestyle=stroke.line, linewidth=stroke.width, label=label)


def _legend(figure: Figure, entries: Sequence[Line2D], points: str, theme: Theme) -> None:
    if entries:
        figure.legend(
            handles=list(entries),
            loc="lower left",
            bbox_to_anchor=(_GAP / _WIDTH - 0.008, 0.0),
            ncols=len(entries),
            frameon=False,
            labelcolor=theme.ink,
            fontsize=9.5,
            handlelength=3,
            columnspacing=2,
        )
    if points:
        figure.text(
            1 - _GAP / _WIDTH,
            0.2 / figure.get_figheight(),
            points,
            color=theme.muted,
            fontsize=8.5,
            va="center",
            ha="right",
        )
