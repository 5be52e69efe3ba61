"""Shows a scene in a browser: on this machine, or through SSH on the user's own."""

from __future__ import annotations

import getpass
import os
import socket
import sys
import webbrowser
from collections.abc import Callable, Sequence
from functools import cache, partial

from vol3d.terminal import tell
from vol3d.view.page.payload import Payload, describe
from vol3d.view.page.server import PageServer
from vol3d.view.scene import FrameScene, ViewScene


def serve(
    scene: ViewScene, port: int | None = None, open_browser: bool = True, series: Sequence[FrameScene] = ()
) -> None:
    """Serves the scene on 127.0.0.1 until Ctrl-C; prints the address and the `ssh -L` line that brings it elsewhere.

    Args:
        port: a free one is taken where none is given.
        open_browser: opens the page where there is a display and the session is not over SSH.
        series: the clouds of a recording, the first of which is `scene`; the page goes from one to the next.

    Raises:
        UsageError: the port is taken, not allowed, or none.
    """
    pages = pages_of(series)
    with PageServer(pages[series[0].number]() if series else describe(scene), port, pages) as server:
        tell("\n".join(instructions(server)))
        if open_browser and has_display():
            webbrowser.open(server.ticket_url)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            tell("\nStopped.")


def pages_of(series: Sequence[FrameScene]) -> dict[int, Callable[[], Payload]]:
    """Number -> makes what the page gets of a cloud, once; each has the numbers of all."""
    numbers = [one.number for one in series]

    def make(one: FrameScene) -> Payload:
        payload = describe(one.scene)
        payload.description["frames"] = {"numbers": numbers, "now": one.number}
        return payload

    return {one.number: cache(partial(make, one)) for one in series}


def instructions(server: PageServer) -> list[str]:
    """What the user reads while the page is served."""
    port = server.server_port
    return [
        f"Open in a browser:     {server.url}",
        f"From another machine:  ssh -L {port}:127.0.0.1:{port} {user_name()}@{socket.gethostname()}",
        "                       there first; then the address above works in the browser there.",
        "Ctrl-C stops. Only those who have the whole address can see the scan.",
    ]


def user_name() -> str:
    """The name to log in with; `USER` where the system does not know it (containers)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "USER"


def has_display() -> bool:
    """Whether a browser started here would be seen by the user."""
    if "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform in ("darwin", "win32") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))
