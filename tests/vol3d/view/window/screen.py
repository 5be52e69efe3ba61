"""A screen in memory (Xvfb) whose pixels can be read."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest


class Screen:
    """An X server and the file that holds its pixels."""

    def __init__(self, folder: Path, server: subprocess.Popen[bytes], number: int) -> None:
        self.server, self.file = server, folder / "Xvfb_screen0"
        self.environment = {**os.environ, "DISPLAY": f":{number}", "LIBGL_ALWAYS_SOFTWARE": "1"}
        self.environment.pop("WAYLAND_DISPLAY", None)

    def pixels(self) -> np.ndarray:
        """(height, width, 3) uint8: the screen as it is now (an XWD file of version 7)."""
        raw = self.file.read_bytes()
        header = struct.unpack(">25I", raw[:100])
        size, width, height, stride, colours = header[0], header[4], header[5], header[12], header[19]
        table = np.frombuffer(raw, np.uint8, height * stride, size + 12 * colours).reshape(height, stride // 4, 4)
        return table[:, :width, 2::-1].copy()

    def close(self) -> None:
        self.server.kill()
        self.server.wait()


@contextmanager
def screen(folder: Path, size: str = "1280x800x24") -> Iterator[Screen]:
    """A screen of its own, wherever there is Xvfb."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb; apt-get install -y xvfb")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", size, "-fbdir", str(folder), "-nolisten", "tcp"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        number = server.stdout.readline().strip()
        if not number:
            pytest.skip("Xvfb does not start here")
        yield Screen(folder, server, int(number))
    finally:
        server.kill()
        server.wait()
