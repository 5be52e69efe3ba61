"""The drawings of `docs/conventions.md`: `python -m docs.site.drawings` writes them, a test compares them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "pictures" / "conventions"
INK, MUTED, X, Y, Z, BOX = "#1f2933", "#7b8794", "#c0392b", "#2d7d46", "#2563a8", "#b7791f"
Point = tuple[float, float]


def drawings() -> dict[str, str]:
    """File name -> SVG."""
    return {"box.svg": box(), "scanners.svg": scanners(), "grid.svg": grid(), "affine.svg": affine()}


def box() -> str:
    """A box from above, with its length along the heading and the yaw from +x, and the same box from the side."""
    yaw, centre, length, width = math.radians(30), (215.0, 150.0), 150.0, 70.0
    ends = [_turned(centre, yaw, dx * length / 2, dy * width / 2) for dx, dy in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    front, left = _turned(centre, yaw, length / 2 + 45, 0), _turned(centre, yaw, 0, width / 2)
    arc = _turned(centre, yaw, 52, 0)
    above = [
        _text((16, 26), "From above", INK, 15, weight="bold"),
        *_axes((40, 250), (("x", X, (70, 0)), ("y", Y, (0, -70)))),
        _polygon(ends, BOX),
        _line(centre, (centre[0] + 110, centre[1]), MUTED, dash=True),
        _arrow(centre, front, BOX),
        _text((front[0] + 6, front[1]), "heading", BOX),
        _arc((centre[0] + 52, centre[1]), arc, 52),
        _text((centre[0] + 58, centre[1] - 10), "yaw", INK),
        _text(_turned(centre, yaw, -30, -width / 2 - 16), "l", INK, 15, weight="bold"),
        _text(_turned(centre, yaw, -length / 2 - 14, 0), "w", INK, 15, weight="bold"),
        _dot(centre),
        _text((centre[0] - 52, centre[1] + 22), "(x, y)", INK),
        _line(centre, left, MUTED, dash=True),
    ]
    side = [
        _text((430, 26), "From the side", INK, 15, weight="bold"),
        *_axes((450, 250), (("z", Z, (0, -70)), ("", MUTED, (70, 0)))),
        _polygon([(510, 110), (660, 110), (660, 210), (510, 210)], BOX),
        _line((430, 210), (700, 210), MUTED, dash=True),
        _text((640, 228), "ground", MUTED),
        _dot((585, 160)),
        _text((593, 156), "z: the middle", INK),
        _arrow((680, 160), (680, 110), INK),
        _arrow((680, 160), (680, 210), INK),
        _text((688, 164), "h", INK, 15, weight="bold"),
    ]
    return _svg(740, 280, [*above, *side], "A box is x y z l w h yaw: centre, length along the heading, yaw from +x")


def scanners() -> str:
    """The axes of four data sets around the same car, each from above."""
    parts = []
    frames = (
        ("KITTI, Argoverse 2", (("x", X, (0, -62)), ("y", Y, (-62, 0)))),
        ("nuScenes", (("x", X, (62, 0)), ("y", Y, (0, -62)))),
        ("KITTI's camera (y points down)", (("x", X, (62, 0)), ("z", Z, (0, -62)))),
    )
    for number, (title, axes) in enumerate(frames):
        middle = (125.0 + 245 * number, 150.0)
        corners = [(middle[0] + dx * 24, middle[1] + dy * 48) for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        parts += [_polygon(corners, MUTED), _text((middle[0], 26), title, INK, 14, weight="bold", anchor="middle")]
        parts += [*_axes(middle, axes), _text((middle[0], 225), "the car drives up the page", MUTED, anchor="middle")]
    return _svg(740, 245, parts, "The LiDAR axes of KITTI and Argoverse 2 and of nuScenes, and KITTI's camera axes")


def grid() -> str:
    """Points, the voxels that they fall into, and the same points in pillars."""
    points = [(62, 178), (70, 150), (96, 178), (108, 115), (92, 100), (171, 183), (186, 176), (214, 66), (220, 80)]
    step, left, top = 40, 40, 50
    parts = []
    for offset, title, tall in ((0, "Voxels: a cell in x, y and z", False), (380, "Pillars: one cell for all z", True)):
        parts.append(_text((left + offset, 28), title, INK, 15, weight="bold"))
        cells = {((x - left) // step, 0 if tall else (y - top) // step) for x, y in points}
        for column, row in sorted(cells):
            height = 4 * step if tall else step
            x, y = left + offset + column * step, top + row * step
            parts.append(f'<rect x="{x}" y="{y}" width="{step}" height="{height}" fill="{BOX}" fill-opacity="0.3"/>')
        rows = (0, 4) if tall else range(5)
        parts += [
            _line((left + offset, top + r * step), (left + offset + 5 * step, top + r * step), MUTED) for r in rows
        ]
        parts += [
            _line((left + offset + c * step, top), (left + offset + c * step, top + 4 * step), MUTED) for c in range(6)
        ]
        parts += [_dot((x + offset, y)) for x, y in points]
        parts.append(_text((left + offset, 232), "x_min", X))
        parts.append(_text((left + offset + 200, 232), "x_max", X, anchor="middle"))
        parts.append(_text((left + offset + 208, 214), "z_min", Z))
        parts.append(_text((left + offset + 208, 56), "z_max", Z))
    parts.append(
        _text(
            (left, 262), "Only occupied cells are stored. A point at x_min is inside, a point at x_max is outside.", INK
        )
    )
    return _svg(740, 280, parts, "Points on a grid of voxels and of pillars, seen from the side")


def affine() -> str:
    """A slice in voxel indices, and where the affine puts it in the patient."""
    step, start = 22.0, (50.0, 60.0)
    cells = [
        _line((start[0] + n * step, start[1]), (start[0] + n * step, start[1] + 6 * step), MUTED) for n in range(9)
    ]
    cells += [
        _line((start[0], start[1] + n * step), (start[0] + 8 * step, start[1] + n * step), MUTED) for n in range(7)
    ]
    turn, origin = math.radians(14), (510.0, 215.0)

    def placed(i: float, j: float) -> Point:
        return _turned(origin, turn, i * 26, j * 22)

    lines = [_line(placed(n, 0), placed(n, 6), MUTED) for n in range(9)]
    lines += [_line(placed(0, n), placed(8, n), MUTED) for n in range(7)]
    marked = (start[0] + 5.5 * step, start[1] + 2.5 * step)
    parts = [
        _text((50, 28), "Array: voxel (i, j, k)", INK, 15, weight="bold"),
        *cells,
        *_axes((50, 60), (("i", INK, (60, 0)), ("j", INK, (0, 60)))),
        _dot(marked),
        _arrow((260, 130), (405, 130), INK),
        _text((332, 116), "4 x 4 affine", INK, 14, weight="bold", anchor="middle"),
        _text((332, 152), "(x, y, z, 1) =", INK, anchor="middle"),
        _text((332, 170), "A (i, j, k, 1)", INK, anchor="middle"),
        _text((440, 28), "Patient: millimetres, RAS", INK, 15, weight="bold"),
        *lines,
        _dot(placed(5.5, 2.5)),
        *_axes((440, 262), (("x", X, (70, 0)), ("y", Y, (0, -60)))),
        _text((540, 266), "x right, y front, z head (R, A, S)", INK),
    ]
    return _svg(740, 290, parts, "The affine leads from voxel indices to millimetres in the patient")


def write() -> None:
    """All drawings, as files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in drawings().items():
        (FOLDER / name).write_text(text, "utf-8")


def _turned(centre: Point, yaw: float, along: float, across: float) -> Point:
    """A place given along and to the left of a heading; y of the page points down."""
    cos, sin = math.cos(yaw), math.sin(yaw)
    return centre[0] + along * cos - across * sin, centre[1] - along * sin - across * cos


def _axes(origin: Point, axes: Iterable[tuple[str, str, Point]]) -> list[str]:
    parts = []
    for name, colour, (dx, dy) in axes:
        end = (origin[0] + dx, origin[1] + dy)
        place = (end[0] + (6 if dx > 0 else -14 if dx < 0 else 6), end[1] + (4 if dx else 18 if dy > 0 else 2))
        parts += [_arrow(origin, end, colour), _text(place, name, colour, 14, weight="bold")]
    return parts


def _arrow(start: Point, end: Point, colour: str) -> str:
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    wings = [(end[0] - 9 * math.cos(angle + turn), end[1] - 9 * math.sin(angle + turn)) for turn in (0.4, -0.4)]
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in (end, *wings))
    return f'{_line(start, end, colour, width=2)}<polygon points="{head}" fill="{colour}"/>'


def _arc(start: Point, end: Point, radius: int) -> str:
    way = f"M{start[0]:.1f} {start[1]:.1f} A{radius} {radius} 0 0 0 {end[0]:.1f} {end[1]:.1f}"
    return f'<path d="{way}" fill="none" stroke="{INK}"/>'


def _line(start: Point, end: Point, colour: str, dash: bool = False, width: float = 1) -> str:
    dashes = ' stroke-dasharray="4 3"' if dash else ""
    ends = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"{dashes}/>'


def _polygon(corners: Iterable[Point], colour: str) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return f'<polygon points="{points}" fill="{colour}" fill-opacity="0.12" stroke="{colour}" stroke-width="2"/>'


def _dot(place: Point) -> str:
    return f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="3.5" fill="{INK}"/>'


def _text(place: Point, text: str, colour: str, size: int = 13, weight: str = "normal", anchor: str = "start") -> str:
    style = f'fill="{colour}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" {style}>{text}</text>'


def _svg(width: int, height: int, parts: Iterable[str], title: str) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" role="img">'
    )
    ground = f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>'
    return "\n".join([head, f"<title>{title}</title>", ground, *parts, "</svg>", ""])


if __name__ == "__main__":
    write()
