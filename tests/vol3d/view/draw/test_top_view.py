"""Scenes from above: boxes where they are, the floor visible, and a picture of anything there can be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.vol3d.view.scenes import pixels
from vol3d.geometry import footprint_corners
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.box_shapes import footprints
from vol3d.scans.results.detections import Detections
from vol3d.view.draw.labels import Label, around_box, place_labels
from vol3d.view.draw.text import text_width
from vol3d.view.draw.top_view import ROOM, STREET, TopViewStyle, draw_top_view

NAMES = ("chair", "table")
TRUTH, FOUND = "#56c1ff", "#ffa62b"


def coloured(picture: np.ndarray, colour: str) -> np.ndarray:
    """(n, 2) row and column of pixels of exactly this colour, the legend at the foot left out."""
    found = np.argwhere((picture == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=-1))
    return found[found[:, 0] < picture.shape[0] - 60]


def boxes(*rows: tuple[float, ...], scores: float = 1.0) -> Detections:
    table = np.array(rows, np.float32).reshape(len(rows), -1) if rows else np.zeros((0, 7), np.float32)
    n = len(table)
    return Detections(table, np.full(n, scores, np.float32), np.arange(n) % 2, NAMES)


def cloud(n: int = 2000, seed: int = 0, rgb: tuple[int, int, int] | None = None) -> PointCloud:
    xyz = np.random.default_rng(seed).uniform((-2, -2, 0), (2, 2, 1), (n, 3)).astype(np.float32)
    return PointCloud(xyz, {} if rgb is None else {"rgb": np.tile(np.array(rgb, np.uint8), (n, 1))})


def test_x_points_right_and_y_up():
    picture = pixels(draw_top_view(cloud(), boxes((1.2, 1.2, 0.5, 0.6, 0.6, 1, 0)), boxes((-1, -1, 0.5, 1, 1, 1, 0))))
    rows, columns = picture.shape[:2]
    truth, found = coloured(picture, TRUTH).mean(axis=0), coloured(picture, FOUND).mean(axis=0)
    assert truth[0] < rows / 2 < found[0] and found[1] < columns / 2 < truth[1]


def test_points_under_the_ceiling_are_seen_once_it_is_cut():
    low, high = cloud(seed=1), cloud(seed=2)
    both = PointCloud(
        np.concatenate([low.xyz, high.xyz + np.float32([0, 0, 2.5])]),
        {"rgb": np.repeat(np.array([(250, 0, 0), (0, 0, 250)], np.uint8), 2000, axis=0)},
    )
    red = [pixels(draw_top_view(both, style=style))[..., 0].mean() for style in (TopViewStyle(), ROOM)]
    blue = [pixels(draw_top_view(both, style=style))[..., 2].mean() for style in (TopViewStyle(), ROOM)]
    assert red[1] > 1.5 * red[0] and blue[1] < blue[0] / 2


def test_the_highest_point_is_what_one_sees():
    xyz = np.float32([(x, y, z) for z in (0, 1) for x in np.linspace(-1, 1, 40) for y in np.linspace(-1, 1, 40)])
    rgb = np.repeat(np.array([(250, 0, 0), (0, 250, 0)], np.uint8), 1600, axis=0)
    order = np.random.default_rng(0).permutation(3200)
    picture = pixels(draw_top_view(PointCloud(xyz[order], {"rgb": rgb[order]})))
    assert picture[..., 1].mean() > 5 * picture[..., 0].mean()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_footprints_are_those_of_the_geometry(seed: int):
    import torch

    table = np.random.default_rng(seed).uniform(0.1, 5, (7, 7))
    np.testing.assert_allclose(footprints(table), footprint_corners(torch.from_numpy(table)).numpy(), atol=1e-12)


@pytest.mark.parametrize("style", [TopViewStyle(), ROOM, STREET])
@pytest.mark.parametrize("points", [0, 1, 2000], ids=["no points", "one point", "many points"])
def test_anything_missing_is_drawn(style: TopViewStyle, points: int):
    some = boxes((1, 1, 0, 2, 1, 1, 0.4, 3, 0), (0, 0, 0, 0, 0, 0, 0, np.nan, np.nan))
    for truth, found in [(None, None), (boxes(), boxes()), (some, None), (None, some), (boxes(), some)]:
        assert draw_top_view(cloud(points), truth, found, r"$\frac <b>", style).startswith(b"\x89PNG")


def test_odd_clouds_are_drawn():
    xyz = cloud().xyz.copy()
    xyz[:5] = np.nan
    xyz[5] = np.inf
    same = np.ones((50, 3), np.float32)
    for points in (xyz, xyz * 1e5, xyz * 1e-4, same, np.full((3, 3), np.nan, np.float32)):
        assert draw_top_view(PointCloud(points), boxes(), style=ROOM).startswith(b"\x89PNG")


def test_a_stray_point_or_detection_does_not_shrink_the_scene():
    truth = boxes((1, 1, 0.5, 1, 1, 1, 0))
    wanted = coloured(pixels(draw_top_view(cloud(), truth, boxes())), TRUTH)
    stray = PointCloud(np.concatenate([cloud().xyz, np.float32([(400, 400, 0)])]))
    got = coloured(pixels(draw_top_view(stray, truth, boxes((900, 0, 0, 1, 1, 1, 0)))), TRUTH)
    assert abs(np.ptp(got[:, 0]) - np.ptp(wanted[:, 0])) < 10


def test_labels_do_not_cover_each_other_and_the_weightier_stay():
    labels = [Label(f"chair {i}", "#fff", (0.0, 0.0, 40.0, 40.0), i / 50) for i in range(50)]
    placed = place_labels(labels, 1.0, (-100.0, -100.0, 150.0, 150.0))
    assert 3 < len(placed) < 50
    weights = [label.weight for label, _, _ in placed]
    assert weights == sorted(weights, reverse=True) and weights[0] == 49 / 50
    areas = [(x, y, x + size * text_width(label.text), y + 1.15 * size) for label, (x, y), size in placed]
    for i, a in enumerate(areas):
        assert min(a[:2]) >= -100 and max(a[2:]) <= 150
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in areas[:i])


def test_texts_are_as_wide_as_they_are_drawn():
    figure = Figure(dpi=100)
    for text, bold in (("REGULAR_VEHICLE 44", False), ("illi 1", True), ("a $x$ b", False), ("", False)):
        drawn = figure.text(0, 0, text, fontsize=20, weight="bold" if bold else "normal", parse_math=False)
        extent = drawn.get_window_extent(FigureCanvasAgg(figure).get_renderer())
        assert 20 * 100 / 72 * text_width(text, bold) == pytest.approx(extent.width, rel=0.05)


def test_a_label_keeps_to_the_upper_edge_of_its_box():
    upright = np.array([(x, y) for x in (0, 4) for y in (0, 1, 9, 10)], float)
    assert around_box(upright) == (0, 0, 4, 10)
    askew = np.array([(0, 5), (5, 10), (10, 5), (5, 0)] * 2, float)
    assert around_box(askew) == (5, 0, 5, 10)
    ((_, (x, y), _),) = place_labels([Label("bed", "#fff", around_box(askew), 1.0)], 0.1, (0.0, 0.0, 20.0, 20.0))
    assert x == 5 and y > 10


def test_a_row_of_equal_boxes_is_named_once():
    row = [Label("barrier", "#fff", (float(x), 0.0, x + 4.0, 2.0), 1.0) for x in range(0, 25, 5)]
    assert len(place_labels(row, 1.0, (-200.0, -200.0, 200.0, 200.0))) == 1
    assert place_labels([], 1.0, (0.0, 0.0, 1.0, 1.0)) == []


def test_a_real_room(data_root: Path):
    meta = json.loads((data_root / "scannet/scene0000_00.json").read_text())
    raw = np.fromfile(data_root / "scannet/scene0000_00.bin", np.float32).reshape(-1, 6)
    turn = np.array(meta["axis_align_matrix"])
    xyz = (raw[:, :3] @ turn[:3, :3].T + turn[:3, 3]).astype(np.float32)
    truth = boxes(*[(*instance["bbox_3d"], 0) for instance in meta["instances"]])
    picture = draw_top_view(PointCloud(xyz, {"rgb": raw[:, 3:].astype(np.uint8)}), truth, boxes(), "room", ROOM)
    assert len(coloured(pixels(picture), TRUTH)) > 2000 and len(picture) < 3 << 20


def test_no_pyplot_and_no_torch():
    code = (
        "import sys, vol3d.view.draw.top_view; print([m for m in ('matplotlib.pyplot', 'torch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("style", [ROOM, STREET])
def test_on_light_all_is_dark_on_white(style: TopViewStyle):
    rng = np.random.default_rng(0)
    points = PointCloud(rng.uniform(-20, 20, (4000, 3)).astype(np.float32), {"rgb": np.full((4000, 3), 255, np.uint8)})
    one = boxes((0, 0, 0.5, 6, 4, 1, 0.2))
    dark, light = (pixels(draw_top_view(points, one, one, "a title", style, shade)) for shade in ("dark", "light"))
    assert dark[:20].mean() < 60 and light[:20].mean() > 220  # the line of the title
    assert (light == 255).all(axis=2).mean() > 0.1 and (light.max(axis=2) < 60).any()
    assert all(len(coloured(light, colour)) for colour in ("#0068a8", "#c84a00"))
