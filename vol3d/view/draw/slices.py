"""Three planes of a volume with the outlines of its masks, as one PNG, made without a display or a copy of the volume.

Pictures follow the radiological convention (the patient's right is on the left of the picture), and are labelled so.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from scipy.ndimage import distance_transform_edt

from vol3d.errors import UsageError
from vol3d.scans.results.palette import class_colours
from vol3d.scans.volumes.appearance import grey_window
from vol3d.view.draw.text import text_width
from vol3d.view.theme import DARK, Theme

_WIDTH_INCH, _COLUMNS = 10.0, 5
_LEGEND_PT, _TITLE_PT, _NOTE_PT, _NUMBER_PT = 9.0, 12.0, 8.5, 6.5
_HANDLE, _BETWEEN = 2.6, 1.6  # of the legend: length of a line and space between columns, in font sizes
# Dash pattern (offset, on and off in points) and width of the first, second and third mask's outlines.
_Dashes = tuple[float, tuple[float, ...]] | Literal["-", ":"]
_STYLES: tuple[tuple[_Dashes, float], ...] = (("-", 2.0), ((0.0, (3.0, 1.6)), 1.5), (":", 1.8))
# Name; axis across the page, axis up the page; letters left, right, top, bottom. All axes are RAS.
_PLANES = (
    ("axial", 0, 1, "RLAP"),
    ("coronal", 0, 2, "RLSI"),
    ("sagittal", 1, 2, "APSI"),
)
_OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}


def slice_picture(
    image: np.ndarray,
    spacing_mm: Sequence[float],
    masks: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    title: str,
    orientation: str,
    window: tuple[float, float] | None = None,
    theme: Theme = DARK,
    width_px: int = 1100,
) -> bytes:
    """A PNG of the axial, coronal and sagittal plane through the middle of the foreground, all at one scale.

    Where there are more classes than colours, the outlines are numbered.

    Args:
        image: (i, j, k) voxels of any real type; non-finite ones are shown black.
        spacing_mm: edge lengths of a voxel along i, j, k.
        masks: name -> (i, j, k) integer labels; the first is drawn solid, the second dashed, the third dotted.
            The planes go through the first of them that has any foreground, else through the middle of the image.
        class_names: `class_names[label]`, background first.
        title: one line above the planes.
        orientation: where i, j, k point to, `RAS` for right, anterior, superior.
        window: values that are black and white; None: soft tissue in CT, else percentiles around the foreground.
        theme: of what is around the planes; they are black where the image is.
        width_px: of the picture, which is as high as it takes.

    Raises:
        UsageError: image, masks, spacing or orientation do not fit together.
    """
    _check(image, spacing_mm, masks, orientation)
    image, order = _to_ras(image, orientation)
    masks = {name: _to_ras(mask, orientation)[0] for name, mask in masks.items()}
    spacing = tuple(float(spacing_mm[axis]) for axis in order)
    centre, box = _middle(image.shape, masks)
    planes = [_cut(image, masks, spacing, centre, box, *plane) for plane in _PLANES]
    low, high = window or grey_window(image, np.concatenate([plane.seen() for plane in planes]))
    labels = sorted(
        {int(label) for plane in planes for mask in plane.masks.values() for label in np.unique(mask)} - {0}
    )
    listed = class_colours(tuple(masks), max([len(class_names) - 1, *labels]))
    colours = {key: theme.shown(colour) for key, colour in listed.items()}
    entries = _legend_entries(masks, labels, class_names, colours, theme)
    columns = _columns(entries)
    figure = Figure(dpi=width_px / _WIDTH_INCH, facecolor=theme.ground)
    note = f"the patient's right is on the left (radiological convention); grey values {low:.4g} to {high:.4g}"
    axes = _layout(figure, planes, (title, note), -(-len(entries) // columns), theme)
    for ax, plane in zip(axes, planes, strict=True):
        _draw(ax, plane, low, high, colours, theme)
        if _repeat(labels, colours):
            _number(ax, plane)
    _scale_bar(axes[0], planes[0])
    _legend(figure, entries, columns, theme)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


@dataclass(frozen=True)
class _Plane:
    """One cut, rows from bottom to top and columns from left to right of the picture; sizes in mm."""

    name: str
    letters: str
    where: str
    pixels: np.ndarray
    masks: dict[str, np.ndarray]
    size_mm: tuple[float, float]
    focus: np.ndarray

    def seen(self) -> np.ndarray:
        """The finite values around the foreground, where air does not drown tissue."""
        return self.focus[np.isfinite(self.focus)]


def _check(image: np.ndarray, spacing_mm: Sequence[float], masks: Mapping[str, np.ndarray], orientation: str) -> None:
    if image.ndim != 3 or 0 in image.shape:
        raise UsageError("cannot draw this image", got=f"shape {image.shape}", wanted="(i, j, k), none of them 0")
    for name, mask in masks.items():
        if mask.shape != image.shape:
            raise UsageError(f"mask '{name}' is not on the image's grid", got=mask.shape, wanted=image.shape)
    _check_axes(spacing_mm, orientation)


def _check_axes(spacing_mm: Sequence[float], orientation: str) -> None:
    if len(spacing_mm) != 3 or not all(np.isfinite(value) and value > 0 for value in spacing_mm):
        raise UsageError("spacing_mm must be three positive lengths", got=tuple(spacing_mm))
    axes = {frozenset((letter, _OPPOSITE.get(letter, ""))) for letter in orientation}
    if len(orientation) != 3 or len(axes) != 3 or not set(orientation) <= set(_OPPOSITE):
        raise UsageError("orientation must name three axes", got=repr(orientation), wanted="like 'RAS' or 'LPI'")


def _to_ras(array: np.ndarray, orientation: str) -> tuple[np.ndarray, tuple[int, ...]]:
    """A view with axes right, anterior, superior, and which axis of `array` each of them was."""
    order = tuple(
        next(axis for axis, letter in enumerate(orientation) if letter in (wanted, _OPPOSITE[wanted]))
        for wanted in "RAS"
    )
    flips = tuple(slice(None, None, 1 if orientation[axis] in "RAS" else -1) for axis in order)
    return array.transpose(order)[flips], order


def _middle(shape: tuple[int, ...], masks: Mapping[str, np.ndarray]) -> tuple[list[int], list[slice]]:
    """The plane of each axis that halves the foreground, so that none of them misses it, and the foreground's box."""
    for mask in masks.values():
        counts = [np.zeros(n, dtype=np.int64) for n in shape]
        for i in range(shape[0]):  # plane by plane: a mask of the whole volume would double the memory
            plane = mask[i] != 0
            counts[0][i] = np.count_nonzero(plane)
            counts[1] += np.count_nonzero(plane, axis=1)
            counts[2] += np.count_nonzero(plane, axis=0)
        if counts[0].any():
            centre = [int(np.searchsorted(np.cumsum(c), c.sum() / 2)) for c in counts]
            ends = [np.flatnonzero(c)[[0, -1]] for c in counts]
            return centre, [slice(int(first), int(last) + 1) for first, last in ends]
    return [n // 2 for n in shape], [slice(0, n) for n in shape]


def _cut(
    image: np.ndarray,
    masks: Mapping[str, np.ndarray],
    spacing: tuple[float, ...],
    centre: list[int],
    box: list[slice],
    name: str,
    across: int,
    up: int,
    letters: str,
) -> _Plane:
    normal = 3 - across - up
    step = -1  # right and anterior stand on the left of the picture

    def cut(array: np.ndarray) -> np.ndarray:
        return np.take(array, centre[normal], axis=normal).T[:, ::step]  # (up, across)

    pixels = np.nan_to_num(cut(image).astype(np.float32), nan=np.nan, posinf=np.nan, neginf=np.nan)
    margins = [max(4, (box[axis].stop - box[axis].start) // 2) for axis in (up, across)]
    near = [
        slice(max(0, box[axis].start - m), box[axis].stop + m) for axis, m in zip((up, across), margins, strict=True)
    ]
    return _Plane(
        name=name,
        letters=letters,
        where=f"{name}, slice {centre[normal] + 1} of {image.shape[normal]}",
        pixels=pixels,
        masks={key: cut(mask) for key, mask in masks.items()},
        size_mm=(image.shape[across] * spacing[across], image.shape[up] * spacing[up]),
        focus=pixels[:, ::step][near[0], near[1]],
    )


def _layout(
    figure: Figure, planes: Sequence[_Plane], heading: tuple[str, str], legend_rows: int, theme: Theme
) -> list[Axes]:
    """Panels that share one scale, so that a millimetre is a millimetre in all of them; gives the figure its size.

    Args:
        heading: title and note, on one line if it holds both.
    """
    gap, foot = 0.3, 0.3 + 0.22 * legend_rows
    title, note = heading
    usable = _WIDTH_INCH - 2 * gap
    of_title, of_note = _inches(title, _TITLE_PT, bold=True), _inches(note, _NOTE_PT)
    lines = 1 if of_title + gap + of_note <= usable else 2
    head = 0.2 + 0.22 * lines
    widths, tallest = [plane.size_mm[0] for plane in planes], max(plane.size_mm[1] for plane in planes)
    scale = min((_WIDTH_INCH - gap * (len(planes) + 1)) / sum(widths), 6.0 / tallest)
    height = scale * tallest
    total = head + 0.3 + height + foot
    figure.set_size_inches(_WIDTH_INCH, total)
    left = (_WIDTH_INCH - scale * sum(widths) - gap * (len(planes) - 1)) / 2
    axes = []
    for plane in planes:
        width, tall = scale * plane.size_mm[0], scale * plane.size_mm[1]
        bottom = foot + (height - tall) / 2
        axes.append(figure.add_axes((left / _WIDTH_INCH, bottom / total, width / _WIDTH_INCH, tall / total)))
        left += width + gap
    start, size = gap / _WIDTH_INCH, _TITLE_PT * min(1.0, usable / max(of_title, 1e-9))
    above = figure.text(start, 1 - 0.2 / total, title, color=theme.ink, fontsize=size, weight="bold", va="center")
    above.set_parse_math(False)
    place = (1 - start, 1 - 0.2 / total, "right") if lines == 1 else (start, 1 - 0.42 / total, "left")
    figure.text(*place[:2], note, color=theme.muted, fontsize=_NOTE_PT, va="center", ha=place[2])
    return axes


def _inches(text: str, points: float, bold: bool = False) -> float:
    return points / 72 * text_width(text, bold)


def _draw(
    ax: Axes, plane: _Plane, low: float, high: float, colours: Mapping[tuple[str, int], str], theme: Theme
) -> None:
    width, height = plane.size_mm
    pixels = np.nan_to_num(plane.pixels, nan=low)
    ax.imshow(pixels, cmap="gray", vmin=low, vmax=high, origin="lower", extent=(0, width, 0, height), aspect="auto")
    rows, columns = plane.pixels.shape
    # One empty voxel around, so that an outline closes at the border and a plane one voxel wide has one.
    x = (np.arange(-1, columns + 1) + 0.5) * width / columns
    y = (np.arange(-1, rows + 1) + 0.5) * height / rows
    for (name, mask), (style, line) in zip(plane.masks.items(), _STYLES, strict=False):
        for label in np.unique(mask[mask != 0]):
            inside = np.pad(mask == label, 1).astype(np.float32)
            colour = colours[name, int(label)]
            ax.contour(x, y, inside, levels=[0.5], colors=[colour], linewidths=line, linestyles=[style])
    ax.set(xlim=(0, width), ylim=(0, height), xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(plane.where, color=theme.muted, fontsize=8.5, pad=4)
    box = {"boxstyle": "round,pad=0.15", "facecolor": DARK.ground, "edgecolor": "none", "alpha": 0.55}
    edges = (((0, 0.5), (10, 0)), ((1, 0.5), (-10, 0)), ((0.5, 1), (0, -10)), ((0.5, 0), (0, 10)))
    for letter, (edge, inwards) in zip(plane.letters, edges, strict=True):
        text = ax.annotate(letter, edge, inwards, "axes fraction", "offset points", ha="center", va="center")
        text.set(color=DARK.ink, fontsize=9, bbox=box)


def _scale_bar(ax: Axes, plane: _Plane) -> None:
    """A bar of a round length, about a quarter of the plane's width."""
    width, height = plane.size_mm
    decade = 10.0 ** np.floor(np.log10(width / 4))
    length = max(decade * step for step in (1, 2, 5) if decade * step <= width / 4)
    x, y = 0.06 * width, 0.05 * height
    halo = [withStroke(linewidth=4, foreground=DARK.ground, alpha=0.55)]
    ax.plot([x, x + length], [y, y], color=DARK.ink, linewidth=2, solid_capstyle="butt", path_effects=halo)
    name = f"{length:g} mm"
    ax.text(x, y + 0.02 * height, name, color=DARK.ink, fontsize=8, va="bottom", path_effects=halo)


def _repeat(labels: Sequence[int], colours: Mapping[tuple[str, int], str]) -> bool:
    """Whether two of the labels have one colour, in the same mask."""
    first = next(iter(colours), ("", 0))[0]
    return len({colours[first, label] for label in labels}) < len(labels)


def _number(ax: Axes, plane: _Plane) -> None:
    """The label of each region of the first mask, where it has most room; one that would cover another is left out."""
    mask = next(iter(plane.masks.values()))
    (width, height), (rows, columns) = plane.size_mm, mask.shape
    spacing = (height / rows, width / columns)
    regions = []
    for label in np.unique(mask[mask != 0]):
        room = distance_transform_edt(np.pad(mask == label, 1), sampling=spacing)
        row, column = np.unravel_index(int(room.argmax()), room.shape)
        regions.append((float(room.max()), int(label), (column - 0.5) * spacing[1], (row - 0.5) * spacing[0]))

    mm_of_point = width / (ax.get_window_extent().width / ax.figure.dpi * 72)
    least = np.array((text_width("000"), 1.2)) * _NUMBER_PT * mm_of_point
    taken = np.zeros((0, 2))
    for _, label, x, y in sorted(regions, key=lambda region: -region[0]):
        if (np.abs(taken - (x, y)) < least).all(axis=1).any():
            continue
        taken = np.concatenate((taken, [(x, y)]))
        text = ax.text(x, y, str(label), color=DARK.ink, fontsize=_NUMBER_PT, ha="center", va="center")
        text.set_path_effects([withStroke(linewidth=2, foreground=DARK.ground)])


def _legend_entries(
    masks: Mapping[str, np.ndarray],
    labels: Sequence[int],
    class_names: Sequence[str],
    colours: Mapping[tuple[str, int], str],
    theme: Theme,
) -> list[Line2D]:
    """One line per mask and class; where the masks share the colours, one per class and one per mask."""
    names = _shown_names(labels, class_names, _repeat(labels, colours))
    lines = [(mask, style, width) for mask, (style, width) in zip(masks, _STYLES, strict=False)]
    if not labels:
        return []
    if len(lines) == 1 or colours[lines[0][0], labels[0]] != colours[lines[1][0], labels[0]]:
        entries = [(mask, label, style, width) for mask, style, width in lines for label in labels]
        return [
            Line2D([], [], color=colours[mask, label], linestyle=style, linewidth=width, label=text)
            for mask, label, style, width in entries
            for text in [names[label] if len(lines) == 1 else f"{mask}: {names[label]}"]
        ]
    classes = [Line2D([], [], color=colours[lines[0][0], label], linewidth=4, label=names[label]) for label in labels]
    return classes + [
        Line2D([], [], color=theme.ink, linestyle=style, linewidth=width, label=mask) for mask, style, width in lines
    ]


def _shown_names(labels: Sequence[int], class_names: Sequence[str], numbered: bool) -> dict[int, str]:
    """Label -> class name, with the label before it where outlines are numbered."""
    nameless = {label: f"label {label}" for label in labels}
    names = {label: class_names[label] for label in labels if label < len(class_names)}
    if numbered:
        names = {label: f"{label} {name}" for label, name in names.items() if name != nameless[label]}
    return nameless | names


def _columns(entries: Sequence[Line2D]) -> int:
    """How many columns of the legend fit."""
    widest = max((_inches(str(entry.get_label()), _LEGEND_PT) for entry in entries), default=0.0)
    column = widest + (_HANDLE + 0.8 + _BETWEEN) * _LEGEND_PT / 72
    return max(1, min(len(entries), _COLUMNS, int((_WIDTH_INCH - 0.3) / column)))


def _legend(figure: Figure, entries: Sequence[Line2D], columns: int, theme: Theme) -> None:
    if not entries:
        return
    legend = figure.legend(
        handles=entries,
        loc="lower center",
        ncols=columns,
        frameon=False,
        labelcolor=theme.ink,
        fontsize=_LEGEND_PT,
        handlelength=_HANDLE,
        columnspacing=_BETWEEN,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
