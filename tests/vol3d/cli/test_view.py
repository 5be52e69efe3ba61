"""`vol3d view`: a picture anywhere, a window where there is a screen, else the page; faults in a line."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from tests.vol3d.view.scenes import pixels, write_organs, write_room
from vol3d.cli.main import main
from vol3d.cli.view_options import parse_camera, parse_size, parse_window
from vol3d.errors import UsageError, Vol3dError
from vol3d.view import page
from vol3d.view.scene import Camera, FrameScene, ViewScene
from vol3d.view.window import libraries, window


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """What was opened, instead of opening it; without a display at first."""
    opened: list[tuple[str, object]] = []
    monkeypatch.setattr(page, "serve", lambda scene, port, browser, series: opened.append(("page", port)))
    monkeypatch.setattr(window, "show_window", lambda scene, size, series=(): opened.append(("window", size)))
    monkeypatch.setattr(libraries, "has_display", lambda: False)
    return opened


def test_a_picture_of_boxes_that_find_their_scan(tmp_path: Path, capsys):
    _, boxes = write_room(tmp_path)
    out = tmp_path / "room.png"
    assert main(["view", str(boxes), "--png", str(out), "--size", "640x400", "--camera", "45,30"]) == 0
    assert imread(io.BytesIO(out.read_bytes())).shape[:2] == (400, 640)
    said = capsys.readouterr()
    assert said.out == f"{out}\n" and "note: " in said.err
    assert main(["view", str(boxes), "--png", str(out), "--background", "light"]) == 0
    assert (pixels(out.read_bytes())[0, 0] == 255).all()


def test_boxes_whose_scan_has_gone_give_no_picture_until_it_is_given(tmp_path: Path, capsys):
    scan, boxes = write_room(tmp_path)
    scan.rename(tmp_path / "moved.npy")
    words = ["view", str(boxes), "--png", str(tmp_path / "a.png")]
    assert main(words) == 2 and not (tmp_path / "a.png").exists()
    assert "the scan of this result was not found; wanted room.npy. Give it with --scan." in capsys.readouterr().err
    assert main([*words, "--scan", str(tmp_path / "moved.npy")]) == 0 and (tmp_path / "a.png").exists()


def test_a_picture_never_replaces_what_is_none(tmp_path: Path, capsys):
    out = tmp_path / "a.png"
    words = ["view", str(write_room(tmp_path)[0]), "--png", str(out)]
    out.write_text("my notes")
    assert main(words) == 2 and out.read_text() == "my notes"
    assert "would replace a file that is none" in capsys.readouterr().err
    out.write_bytes(b"")
    assert main(words) == 0 and main(words) == 0


def test_a_picture_without_display_and_without_open3d(tmp_path: Path):
    scan, mask = write_organs(tmp_path)
    code = (
        "import sys; sys.modules['open3d'] = None; from vol3d.cli.main import main;"
        f"sys.exit(main(['view', {str(scan)!r}, {str(mask)!r}, '--png', {str(tmp_path / 'a.png')!r}]))"
    )
    bare = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=bare, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert imread(tmp_path / "a.png").shape[1] == 1280


def test_without_a_display_the_page_is_served(tmp_path: Path, shown):
    assert main(["view", str(write_room(tmp_path)[0]), "--port", "8123"]) == 0
    assert shown == [("page", 8123)]


def test_with_a_display_the_window_opens(tmp_path: Path, shown, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(libraries, "has_display", lambda: True)
    assert main(["view", str(write_room(tmp_path)[0]), "--size", "900x700"]) == 0
    assert shown == [("window", (900, 700))]


def test_a_window_that_does_not_open_is_told_and_the_page_served(tmp_path, shown, monkeypatch, capsys):
    def broken(scene: ViewScene, size: tuple[int, int], series: Sequence[FrameScene] = ()) -> None:
        raise Vol3dError("Open3D needs libEGL.so.1", do="Install: apt-get install -y libegl1")

    monkeypatch.setattr(libraries, "has_display", lambda: True)
    monkeypatch.setattr(window, "show_window", broken)
    assert main(["view", str(write_room(tmp_path)[0])]) == 0
    assert shown == [("page", None)]
    assert "no window: Open3D needs libEGL.so.1. Install: apt-get install -y libegl1" in capsys.readouterr().err
    assert main(["view", str(write_room(tmp_path)[0]), "--window"]) == 1


def test_a_port_that_is_taken_is_told(tmp_path: Path, capsys):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        assert main(["view", str(write_room(tmp_path)[0]), "--page", "--port", str(busy.getsockname()[1])]) == 2
    assert str(busy.fileno()) and "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--png", "a.jpg"], 2, "wanted a name that ends in .png"),
        (["--png", "nowhere/a.png"], 1, "no such folder"),
        (["--png", "a.png", "--page"], 2, "only one of --png, --window and --page"),
        (["--png", "a.png", "--port", "80"], 2, "only the page has a port"),
        (["--png", "a.png", "--size", "big"], 2, "--size: not a size"),
        (["--png", "a.png", "--size", "10x10"], 2, "not a size that can be drawn"),
        (["--png", "a.png", "--camera", "1"], 2, "--camera: not a camera position"),
        (["--png", "a.png", "--color", "heat"], 2, "wanted rgb or class or height"),
        (["--png", "a.png", "--color", "rgb"], 2, "no cloud here has it"),
        (["--png", "a.png", "--classes", "sofa"], 2, "wanted chair, table"),
        (["--png", "a.png", "--score", "2"], 2, "--score"),
        (["--png", "a.png", "--background", "white"], 2, "--background: unknown background; got white, wanted dark or"),
    ],
)
def test_wrong_words_are_told_in_a_line(tmp_path, monkeypatch, capsys, words, code, told):
    monkeypatch.chdir(tmp_path)
    files = [str(path) for path in write_room(tmp_path)]
    assert main(["view", *files, *words]) == code
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("error: ") and told in said[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["room.json", "room.npy"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, capsys):
    scan, _ = write_room(tmp_path)
    (tmp_path / "closed").mkdir(mode=0o500)
    assert main(["view", str(scan), "--png", str(tmp_path / "closed" / "a.png")]) == 1
    assert "no permission" in capsys.readouterr().err


def test_a_picture_that_is_a_folder_is_told(tmp_path: Path, capsys):
    scan, _ = write_room(tmp_path)
    (tmp_path / "a.png").mkdir()
    assert main(["view", str(scan), "--png", str(tmp_path / "a.png")]) == 1
    assert "a folder is in the output's place" in capsys.readouterr().err


def test_a_scan_that_is_none_is_told(tmp_path: Path, capsys):
    np.save(tmp_path / "a.npy", np.full((4, 3), np.inf, np.float32))
    assert main(["view", str(tmp_path / "a.npy"), "--png", str(tmp_path / "a.png")]) == 1
    (tmp_path / "b.docx").write_text("hello")
    assert main(["view", str(tmp_path / "b.docx")]) == 2
    assert all(line.startswith("error: ") for line in capsys.readouterr().err.splitlines())


def test_sizes_and_viewpoints():
    assert parse_size("1920X1080") == (1920, 1080)
    assert parse_camera("45,-30") == Camera(45.0, -30.0, 1.0) and parse_camera("1,2,3").zoom == 3
    for text in ("", "1,2,3,4", "1,90", "nan,3", "1,nan", "a,b", "1,2,0"):
        with pytest.raises(UsageError):
            parse_camera(text)
    for text in ("", "x", "12x", "-5x400", "99999x99999", "1e3x400"):
        with pytest.raises(UsageError):
            parse_size(text)


def test_a_window_of_grey_values():
    assert parse_window("400,40") == (-160.0, 240.0) and parse_window("1500,-600") == (-1350.0, 150.0)
    for text in ("", "400", "0,40", "-1,3", "nan,1", "inf,1", "a,b", "1,2,3"):
        with pytest.raises(UsageError, match="not a window"):
            parse_window(text)


def test_grey_values_of_a_volume_can_be_chosen_and_points_have_none(tmp_path: Path, capsys):
    scan, _ = write_organs(tmp_path)
    cloud, _ = write_room(tmp_path)
    usual, chosen = tmp_path / "usual.png", tmp_path / "chosen.png"
    assert main(["view", str(scan), "--png", str(usual)]) == 0
    assert main(["view", str(scan), "--png", str(chosen), "--window-level", "2000,1000"]) == 0
    assert imread(chosen)[..., :3].mean() < 0.8 * imread(usual)[..., :3].mean()
    assert main(["view", str(cloud), "--png", str(usual), "--window-level", "400,40"]) == 2
    assert "only volumes have grey values" in capsys.readouterr().err
