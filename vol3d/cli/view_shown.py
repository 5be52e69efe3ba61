"""How `vol3d view` shows a scene: as a picture, in a window or on a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vol3d.errors import UsageError

if TYPE_CHECKING:
    from vol3d.view.scene import FrameScene, ViewScene


class Shown(NamedTuple):
    """How clouds are shown.

    Args:
        png: the pictures are `NAME-000020.png` of `NAME.png`; None shows the page or the window.
        window: a window, whatever the display.
        page: the page.
        port: of the page.
        size: of a picture or the window, pixels.
        as_json: pictures are listed as JSON.
    """

    png: Path | None
    window: bool
    page: bool
    port: int | None
    size: tuple[int, int]
    as_json: bool

    def check(self) -> None:
        """Asked before anything is read.

        Raises:
            UsageError: options that exclude one another; as `check_picture`.
        """
        if self.as_json and self.png is None:
            raise UsageError("a window or a page has no result to print", where="--json", do="Add --png OUT.png.")
        if sum((self.png is not None, self.window, self.page)) > 1:
            raise UsageError("only one of --png, --window and --page can be shown")
        if self.port is not None and (self.png is not None or self.window):
            raise UsageError("only the page has a port", where="--port", got=self.port)
        if self.png is not None:
            from vol3d.view.show import check_picture

            check_picture(self.png)

    def open(self, scene: ViewScene, series: Sequence[FrameScene] = ()) -> None:
        """The window or the page, until it is closed.

        Args:
            series: the clouds of a recording, the first of which is `scene`.
        """
        from vol3d.view.show import shown_in_window

        if self.window:
            from vol3d.view.window.window import show_window

            show_window(scene, self.size, series)
        elif self.page or not shown_in_window(scene, self.size, series):
            from vol3d.view.page import serve

            serve(scene, self.port, True, series)
