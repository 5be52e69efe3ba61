"""The Open3D window, in a separate process: a crash of its driver never ends the command."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from vol3d.errors import Vol3dError
from vol3d.view.scene import FrameScene, ViewScene
from vol3d.view.window.libraries import explain_open3d, screen_is_gone, why_no_window
from vol3d.view.window.names import BoxNames
from vol3d.view.window.panel import SHOWN, toolkit

_PANEL_EM = 19
_LOOK_S = 2.0  # how often the screen is looked for
_END_S = 10.0  # that the window's process may take to end


def show_window(scene: ViewScene, size: tuple[int, int] = (1280, 800), series: Sequence[FrameScene] = ()) -> None:
    """Show the scene until its window is closed.

    Args:
        size: in pixels.
        series: the clouds of a recording, the first of which is `scene`, to choose from.

    Raises:
        Vol3dError: there is no display, Open3D or a system library is missing (with the line that installs it), or the
            graphics driver failed.
    """
    fault = why_no_window()
    if fault is not None:
        raise fault
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(scene, size, series, theirs), daemon=True)
    process.start()
    theirs.close()
    said: list[Vol3dError | None] = []
    what = "the graphics driver ended the window"
    try:
        if _answers(ours):
            said.append(ours.recv())
        else:
            what = "the screen of the window is gone"
    except EOFError:
        pass
    finally:
        if not said:
            process.terminate()
        process.join(_END_S)
        process.kill()
        process.join()
    if not said:
        do = "vol3d view --page shows the scene in a browser, vol3d doctor describes this machine."
        raise Vol3dError(what, got=f"exit code {process.exitcode}", do=do)
    if said[0] is not None:
        raise said[0]


def _answers(window: Connection) -> bool:
    """Waits for the window's process. False if its screen went first: then Mesa may wait for the screen for ever."""
    watched = not screen_is_gone()
    while not window.poll(_LOOK_S):
        if watched and screen_is_gone():
            return window.poll(_LOOK_S)
    return True


def _run(scene: ViewScene, size: tuple[int, int], series: Sequence[FrameScene], parent: Connection) -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # the renderer prints all that it does
        os.dup2(silence, stream)

    def end() -> None:
        parent.send(None)
        os._exit(0)  # taking Open3D's renderer down ends in a segmentation fault

    try:
        ViewWindow(scene, size, end, series).run()
        end()
    except KeyboardInterrupt:
        end()
    except Exception as error:
        parent.send(error if isinstance(error, Vol3dError) else explain_open3d(error))
        os._exit(0)


class ViewWindow:
    """The scene on the left, what can be changed on the right."""

    def __init__(
        self,
        scene: ViewScene,
        size: tuple[int, int],
        closed: Callable[[], None],
        series: Sequence[FrameScene] = (),
    ) -> None:
        from open3d.visualization import rendering

        gui = toolkit()
        app = gui.Application.instance
        app.initialize()
        self.window = app.create_window(f"{scene.title} - vol3d", *size)
        self.em = self.window.theme.font_size
        self.stage = gui.SceneWidget()
        self.stage.scene = rendering.Open3DScene(self.window.renderer)
        self.stage.scene.view.set_post_processing(False)  # it would change the colours
        # All materials bring their own light; shadows only cost time.
        self.stage.scene.set_lighting(rendering.Open3DScene.LightingProfile.NO_SHADOWS, [0.0, 0.0, -1.0])
        self.stage.scene.view.set_shadowing(False)
        self.stage.scene.scene.enable_sun_light(False)
        self.stage.scene.scene.enable_indirect_light(False)
        self.stage.scene.set_background([*SHOWN[list(scene.opening.theme.rgb)] / 255, 1.0])
        self.side = gui.ScrollableVert(0.4 * self.em, gui.Margins(0.8 * self.em, 0.6 * self.em, 1.3 * self.em, 0))
        self.window.add_child(self.stage)
        self.window.add_child(self.side)
        self.window.set_on_layout(self._lay_out)
        self.window.set_on_close(closed)
        self._gui, self._app = gui, app
        self.names = BoxNames(self.window, self.stage, scene.opening.theme)
        self.window.set_on_tick_event(self.names.place)
        self.content = self._fill(scene, size, series)

    def run(self) -> None:
        """Returns when the window is closed."""
        self._app.run()

    def _fill(self, scene: ViewScene, size: tuple[int, int], series: Sequence[FrameScene]) -> Any:
        stage = (max(size[0] - _PANEL_EM * self.em, size[0] // 2), size[1])
        scene = scene.on_background()
        if scene.volume is not None:
            from vol3d.view.window.volume import VolumeContent

            return VolumeContent(scene, scene.volume, self.stage, self.side, stage)
        from vol3d.view.window.clouds import CloudContent

        series = [one._replace(scene=one.scene.on_background()) for one in series]
        return CloudContent(scene, self.stage, self.side, self.names, stage, series)

    def _lay_out(self, _context: Any) -> None:
        area = self.window.content_rect
        panel = min(_PANEL_EM * self.em, area.width // 2)
        self.stage.frame = self._gui.Rect(area.x, area.y, area.width - panel, area.height)
        self.side.frame = self._gui.Rect(area.x + area.width - panel, area.y, panel, area.height)
