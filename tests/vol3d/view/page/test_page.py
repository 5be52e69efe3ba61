"""The page in headless Chromium with software WebGL: what is sent is shown, and each control does what it says."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from tests.vol3d.view.page.browser import Browser
from tests.vol3d.view.page.scenes import organ, room
from vol3d.view.draw.colours import hex_table
from vol3d.view.page.payload import describe
from vol3d.view.page.server import PageServer
from vol3d.view.scene import Camera, Opening, PointLayer, ViewScene
from vol3d.view.theme import DARK, THEMES, Background

SET = "const input = document.querySelector(%r); input.value = %r; input.dispatchEvent(new Event(%r));"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as window:
        yield window


@contextmanager
def opened(browser: Browser, scene: ViewScene, gate: threading.Event | None = None) -> Iterator[Browser]:
    """The page of the scene; surfaces wait for the gate, if there is one, to be opened."""
    payload = describe(scene)
    if gate is not None:
        made = payload.buffers["mask0-surface3"]
        payload.buffers["mask0-surface3"] = lambda: made() if gate.wait(60) else b""
    with PageServer(payload) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        browser.open(server.url)
        until(browser, lambda state: state.get("ready") or "error" in state)
        yield browser
        assert browser.log() == []
        server.shutdown()


def state(browser: Browser) -> dict[str, Any]:
    return browser.run("return window.vol3d?.state ?? {}")


def until(browser: Browser, true: Callable[[dict[str, Any]], Any], seconds: float = 60) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while not true(now := state(browser)):
        assert time.monotonic() < end, now
        time.sleep(0.05)
    return now


def picture(browser: Browser) -> np.ndarray:
    """(rows, columns, 3) of the part of the window that is drawn."""
    browser.run("window.vol3d.view.stage.draw()")
    left = browser.run("return Math.round(document.getElementById('viewport').getBoundingClientRect().left)")
    return imread(io.BytesIO(browser.screenshot()))[:, left:, :3]


def slide(browser: Browser, element: str, value: float) -> None:
    browser.run(SET % (element, value, "input"))


def test_the_page_shows_as_many_points_and_boxes_as_were_sent(browser: Browser):
    scene = room()
    with opened(browser, scene):
        now = state(browser)
        assert now["points"] == 3000
        assert [(b["name"], b["count"], b["shown"]) for b in now["boxes"]] == [("ground truth", 3, 3), ("found", 4, 4)]
        assert browser.run("return document.getElementById('subtitle').textContent") == "3,000 points, 7 boxes"
        assert "turned z up" in browser.run("return document.getElementById('sections').textContent")
        seen = picture(browser)
        ground = seen[2, 2]
        assert 0.02 < (np.abs(seen - ground).max(axis=-1) > 0.1).mean() < 0.9
        for colour in ((86, 193, 255), (255, 166, 43)):  # the lines of both layers
            assert (np.abs(seen * 255 - colour).max(axis=-1) < 3).sum() > 100


def test_the_score_slider_hides_what_is_less_sure_but_no_annotation(browser: Browser):
    with opened(browser, room()):
        for score, shown in ((0.5, 2), (1.0, 0), (0.0, 4)):
            slide(browser, "#score", score)
            assert [layer["shown"] for layer in state(browser)["boxes"]] == [3, shown]


def test_the_class_list_counts_and_filters(browser: Browser):
    with opened(browser, room()):
        rows = browser.run("return [...document.querySelectorAll('#classes label')].map((row) => row.textContent)")
        assert rows == ["chair5", "table2"]
        browser.run("document.querySelector('#classes input').click()")
        assert [layer["shown"] for layer in state(browser)["boxes"]] == [1, 1]
        browser.run("[...document.querySelectorAll('#classes .link')].find((b) => b.textContent === 'none').click()")
        assert [layer["shown"] for layer in state(browser)["boxes"]] == [0, 0]


def test_a_click_on_a_box_tells_what_it_is_and_a_filter_lets_go_of_it(browser: Browser):
    with opened(browser, room()):
        browser.run("document.querySelectorAll('section button')[1].click()")  # from above
        x, y = browser.run(
            "const left = document.getElementById('viewport').getBoundingClientRect().left;"
            "const [x, y] = window.vol3d.view.stage.project(2, -2, 0.4); return [Math.round(x + left), Math.round(y)];"
        )
        browser.click(x, y)
        assert until(browser, lambda now: now["selected"])["selected"] == "chair 0.20"
        text = browser.run("return document.getElementById('box').innerText")
        assert "2.00 -2.00 0.40 m" in " ".join(text.split()) and "-57.3°" in text and "0.200" in text
        slide(browser, "#score", 0.5)
        assert state(browser)["selected"] is None


def test_keys_walk_through_the_boxes(browser: Browser):
    with opened(browser, room()):
        press = "dispatchEvent(new KeyboardEvent('keydown', {key: %r, bubbles: true}));"
        for key, chosen in (("n", "table"), ("n", "chair"), ("p", "table"), ("p", "chair 0.20"), ("Escape", None)):
            browser.run("document.querySelector('.pane')." + press % key)
            assert state(browser)["selected"] == chosen


def test_names_stand_at_as_many_boxes_as_were_asked_for_the_surest_first(browser: Browser):
    found = room().boxes[1]  # apart from each other
    for most, written in ((0, 0), (1, 1), (12, 4)):
        scene = replace(room(), boxes=(found,), opening=Opening(labels=most, camera=Camera(0, 80)))
        with opened(browser, scene):
            picture(browser)
            assert state(browser)["labels"] == written
            assert browser.run(f"return window.vol3d.view.boxes[0].foremost({most})") == [0, 1, 2, 3][:most]
            slide(browser, "#score", 0.7)
            picture(browser)
            assert state(browser)["labels"] == min(most, 1)
            browser.run(
                "document.querySelector('.pane').dispatchEvent(new KeyboardEvent('keydown', {key: 'n', bubbles: true}))"
            )
            picture(browser)
            assert state(browser)["labels"] == 1  # the chosen box has its name


def test_attention_colours_the_points_and_its_legend_is_in_per_cent(browser: Browser):
    scene = room()
    weights = np.where(scene.points[0].xyz[:, 0] > 0, 2.0, 0.5).astype(np.float32)
    with opened(browser, replace(scene, points=(replace(scene.points[0], attention=weights),), boxes=())):
        assert browser.run("return document.querySelector('select').value") == "attention"
        assert browser.run("return document.querySelector('.legend').textContent") == "0.50 %2.0 %"
        slide(browser, "#size", 8)
        seen = picture(browser)
        for colour in hex_table(DARK.intensities)[[0, -1]].astype(int):
            assert (np.abs(seen * 255 - colour).max(axis=-1) < 4).sum() > 100


def test_colour_size_and_height_change_the_picture(browser: Browser):
    with opened(browser, room()):
        before = picture(browser)
        browser.run(
            "const s = document.querySelector('select'); s.value = 'height'; s.dispatchEvent(new Event('change'))"
        )
        coloured = picture(browser)
        slide(browser, "#size", 8)
        large = picture(browser)
        slide(browser, "#height", -1)
        none = picture(browser)
        for first, second in ((before, coloured), (coloured, large), (large, none)):
            assert (np.abs(first - second).max(axis=-1) > 0.1).mean() > 0.01


def test_shading_darkens_what_stands_behind_and_can_be_turned_off(browser: Browser):
    plate = np.stack(np.meshgrid(np.linspace(-1, 1, 140), np.linspace(-1, 1, 140), [0.0]), -1).reshape(-1, 3)
    xyz = np.concatenate([plate, 0.4 * plate + (0, 0, 0.8)]).astype(np.float32)
    with opened(browser, ViewScene("two plates", (PointLayer("p", xyz, rgb=np.full((len(xyz), 3), 255, np.uint8)),))):
        slide(browser, "#size", 8)
        shaded = picture(browser)
        browser.run("[...document.querySelectorAll('label')].find((l) => /depth/.test(l.textContent)).click()")
        plain = picture(browser)
        middle = np.s_[150:-150, 250:-250]  # inside of the lower plate
        assert plain[middle].min() > 0.98 and shaded[middle].min() < 0.9


def test_a_picture_is_saved_with_the_names_of_the_boxes_on_it(browser: Browser):
    with opened(browser, room()):
        browser.run(
            "HTMLAnchorElement.prototype.click = function () { window.saved = this.download; };"
            "const reader = new FileReader(); reader.onload = () => { window.png = reader.result; };"
            "URL.createObjectURL = (blob) => { reader.readAsDataURL(blob); return 'blob:x'; };"
            "dispatchEvent(new KeyboardEvent('keydown', {key: 's'}))"
        )
        while not browser.run("return Boolean(window.png)"):
            time.sleep(0.05)
        assert browser.run("return window.saved") == "a_room.png"
        saved = imread(io.BytesIO(base64.b64decode(browser.run("return window.png").split(",")[1])))
        shown = picture(browser)
        assert saved.shape[:2] == shown.shape[:2] and np.abs(saved[..., :3] - shown).mean() < 0.01


@pytest.mark.parametrize("first", ["dark", "light"])
def test_the_page_opens_dark_or_light_and_one_key_changes_all_its_colours(browser: Browser, first: Background):
    layers = [replace(layer, colour=None) for layer in room().boxes]  # coloured by class
    scene = replace(room(), boxes=tuple(layers), opening=Opening(background=first))
    swatch = "return document.querySelector('#classes rect').getAttribute('fill')"
    with opened(browser, scene):
        for background in [first, *({"dark", "light"} - {first})]:
            seen, theme = picture(browser) * 255, THEMES[background]
            assert (seen[2, 2].mean() > 200) == (background == "light")
            chair = theme.shown(scene.class_colours["chair"])
            assert (np.abs(seen - hex_table([chair])[0].astype(int)).max(axis=-1) < 3).sum() > 100
            assert browser.run(swatch) == chair
            browser.run("dispatchEvent(new KeyboardEvent('keydown', {key: 'l'}))")


def test_organs_have_their_colours_on_light_too(browser: Browser):
    with opened(browser, replace(organ(), opening=Opening(background="light"))):
        until(browser, lambda now: now["surfaces"] == 1)
        assert browser.run("return document.querySelector('.mask rect').getAttribute('fill')") == "#0080c8"
        assert browser.run("return window.vol3d.view.surfaces.made.values().next().value.colour") == "#56b4e9"
        on_light = picture(browser)
        browser.run("dispatchEvent(new KeyboardEvent('keydown', {key: 'l'}))")
        assert blue(picture(browser)) > 1000 > np.abs(on_light[-3, -3] - 1).max()


@pytest.mark.parametrize("points", [0, 1])
def test_clouds_of_no_and_of_one_point_are_shown(browser: Browser, points: int):
    with opened(browser, ViewScene("small", (PointLayer("p", np.zeros((points, 3), np.float32)),))):
        assert state(browser)["points"] == points


def test_a_volume_is_cut_where_its_mask_is_and_its_surface_arrives(browser: Browser):
    with opened(browser, organ()):
        now = until(browser, lambda now: now["surfaces"] == 1)
        assert (now["shape"], now["index"]) == ([20, 24, 28], [10, 12, 14]) and now["triangles"] > 500
        told = " ".join(now["here"].split())
        assert "Value 900" in told and "kidney" in told and "0.0 17.0 28.0 mm" in told
        assert browser.run("return document.getElementById('subtitle').textContent") == (
            "20 × 24 × 28 voxels of 2 × 1 × 1.5 mm"
        )
        assert picture(browser).std() > 0.05


def test_a_surface_that_comes_late_is_drawn(browser: Browser):
    gate = threading.Event()
    with opened(browser, organ((300, 5, 7)), gate):  # the origin, where nothing is, is out of sight
        browser.run("document.querySelectorAll('.enlarge')[3].click();")
        browser.run("[...document.querySelectorAll('label')].find((l) => /Planes in/.test(l.textContent)).click()")
        assert blue(picture(browser)) < 200  # the axis of the head is blue, too
        gate.set()
        until(browser, lambda now: now["surfaces"] == 1)
        assert blue(picture(browser)) > 5000


def blue(seen: np.ndarray) -> int:
    """Pixels of the organ's hue and not of the panel's."""
    return int(((seen[..., 2] - seen[..., 0] > 0.25) & (seen[..., 2] > 0.5)).sum())


def test_sliders_and_wheel_move_the_planes_and_window_and_organs_change_them(browser: Browser):
    with opened(browser, organ()):
        until(browser, lambda now: now["surfaces"] == 1)
        before = picture(browser)
        browser.run(
            "const s = document.querySelector('.plane input'); s.value = 3; s.dispatchEvent(new Event('input'))"
        )
        assert state(browser)["index"] == [10, 12, 3] and "Voxel\n10 12 3" in state(browser)["here"].replace("  ", " ")
        browser.run("document.querySelectorAll('.plane')[2].dispatchEvent(new WheelEvent('wheel', {deltaY: -1}))")
        assert state(browser)["index"] == [11, 12, 3]
        moved = picture(browser)
        slide(browser, "#level", 2500)
        dark = picture(browser)
        assert dark.mean() < moved.mean() and np.abs(moved - before).max() > 0.3
        browser.run("document.querySelector('.mask input').click()")
        now = state(browser)
        assert now["organs"] == [[False]] and now["triangles"] == 0


def test_a_server_that_is_gone_is_told_in_words(browser: Browser):
    with PageServer(describe(room())) as server:
        del server.payload.buffers["cloud0-xyz"]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        browser.open(server.url)
        assert "does not answer" in until(browser, lambda now: "error" in now)["error"]
        assert "does not answer" in browser.run("return document.getElementById('loading').innerText")
        server.shutdown()
    browser.log()
