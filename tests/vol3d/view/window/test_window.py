"""The Open3D window: by screenshot on a screen in memory, and by what its controls do to the scene."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.vol3d.view.scenes import COLOURS, organs, room, write_organs, write_room
from tests.vol3d.view.window.screen import Screen, screen
from vol3d.scans import Grid, Volume, write_nifti
from vol3d.scans.results.box_shapes import corners
from vol3d.view.draw.colours import hex_table
from vol3d.view.scene import Opening
from vol3d.view.theme import LIGHT
from vol3d.view.window import clouds as window_clouds
from vol3d.view.window import names as window_names
from vol3d.view.window import volume as window_volume
from vol3d.view.window import window
from vol3d.view.window.libraries import missing_libraries
from vol3d.view.window.names import BoxName, BoxNames, seen_labels
from vol3d.view.window.volume import plane

CLOSE_SOON = """
from tests.vol3d.view.scenes import room
from vol3d.view.window import window

class Closing(window.ViewWindow):
    ticks = 0

    def run(self):
        self.window.set_on_tick_event(self.tick)
        super().run()

    def tick(self):
        self.ticks += 1
        if self.ticks == 5:
            self.window.close()
        return True

window.ViewWindow = Closing  # in the window's own process too, which imports this file
if __name__ == "__main__":
    window.show_window(room())
    print("closed")
"""
PATIENCE_S = 240  # Mesa draws on the processor, which others may be using


@pytest.fixture(autouse=True)
def needs_open3d():
    pytest.importorskip("open3d", reason="no Open3D; pip install 'vol3d[viewer]'", exc_type=ImportError)
    if missing := missing_libraries():
        pytest.skip(f"Open3D lacks {', '.join(missing)}; vol3d doctor says how to install them")


def seen(picture: np.ndarray, colour: str, tolerance: int = 12) -> int:
    """Pixels of about this colour left of the panel."""
    stage = picture[:, : int(picture.shape[1] * 0.74)].astype(int)
    return int((np.abs(stage - hex_table((colour,))[0]).max(axis=-1) < tolerance).sum())


def wait_for(shown: Screen, process: subprocess.Popen[str], ready: Callable[[np.ndarray], bool]) -> np.ndarray:
    """The first picture that is ready."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        picture = shown.pixels()
        if ready(picture):
            return picture
        if process.poll() is not None:
            _, said = process.communicate()
            if "ulkan" in said:
                pytest.skip(f"no software Vulkan; apt-get install -y libvulkan1 mesa-vulkan-drivers ({said.strip()})")
            pytest.fail(f"the window ended with {process.returncode}: {said}")
        time.sleep(0.5)
    pytest.fail(f"nothing to see after {PATIENCE_S} s")


def command(shown: Screen, *words: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "vol3d.cli.main", "view", *words]
    return subprocess.Popen(
        line, env=shown.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def end(process: subprocess.Popen[str]) -> None:
    """With the process that draws."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_a_window_shows_points_boxes_and_controls_and_its_end_is_told(tmp_path: Path):
    files = [str(path) for path in write_room(tmp_path)]
    with screen(tmp_path) as shown:
        process = command(shown, *files, "--window", "--score", "0.5")
        picture = wait_for(shown, process, lambda now: min(seen(now, colour) for colour in COLOURS.values()) > 50)
        assert picture[-5, -60].max() < 80 and np.ptp(picture[-5, -60]) < 8  # the grey of the panel
        low_and_high = seen(picture, "#3a3f8f"), seen(picture, "#fbe28a")
        assert min(low_and_high) > 50  # points by height
        # As if the driver had died. Mesa itself may wait for ever for a screen that is gone.
        subprocess.run(["pkill", "-KILL", "-P", str(process.pid), "-f", "spawn_main"], check=True)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "the graphics driver ended the window" in said and "Traceback" not in said


@pytest.mark.slow
def test_a_window_whose_screen_goes_ends(tmp_path: Path):
    files = [str(path) for path in write_room(tmp_path)]
    with screen(tmp_path) as shown:
        process = command(shown, *files, "--window", "--score", "0.5")
        wait_for(shown, process, lambda now: min(seen(now, colour) for colour in COLOURS.values()) > 50)
        shown.close()
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and "Traceback" not in said
    assert "the screen of the window is gone" in said or "the graphics driver ended the window" in said


def test_a_window_that_does_not_answer_is_waited_for_while_it_has_its_screen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(window, "_LOOK_S", 0.001)
    ours, theirs = Pipe(duplex=False)
    gone = iter([False, False, False, True])
    monkeypatch.setattr(window, "screen_is_gone", lambda: next(gone))
    assert not window._answers(ours) and next(gone, "all asked") == "all asked"

    def answer() -> bool:
        theirs.send(None)
        return True

    monkeypatch.setattr(window, "screen_is_gone", answer)  # nothing is known of the screen: only the answer counts
    assert window._answers(ours)


def brightens_upwards(picture: np.ndarray) -> bool:
    """Whether the scene left of the panel is drawn, bright, and darker from fifth to fifth of its height."""
    bright = picture[:, :900].max(axis=-1).astype(float)
    if int((bright > 150).sum()) <= 3000:
        return False
    rows = np.where(bright > 30, bright, np.nan)
    level = [np.nanmean(part) for part in np.array_split(rows[np.isfinite(rows).any(axis=1)], 5)]
    return bool(level[0] > level[1] + 20 > level[3] + 40)


@pytest.mark.slow
def test_a_window_shows_slices_the_right_way_up(tmp_path: Path):
    rising = np.broadcast_to(np.arange(30, dtype=np.float32) ** 1.1, (1, 20, 24, 30)).copy()  # brighter to the head
    scan, mask = write_organs(tmp_path)
    write_nifti(tmp_path / "rising.nii.gz", Volume(rising, Grid((20, 24, 30), np.eye(4))))
    with screen(tmp_path) as shown:
        process = command(shown, str(tmp_path / "rising.nii.gz"), "--window")
        wait_for(shown, process, brightens_upwards)  # or fails with what was seen
        end(process)
    with screen(tmp_path) as shown:
        process = command(shown, str(scan), str(mask), "--window")
        wait_for(shown, process, lambda now: min(seen(now, colour, 60) for colour in COLOURS.values()) > 500)
        end(process)


@pytest.mark.slow
def test_a_window_that_is_closed_ends_well(tmp_path: Path):
    script = tmp_path / "close_soon.py"
    script.write_text(CLOSE_SOON)
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[4])}
    with screen(tmp_path) as shown:
        line = [sys.executable, str(script)]
        done = subprocess.run(
            line, env=shown.environment | environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    if "ulkan" in done.stderr:
        pytest.skip("no software Vulkan; apt-get install -y libvulkan1 mesa-vulkan-drivers")
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")


class FakeScene:
    """What the window's stage holds, without a screen."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[Any, Any]] = {}
        self.hidden: set[str] = set()
        self.camera = self.bounding_box = self

    def add_geometry(self, name: str, geometry: Any, material: Any) -> None:
        assert name not in self.held
        self.held[name] = (geometry, material)

    def remove_geometry(self, name: str) -> None:
        self.held.pop(name, None)

    def has_geometry(self, name: str) -> bool:
        return name in self.held

    def show_geometry(self, name: str, show: bool) -> None:
        assert name in self.held
        (self.hidden.discard if show else self.hidden.add)(name)

    def look_at(self, *_: Any) -> None: ...


class FakeStage:
    def __init__(self) -> None:
        self.scene = FakeScene()

    def setup_camera(self, *_: Any) -> None: ...


class FakeNames:
    def show(self, names: list[BoxName]) -> None:
        self.names = names

    def texts(self) -> list[str]:
        return sorted(name.text for name in self.names)


@pytest.fixture
def controls(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[Any], None]]:
    """The panel's controls by the first word that they show -> what a user's change calls."""
    found: dict[str, Callable[[Any], None]] = {}
    for module in (window_clouds, window_volume):
        monkeypatch.setattr(module, "heading", lambda *_: None)
        monkeypatch.setattr(
            module, "switches", lambda side, names, on, call, *_: found.update({f"show {names[0]}": call})
        )
        monkeypatch.setattr(
            module, "slider", lambda side, name, limits, first, call, whole=False: found.update({name: call})
        )
    monkeypatch.setattr(window_clouds, "choice", lambda side, names, first, call: found.update({"colour": call}))
    return found


def test_score_classes_layers_and_labels_change_what_is_shown(controls):
    stage, names = FakeStage(), FakeNames()
    window_clouds.CloudContent(replace(room(), opening=Opening(score=0.3)), stage, None, names, (900, 800))
    assert names.texts() == ["chair 0.90", "table 0.60"]
    controls["score from"](0.1)
    assert names.texts() == ["chair 0.20", "chair 0.90", "table 0.60"]
    assert len(stage.scene.held["boxes 0"][0].lines) == 3 * 12
    controls["show chair"]({"table"})
    assert names.texts() == ["table 0.60"]
    controls["show chair"](set())
    assert names.texts() == [] and "boxes 0" not in stage.scene.held
    controls["show chair"]({"chair", "table"})
    controls["show class and score"](set())
    assert names.texts() == [] and len(stage.scene.held["boxes 0"][0].lines) == 3 * 12
    controls["show found"](set())
    assert "boxes 0" not in stage.scene.held


def test_only_so_many_names_are_asked_for_as_labels_are(controls):
    names = FakeNames()
    for count, written in ((0, []), (1, ["chair 0.90"]), (2, ["chair 0.90", "table 0.60"])):
        opening = Opening(labels=count)
        window_clouds.CloudContent(replace(room(), opening=opening), FakeStage(), None, names, (900, 800))
        assert names.texts() == written


def cube(x: float, y: float, z: float, side: float = 1.0) -> np.ndarray:
    return corners(np.array([(x, y, z, side, side, side, 0.0)]))[0]


# An eye at the origin that looks along -z, x to the right and y up, 90 degrees wide, as OpenGL has it.
CLIP = np.array([(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, -1.02, -0.2), (0, 0, -1, 0)], float)


def test_names_stand_where_their_boxes_are_seen_and_others_are_left_out():
    seen = BoxName("seen", "#fff", cube(0, 0, -10), 1.0)
    behind, aside = seen._replace(text="behind", corners=cube(0, 0, 3)), seen._replace(corners=cube(50, 0, -10))
    around = seen._replace(text="around the eye", corners=cube(0, 0, 0, 4))
    (label,) = seen_labels([behind, aside, seen, around], CLIP, (200, 100))
    reach = 0.5 / 9.5  # of the nearer face, as a share of the distance
    assert label.text == "seen"
    np.testing.assert_allclose(label.around, (100 * (1 - reach), 50 * (1 - reach), 100 * (1 + reach), 50 * (1 + reach)))
    assert seen_labels([], CLIP, (200, 100)) == []


class Rect(NamedTuple):
    x: int
    y: int
    width: int
    height: int


class FakeWidget:
    """Whatever widget the toolkit would make."""

    def __init__(self, *_: Any) -> None:
        self.children: list[FakeWidget] = []
        self.scaling, self.theme, self.text, self.visible = 1.0, self, "", False
        self.font_size, self.frame = 15, Rect(0, 0, 400, 300)
        self.scene, self.camera, self.turn = self, self, np.eye(4)

    def add_child(self, child: FakeWidget) -> None:
        self.children.append(child)

    def get_children(self) -> list[FakeWidget]:
        return self.children

    def get_view_matrix(self) -> np.ndarray:
        return self.turn

    def get_projection_matrix(self) -> np.ndarray:
        return CLIP

    def texts(self) -> list[str]:
        return [child.children[-1].text for child in self.children if child.visible]


def test_names_are_written_again_only_when_the_eye_or_the_names_change(monkeypatch: pytest.MonkeyPatch):
    gui = SimpleNamespace(Widget=FakeWidget, Label=FakeWidget, Rect=Rect, Color=lambda *_: "clear")
    monkeypatch.setattr(window_names, "toolkit", lambda: gui)
    monkeypatch.setattr(window_names, "gui_colour", lambda colour: colour)
    window, stage = FakeWidget(), FakeWidget()
    names = BoxNames(window, stage, LIGHT)
    assert names.place() and not names.place() and window.texts() == []
    names.show([BoxName(f"box {i}", "#123456", cube(3 * (i - 1), 0, -10), i) for i in range(3)])
    assert names.place() and not names.place()
    assert window.texts() == ["box 2", "box 1", "box 0"]
    halo, text = window.children[0].children[0], window.children[0].children[-1]
    assert (halo.text_color, text.text_color) == (LIGHT.ground, "#123456") and window.children[0].frame.width == 0
    first = text.frame
    stage.turn = np.array([(1, 0, 0, 1.0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)])
    assert names.place() and text.frame.x > first.x and text.frame.y == first.y
    names.show([BoxName("one", "#123456", cube(0, 0, -10), 1.0)])
    assert names.place() and window.texts() == ["one"] and len(window.children) == 3
    names.show([BoxName(f"{i}", "#123456", cube(i % 9 - 4, i // 9 - 2, -5, 0.1), 1.0) for i in range(45)])
    assert names.place() and 10 < len(window.texts()) <= 18


def test_points_change_colour_and_size(controls):
    stage = FakeStage()
    window_clouds.CloudContent(room(), stage, None, FakeNames(), (900, 800))

    def colours() -> np.ndarray:
        return stage.scene.held["points 0"][0].point.colors.numpy()

    np.testing.assert_allclose(colours(), 128 / 255, atol=1e-6)
    controls["colour"]("height")
    assert np.ptp(colours(), axis=0).max() > 0.3
    controls["size"](9.0)
    assert stage.scene.held["points 0"][1].point_size == 9.0


def test_slices_move_and_organs_hide(controls):
    stage = FakeStage()
    window_volume.VolumeContent(organs(), organs().volume, stage, None, (900, 800))
    assert set(stage.scene.held) == {"axial", "mask left", "mask right"}
    controls["show axial"]({"axial", "coronal", "sagittal"})
    assert set(stage.scene.held) == {"axial", "coronal", "sagittal", "mask left", "mask right"}
    before = np.asarray(stage.scene.held["axial"][0].vertices)[:, 2]
    controls["axial"](3.0)
    assert (before != 3).all() and (np.asarray(stage.scene.held["axial"][0].vertices)[:, 2] == 3).all()
    controls["show left"]({"right"})
    assert stage.scene.hidden == {"mask left"}
    sagittal = np.asarray(stage.scene.held["sagittal"][1].albedo_img)
    controls["black"](200.0)
    assert np.asarray(stage.scene.held["sagittal"][1].albedo_img).mean() < sagittal.mean()
    controls["axial"](999.0)
    controls["coronal"](0.0)


def test_a_plane_stands_where_its_voxels_do_and_shows_them():
    layer = organs().volume
    assert layer is not None
    for axis in range(3):
        corners, texture = plane(layer, axis, 7, (50.0, 250.0), [])
        across, up = (other for other in range(3) if other != axis)
        shape = layer.volume.grid.shape
        assert texture.shape == (shape[up], shape[across], 3)
        assert (corners[:, axis] == 7).all()
        np.testing.assert_array_equal(corners[0, [across, up]], (-0.5, -0.5))
        np.testing.assert_array_equal(corners[2, [across, up]], (shape[across] - 0.5, shape[up] - 0.5))
    _, plain = plane(layer, 2, 10, (50.0, 250.0), [])
    _, overlaid = plane(layer, 2, 10, (50.0, 250.0), [(layer.masks[0], [1])])
    changed = (plain != overlaid).any(axis=-1)
    np.testing.assert_array_equal(changed, (layer.masks[0].segmentation.labels[:, :, 10] == 1).T)
