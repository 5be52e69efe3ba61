"""Dark and light pictures: what must be read stands out from the ground, and classes from one another."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vol3d
from tests.vol3d.view.scenes import organs, pixels, room
from vol3d.errors import UsageError
from vol3d.scans.results.palette import class_colours
from vol3d.view.draw.colours import hex_table, point_colours
from vol3d.view.draw.picture import draw_scene
from vol3d.view.scene import TRUTH, Opening, PointLayer
from vol3d.view.theme import DARK, LIGHT, THEMES, Background, Theme

BOTH = pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
BLACK = "#000000"


def luminance(colours: tuple[str, ...]) -> np.ndarray:
    """Relative luminance (WCAG 2.2)."""
    share = hex_table(colours) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)


def contrast(colours: tuple[str, ...], ground: str) -> np.ndarray:
    """Contrast ratios (WCAG 2.2), from 1 to 21."""
    first, second = luminance(colours) + 0.05, luminance((ground,)) + 0.05
    return np.maximum(first, second) / np.minimum(first, second)


def lab(colours: tuple[str, ...]) -> np.ndarray:
    """CIELAB (D65)."""
    share = hex_table(colours) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)])
    ratio = linear @ to_xyz.T / (0.95047, 1.0, 1.08883)
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def test_contrast_is_that_of_the_standard():
    np.testing.assert_allclose(contrast(("#ffffff", "#777777", "#0000ff"), "#ffffff"), (1, 4.48, 8.59), atol=0.01)


@BOTH
def test_colours_stand_out_from_the_ground(theme: Theme):
    assert contrast((theme.ink, theme.muted), theme.ground).min() >= 4.5  # text
    assert contrast((*theme.classes, *theme.clouds, theme.unlabelled), theme.ground).min() >= 3
    assert contrast(theme.classes, BLACK).min() >= 2.8  # outlines on slices, whose air is black
    for ramp in (theme.heights, theme.intensities):
        steps = contrast(ramp, theme.ground)
        assert steps[0] >= 1.5 and (np.diff(steps) > 0).all()


@BOTH
@pytest.mark.parametrize(("masks", "classes", "apart"), [(1, 30, 16), (1, 10, 16), (2, 3, 30)])
def test_classes_are_distinct(theme: Theme, masks: int, classes: int, apart: float):
    colours = tuple(map(theme.shown, class_colours(("a", "b")[:masks], classes).values()))
    distance = np.linalg.norm(lab(colours)[:, None] - lab(colours), axis=-1)
    assert distance[~np.eye(len(colours), dtype=bool)].min() >= apart


def test_light_has_a_counterpart_of_each_colour_and_keeps_others():
    assert all(DARK.shown(colour) == colour for colour in LIGHT.counterparts)
    assert {LIGHT.shown(colour) for colour in DARK.classes} == set(LIGHT.classes)
    assert not set(LIGHT.counterparts) & set(LIGHT.counterparts.values())  # so that twice is once
    assert LIGHT.shown("#123456") == "#123456"


def test_the_page_is_as_light_as_the_theme():
    style = (Path(vol3d.__file__).parent / "view" / "page" / "static" / "viewer.css").read_text("utf-8")
    assert re.findall(r"--stage: (#\w+)", style)[0] == LIGHT.ground


@pytest.mark.parametrize("background", THEMES)
def test_clouds_and_boxes_are_drawn_in_the_theme(background: Background):
    scene, theme = replace(room(), opening=Opening("flat", background=background)), THEMES[background]
    drawn = pixels(draw_scene(scene))
    assert tuple(drawn[0, 0]) == tuple(drawn[-1, -1]) == theme.rgb
    for colour in (theme.shown("#56b4e9"), theme.shown("#00c48f")):  # chairs and tables
        assert ((np.abs(drawn - hex_table((colour,))[0].astype(int))).max(axis=-1) < 8).sum() > 100
    truth = replace(scene.boxes[0], name=TRUTH, scored=False, colour=DARK.ink)
    assert replace(scene, boxes=(truth,)).on_background().boxes[0].colour == theme.ink
    assert draw_scene(scene.on_background()) == draw_scene(scene)


def test_points_follow_the_theme_and_white_ones_are_seen_on_white():
    xyz = np.array([(0, 0, 0), (0, 0, 9)], np.float32)
    layer = PointLayer("a", xyz, rgb=np.full((2, 3), 255, np.uint8), intensity=xyz[:, 2], classes=np.array([0, 1]))
    assert point_colours(layer, "rgb", DARK).min() == 255 and point_colours(layer, "rgb", LIGHT).max() < 230
    for source, ramp in (("height", LIGHT.heights), ("intensity", LIGHT.intensities)):
        np.testing.assert_allclose(point_colours(layer, source, LIGHT), hex_table((ramp[0], ramp[-1])), atol=12)
    wanted = hex_table((LIGHT.unlabelled, LIGHT.shown("#88ccee")))
    np.testing.assert_array_equal(point_colours(layer, "class", LIGHT), wanted)
    assert point_colours(replace(layer, xyz=xyz[:0]), "height", LIGHT).shape == (0, 3)


def test_slices_stay_black_inside_of_a_light_picture():
    volume = organs().volume
    assert volume is not None
    image = replace(volume, volume=replace(volume.volume, array=np.zeros_like(volume.volume.array)))
    scene = replace(organs(), volume=image, opening=Opening(background="light", window=(50.0, 250.0)))
    drawn = pixels(draw_scene(scene))
    assert (drawn[[0, -1]][:, [0, -1]] == 255).all()
    black, white = ((np.abs(drawn - value).max(axis=-1) < 3).mean() for value in (0, 255))
    assert black > 0.1 and white > 0.3
    left = hex_table((LIGHT.shown("#56b4e9"),))[0].astype(int)
    assert (np.abs(drawn - left).max(axis=-1) < 12).sum() > 50  # outline, legend and surface


@pytest.mark.parametrize("background", ["white", "", None])
def test_another_background_is_refused(background):
    with pytest.raises(UsageError, match="unknown background"):
        Opening(background=background)
