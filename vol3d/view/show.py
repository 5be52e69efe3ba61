"""The viewer on files, whatever this machine has: a picture, a window, or a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vol3d.errors import UsageError, Vol3dError
from vol3d.files import require_file
from vol3d.output import require_output
from vol3d.terminal import say

if TYPE_CHECKING:
    from vol3d.view.scene import FrameScene, ViewScene
    from vol3d.view.theme import Background

SIZE = (1280, 800)
_PNG = b"\x89PNG"


def show(
    paths: Sequence[Path], png: Path | None = None, scan: Path | None = None, background: Background = "dark"
) -> None:
    """Shows scans and results together, as `load_view` reads them.

    Args:
        png: write a picture there; None opens a window where there is a display, else serves a page until Ctrl-C.
        scan: the scan that the results belong to, whatever they say.
        background: `light` for print and slides.

    Raises:
        DataError, UsageError: as `load_view`.
    """
    from vol3d.view.load.read import load_view
    from vol3d.view.scene import Opening

    scene = load_view(paths, Opening(background=background), scan=scan)
    if png is not None:
        write_picture(scene, png, SIZE)
    elif not shown_in_window(scene, SIZE):
        from vol3d.view.page import serve

        serve(scene, None, True)


def picture(
    paths: Sequence[Path],
    scan: Path | None = None,
    size: tuple[int, int] = SIZE,
    background: Background = "dark",
) -> bytes:
    """Scans and results together as the bytes of a PNG; raises as `show`."""
    from vol3d.view.draw.picture import draw_scene
    from vol3d.view.load.read import load_view
    from vol3d.view.scene import Opening

    return draw_scene(load_view(paths, Opening(background=background), scan=scan), size)


def write_picture(scene: ViewScene, path: Path, size: tuple[int, int]) -> None:
    """The scene as a PNG file, whole or not at all; raises as `check_picture`."""
    from vol3d.files import write_bytes
    from vol3d.view.draw.picture import draw_scene

    check_picture(path)
    write_bytes(path, draw_scene(scene, size))


def check_picture(path: Path) -> None:
    """Asked before anything is read.

    Raises:
        UsageError: the name does not end in `.png`, or a file of that name is no picture.
        Vol3dError: the folder is missing or read-only, or the disk is full.
    """
    if path.suffix.lower() != ".png":
        raise UsageError("the picture is a PNG", where="--png", got=path, wanted="a name that ends in .png")
    if not path.parent.is_dir():
        raise Vol3dError("no such folder", where=path.parent, do="Create it first.")
    require_output(path, folder=False)
    if path.exists() and path.stat().st_size and not _head(path).startswith(_PNG):
        raise UsageError("the picture would replace a file that is none", where=path, do="Choose another name.")


def _head(path: Path) -> bytes:
    with require_file(path).open("rb") as file:
        return file.read(len(_PNG))


def shown_in_window(scene: ViewScene, size: tuple[int, int], series: Sequence[FrameScene] = ()) -> bool:
    """Tries the window where there is a display, and prints why there is none if it fails."""
    from vol3d.view.window.libraries import has_display
    from vol3d.view.window.window import show_window

    if not has_display():
        return False
    try:
        show_window(scene, size, series)
    except Vol3dError as fault:
        say(f"no window: {fault}")
        return False
    return True
