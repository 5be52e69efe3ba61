"""The picture without a display: near points before far ones, everything inside, colours where they belong."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.vol3d.view.scenes import organs, pixels, room
from vol3d.errors import UsageError
from vol3d.scans.results.box_shapes import box_lines, corners, velocity_lines
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.palette import class_colours
from vol3d.view.draw import picture
from vol3d.view.draw.boxes import label_weights
from vol3d.view.draw.camera import View, place_camera
from vol3d.view.draw.colours import hex_table, point_colours, ramp
from vol3d.view.draw.labels import Label
from vol3d.view.draw.margins import measure, write_margins
from vol3d.view.draw.picture import draw_scene
from vol3d.view.draw.raster import draw_points, draw_surfaces, point_radius
from vol3d.view.draw.surfaces import Surface, organ_surfaces, surface_net
from vol3d.view.scene import FOUND, BoxLayer, Camera, Opening, PointLayer, ViewScene
from vol3d.view.theme import DARK

GROUND = (0, 0, 0)


def ahead(size: tuple[int, int] = (64, 48)) -> View:
    """An eye at the origin that looks along +y, z up."""
    return View(np.zeros(3), np.array([(1.0, 0, 0), (0, 0, -1), (0, 1, 0)]), 50.0, size, 0.01)


def test_a_point_lands_where_a_pinhole_puts_it():
    at, depth = ahead().project(np.array([(0.2, 2.0, 0.1), (0.0, -1.0, 0.0)]))
    np.testing.assert_allclose(at[0], (32 + 50 * 0.1, 24 - 50 * 0.05))
    assert depth[0] == 2 and np.isnan(depth[1])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_point_hides_the_farther_whatever_their_order(order: tuple[int, int]):
    xyz = np.array([(0, 2.0, 0), (0, 5.0, 0)])[list(order)]
    rgb = np.array([(255, 0, 0), (0, 255, 0)], np.uint8)[list(order)]
    picture, depth = draw_points(ahead(), xyz, rgb, 0.05, GROUND)
    assert tuple(picture[24, 32]) == (255, 0, 0)
    assert depth[24, 32] == pytest.approx(2, abs=0.06)


def test_discs_shrink_with_the_distance():
    sizes = []
    for distance in (1.0, 2.0, 4.0):
        _, depth = draw_points(ahead(), np.array([(0, distance, 0)]), np.zeros((1, 3), np.uint8), 0.1, GROUND)
        sizes.append(int(np.isfinite(depth).sum()))
    assert sizes[0] > 2 * sizes[1] > 4 * sizes[2] > 0


def test_no_point_and_points_behind_the_eye_leave_the_ground():
    for xyz in (np.zeros((0, 3)), np.array([(0.0, -3.0, 0.0)])):
        picture, depth = draw_points(ahead(), xyz, np.zeros((len(xyz), 3), np.uint8), 0.1, (1, 2, 3))
        assert (picture == (1, 2, 3)).all() and np.isinf(depth).all()


def test_edges_in_depth_are_darker_than_flat_ground():
    x, z = (axis.ravel() for axis in np.meshgrid(np.linspace(-2, 2, 200), np.linspace(-2, 2, 200)))
    far = np.c_[x, np.full_like(x, 4.0), z]
    near = np.c_[x / 4, np.full_like(x, 2.0), z / 4]
    xyz = np.concatenate((far, near))
    picture, _ = draw_points(ahead(), xyz, np.full((len(xyz), 3), 200, np.uint8), 0.03, GROUND)
    assert tuple(picture[24, 32]) == (200, 200, 200)
    assert picture[24, :, 0].min() < 150


@given(
    st.integers(0, 2**32 - 1),
    st.floats(-180, 180),
    st.floats(5, 85),
    st.sampled_from([(300, 200), (200, 400), (128, 128)]),
)
def test_everything_that_must_be_seen_is_in_the_picture(seed: int, azimuth: float, elevation: float, size):
    rng = np.random.default_rng(seed)
    hold = rng.normal(size=(30, 3)) * rng.uniform(0.01, 50, 3) + rng.uniform(-100, 100, 3)
    at, depth = place_camera(Camera(azimuth, elevation), np.zeros((0, 3)), size, hold).project(hold)
    assert np.isfinite(depth).all()
    assert (at >= 0).all() and (at <= size).all()


def test_the_camera_stands_where_it_is_told_and_copes_with_one_point():
    cube = corners(np.array([(0, 0, 0, 2, 2, 2, 0)]))
    for azimuth, expected in ((0.0, (1, 0)), (90.0, (0, 1))):
        view = place_camera(Camera(azimuth, 0.0), np.zeros((0, 3)), (100, 100), cube)
        np.testing.assert_allclose(view.eye[:2] / np.linalg.norm(view.eye[:2]), expected, atol=1e-6)
    for points in (np.zeros((0, 3)), np.ones((1, 3)), np.ones((9, 3))):
        view = place_camera(Camera(), points, (100, 100))
        assert np.isfinite(view.eye).all()


def test_the_side_without_a_wall_is_found():
    view = place_camera(Camera(elevation=15.0), room().points[0].xyz, (200, 150))
    assert view.eye[1] < 4  # the wall stands at y = 4


def test_corners_are_those_of_the_geometry_package():
    import torch

    from vol3d.geometry.boxes import box_corners

    boxes = np.random.default_rng(0).uniform(0.1, 3, (7, 7))
    np.testing.assert_allclose(corners(boxes), box_corners(torch.from_numpy(boxes)).numpy(), atol=1e-12)


def test_a_box_that_can_turn_has_a_tick_at_its_front():
    still, turned = np.array([(0, 0, 0, 2, 1, 1, 0.0)]), np.array([(0, 0, 0, 2, 1, 1, np.pi / 2)])
    assert box_lines(still).shape == (1, 12, 2, 3)
    tick = box_lines(turned)[0, 12]
    np.testing.assert_allclose(tick, [(0, 1, -0.5), (0, 1.5, -0.5)], atol=1e-12)
    assert box_lines(np.zeros((0, 7))).shape == (0, 12, 2, 3)
    assert box_lines(np.concatenate((still, turned))).shape == (2, 13, 2, 3)


def test_a_box_that_moves_has_a_line_to_where_it_is_a_second_later():
    box = [5.0, 1, 1, 4, 2, 1.5, 0]
    boxes = np.array([[*box, 3, -4], [*box, 0.1, 0.1], [*box, np.nan, np.nan]])
    rows, lines = velocity_lines(boxes)
    assert rows.tolist() == [0]
    np.testing.assert_allclose(lines, [[(5, 1, 1), (8, -3, 1)]])
    for none in (boxes[:0], boxes[:, :7], boxes[:0, :7]):
        rows, lines = velocity_lines(none)
        assert not len(rows) and lines.shape == (0, 2, 3)


def test_the_way_of_a_box_is_in_the_picture():
    def drawn(speed: float) -> bytes:
        box = np.array([[1, 1, 0.5, 1, 0.6, 1, 0, speed, 0]], np.float32)
        found = Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), ("chair",))
        return draw_scene(replace(room(), boxes=(BoxLayer(FOUND, found, True),)))

    assert drawn(0.1) == drawn(0) != drawn(2)


def test_boxes_of_a_room_that_was_turned_back_have_no_tick():
    import torch

    from vol3d.geometry.frames import transform_boxes

    boxes = torch.from_numpy(np.random.default_rng(0).uniform(0.5, 3, (20, 7)).astype(np.float32))
    boxes[:, 6] = 0
    back = np.eye(4, dtype=np.float32)
    back[:2, :2] = np.array([(np.cos(0.3), -np.sin(0.3)), (np.sin(0.3), np.cos(0.3))])
    assert box_lines(transform_boxes(boxes, torch.from_numpy(back)).numpy()).shape == (20, 12, 2, 3)


def test_colours_by_height_class_and_cloud():
    layer = PointLayer("a", np.array([(0, 0, 0), (0, 0, 9)], np.float32), classes=np.array([0, 3]), flat="#010203")
    np.testing.assert_allclose(point_colours(layer, "height"), hex_table((DARK.heights[0], DARK.heights[-1])), atol=12)
    assert (point_colours(layer, "flat") == (1, 2, 3)).all()
    assert (point_colours(layer, "class")[0] != point_colours(layer, "class")[1]).any()
    assert layer.sources() == ("class", "height", "flat")
    assert (ramp(np.full(4, 7.0), ("#000000", "#ffffff")) < 2).all()


def test_the_radius_closes_a_surface():
    xyz = np.random.default_rng(0).uniform(0, 1, (10_000, 3)) * (1, 1, 0)
    assert 0.008 < point_radius(xyz) < 0.015  # 0.01 is one point's share of the side
    assert point_radius(xyz[:1]) == 0 and point_radius(xyz[:2]) > 0


def test_boxes_have_their_class_colours_and_follow_score_and_class():
    def has(opening: Opening, name: str) -> bool:
        colour = np.array(hex_table((room().class_colours[name],))[0], int)
        return bool((np.abs(pixels(draw_scene(replace(room(), opening=opening))) - colour).max(axis=-1) < 8).any())

    assert has(Opening(source="flat"), "chair") and has(Opening(source="flat"), "table")
    assert not has(Opening(source="flat", classes=("chair",)), "table")
    assert not has(Opening(source="flat", score=0.7), "table") and has(Opening(source="flat", score=0.7), "chair")


def test_a_picture_has_the_size_that_was_asked_for_and_is_the_same_each_time():
    first = draw_scene(room(), (640, 400))
    assert pixels(first).shape == (400, 640, 3)
    assert first == draw_scene(room(), (640, 400))
    assert pixels(draw_scene(organs(), (900, 400))).shape[1] == 900


def drive(boxes: int) -> ViewScene:
    """Flat ground with boxes in a row."""
    ground = np.random.default_rng(0).uniform(-40, 40, (3000, 3)).astype(np.float32) * np.array(
        (1, 1, 0.01), np.float32
    )
    row = np.array([[x, 0, 0.8, 4, 2, 1.6, 0] for x in np.linspace(-35, 35, boxes)], np.float32)
    labels = np.arange(boxes) % 2
    found = Detections(row, np.linspace(0.3, 1, boxes, dtype=np.float32), labels, ("car", "van"))
    colours = {"car": "#56b4e9", "van": "#e69f00", "bus": "#cc6677"}
    return ViewScene("drive", (PointLayer("a", ground),), (BoxLayer(FOUND, found, True),), class_colours=colours)


def test_a_drive_is_seen_from_above_with_x_to_the_right_and_y_up():
    places = np.array([(0, 0, 0), (10, 0, 0), (0, 10, 0)], float)
    (centre, right, up), _ = place_camera(Camera(), drive(1).points[0].xyz, (400, 400)).project(places)
    np.testing.assert_allclose((right - centre)[1], 0, atol=1.5)
    np.testing.assert_allclose((up - centre)[0], 0, atol=1.5)
    assert right[0] > centre[0] + 20 and up[1] < centre[1] - 20


def test_the_legend_counts_every_class_that_is_shown_and_notes_are_whole():
    scene = replace(drive(21), notes=("a note " * 60,))
    margins = measure(scene, (640, 400))
    assert [entry.text for entry in margins.classes] == ["car 11", "van 10"]
    assert margins.notes.split() == scene.notes[0].split() and "\n" in margins.notes
    assert measure(replace(scene, notes=()), (640, 400)).foot < margins.foot <= 200
    both = replace(scene, boxes=(*scene.boxes, replace(scene.boxes[0], scored=False)), opening=Opening(score=0.9))
    assert [entry.text for entry in measure(both, (640, 400)).classes] == ["car 2 / 11", "van 1 / 10"]


@pytest.mark.parametrize(("asked", "written"), [(12, 12), (3, 3), (0, 0), (50, 21)])
def test_only_the_surest_boxes_are_labelled(asked: int, written: int, monkeypatch: pytest.MonkeyPatch):
    seen: list[Label] = []
    monkeypatch.setattr(picture, "place_labels", lambda labels, *rest, **words: seen.extend(labels) or [])
    draw_scene(replace(drive(21), opening=Opening(labels=asked)), (640, 400))
    scores = [float(label.text.split()[1]) for label in seen]
    assert len(scores) == written and scores == sorted(scores, reverse=True) and scores[:1] in ([], [1.0])


def test_of_annotations_each_class_is_named_before_one_is_named_twice():
    boxes = np.array([[x, 0, 0, size, 1, 1, 0] for x, size in enumerate((1, 3, 2, 5))], np.float32)
    found = Detections(boxes, np.array([0.1, 1, 1, 1], np.float32), np.array([0, 0, 1, 0]), ("car", "van"))
    np.testing.assert_allclose(label_weights(BoxLayer("a", found, False)), (1 + 1 / 3, 1.5, 2, 2))
    np.testing.assert_allclose(label_weights(BoxLayer("a", found, True)), found.scores)
    assert not len(label_weights(BoxLayer("a", found.select(np.zeros(0, np.int64)), False)))


@pytest.mark.parametrize("name", ["REGULAR_VEHICLE", "WWW", "ill"])
def test_classes_of_the_legend_do_not_touch_and_are_not_cut(name: str):
    scene = drive(40)
    names = tuple(f"{name} {i}" for i in range(20))
    found = replace(scene.boxes[0].detections, labels=np.arange(40) % 20, class_names=names)
    colours = dict.fromkeys(names, "#56b4e9")
    scene = replace(scene, boxes=(replace(scene.boxes[0], detections=found),), class_colours=colours)
    entries = measure(scene, (640, 400)).classes
    renderer = FigureCanvasAgg(figure := Figure(dpi=100)).get_renderer()
    ends = [
        entry.left + 16 + figure.text(0, 0, entry.text, fontsize=8.5).get_window_extent(renderer).width
        for entry in entries
    ]
    assert len(entries) == 20 and max(ends) <= 640
    for end, before, after in zip(ends, entries, entries[1:], strict=False):
        assert after.row == before.row + 1 or end + 8 < after.left


def test_a_room_is_in_the_picture_as_a_whole_and_stray_points_need_not_be():
    points = room().points[0].xyz
    stray = np.concatenate([points, [(90, 0, 0), (0, -90, 40)]])
    for xyz in (points, stray):
        view = place_camera(Camera(), xyz, (640, 400))
        at, _ = view.project(points)
        assert (at >= 0).all() and (at <= view.size).all()
        assert np.ptp(at, axis=0).max() > 250


@pytest.mark.parametrize("zoom", [0.5, 2.0, 8.0])
def test_the_middle_of_a_wide_scene_stays_in_sight_when_the_eye_comes_near(zoom: float):
    xyz = np.random.default_rng(0).normal(0, (60, 60, 0.5), (4000, 3))
    seen = [place_camera(Camera(-120, 25, z), xyz, (640, 400)).project(np.zeros((1, 3)))[0][0] for z in (1.0, zoom)]
    away = [np.abs(at - (320, 200)) / (320, 200) for at in seen]
    assert (away[1] < 0.6).all() and (zoom < 1 or away[1][1] < away[0][1])


def test_a_lone_point_is_large_enough_to_be_seen_and_is_one_point():
    lone = PointLayer("a", np.ones((1, 3), np.float32), rgb=np.full((1, 3), 255, np.uint8))
    bright = pixels(draw_scene(ViewScene("", (lone,)), (640, 400)))[60:340] > 200
    assert 12 < bright.all(axis=-1).sum() < 80
    figure = Figure(figsize=(6.4, 4.0))
    figure.add_axes((0, 0, 1, 1))
    scene = ViewScene("a title", (replace(lone, rgb=None),))
    write_margins(figure, scene, lone.xyz, measure(scene, (640, 400)))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "1 point" in texts and len(figure.axes) == 1  # no scale from one height to the same one


def test_thirty_classes_have_thirty_colours():
    assert len(set(class_colours(("mask",), 30).values())) == 30


@pytest.mark.parametrize(
    "scene", [ViewScene("nothing"), ViewScene("one", (PointLayer("a", np.ones((1, 3), np.float32)),))]
)
def test_scenes_of_no_and_of_one_point_are_drawn(scene: ViewScene):
    assert pixels(draw_scene(scene, (400, 300))).shape == (300, 400, 3)


def test_boxes_alone_are_drawn():
    scene = replace(room(), points=())
    assert (pixels(draw_scene(scene)).max(axis=-1) > 150).sum() > 500


@pytest.mark.parametrize("size", [(10, 10), (9000, 800)])
def test_a_size_that_cannot_be_drawn_is_refused(size: tuple[int, int]):
    with pytest.raises(UsageError, match="cannot have this size"):
        draw_scene(room(), size)


def test_organs_are_drawn_in_their_colours_and_can_be_left_out():
    whole, left = (pixels(draw_scene(replace(organs(), opening=Opening(classes=one)))) for one in (None, ("left",)))

    def greenish(picture: np.ndarray) -> int:
        lower = picture[picture.shape[0] // 2 :]
        return int(((lower[..., 1] > 90) & (lower[..., 0] < 60) & (lower[..., 1] > lower[..., 2] + 20)).sum())

    assert greenish(whole) > 1000 > greenish(left)


def test_the_surface_of_a_ball_is_closed_round_and_looks_outwards():
    distance = np.linalg.norm(np.mgrid[-12:13, -12:13, -12:13], axis=0)
    vertices, faces = surface_net(8.0 - distance, 0.0)
    np.testing.assert_allclose(np.linalg.norm(vertices - 12, axis=1), 8, atol=0.1)
    edges = np.sort(np.concatenate((faces[:, :2], faces[:, 1:], faces[:, ::2])), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    volume = float((np.cross(a - 12, b - 12) * (c - 12)).sum()) / 6
    assert volume == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.02)


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_organs_stand_where_their_voxels_do_on_mirrored_grids_too(flip: float):
    volume = organs().volume
    assert volume is not None
    mask = volume.masks[0]
    affine = np.diag([2.0 * flip, 1.5, 3.0, 1.0])
    affine[:3, 3] = (10, -20, 5)
    grid = replace(mask.segmentation.grid, affine=affine)
    surfaces = organ_surfaces(replace(mask, segmentation=replace(mask.segmentation, grid=grid)))
    assert [surface.name for surface in surfaces] == ["left", "right"]
    middle = surfaces[0].vertices.mean(axis=0)
    np.testing.assert_allclose(middle, (10 + 2 * flip * 6.5, -20 + 1.5 * 9.5, 5 + 3 * 12.5), atol=0.3)
    outwards = ((surfaces[0].vertices - middle) * surfaces[0].normals).sum(axis=1)
    assert (outwards > 0).mean() > 0.99


def test_an_organ_of_one_voxel_has_a_surface():
    volume = organs().volume
    assert volume is not None
    labels = np.zeros_like(volume.masks[0].segmentation.labels)
    labels[0, 0, 0] = 1
    mask = replace(volume.masks[0], segmentation=replace(volume.masks[0].segmentation, labels=labels))
    (surface,) = organ_surfaces(mask)
    np.testing.assert_allclose(surface.vertices.mean(axis=0), 0, atol=1e-6)


def test_a_triangle_covers_its_pixels_without_holes():
    vertices = np.array([(-1, 2, -1), (1, 2, -1), (0, 2, 1)], np.float32)
    normals = np.tile(np.array((0, -1, 0), np.float32), (3, 1))
    surface = Surface("a", "#ffffff", vertices, normals, np.array([(0, 1, 2)], np.int32))
    _, depth = draw_surfaces(ahead(), [surface], GROUND)
    hit = np.isfinite(depth)
    assert hit[30:48].sum() > 0
    for row in hit:
        columns = np.flatnonzero(row)
        assert not len(columns) or len(columns) == columns[-1] - columns[0] + 1


def test_a_picture_needs_neither_open3d_nor_torch():
    code = (
        "import sys; from tests.vol3d.view.scenes import room; from vol3d.view.draw.picture import draw_scene;"
        "sys.modules['open3d'] = None; draw_scene(room()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
