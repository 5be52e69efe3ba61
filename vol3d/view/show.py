"""The viewer on files, whatever this machine has: a picture, a window, or a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vol3d.errors import Vol3dError
from vol3d.terminal import say

if TYPE_CHECKING:
    from vol3d.view.scene import ViewScene

SIZE = (1280, 800)


def show(paths: Sequence[Path], png: Path | None = None) -> None:
    """Shows scans and results together, as `load_view` reads them.

    Args:
        png: write a picture there; None opens a window where there is a display, else serves a page until Ctrl-C.

    Raises:
        DataError, UsageError: as `load_view`.
    """
    from vol3d.view.load.read import load_view

    scene = load_view(paths)
    if png is not None:
        from vol3d.files import write_bytes
        from vol3d.view.draw.picture import draw_scene

        write_bytes(png, draw_scene(scene, SIZE))
    elif not shown_in_window(scene, SIZE):
        from vol3d.view.page import serve

        serve(scene, None, True)


def shown_in_window(scene: ViewScene, size: tuple[int, int]) -> bool:
    """Tries the window where there is a display, and prints why there is none if it fails."""
    from vol3d.view.window.libraries import has_display
    from vol3d.view.window.window import show_window

    if not has_display():
        return False
    try:
        show_window(scene, size)
    except Vol3dError as fault:
        say(f"no window: {fault}")
        return False
    return True
