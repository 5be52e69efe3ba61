"""A headless Chromium, driven by its own driver over HTTP, with nothing to install from PyPI."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from typing import Any

import pytest

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    *(
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--force-prefers-reduced-motion",
    ),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
    # The page needs nothing but its server, and the test proves it: no other name can be resolved.
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
    *("--disable-default-apps", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server"),
)


def missing() -> str | None:
    """What of Chromium is not installed here."""
    if not any(shutil.which(name) for name in _CHROMIUM):
        return "no Chromium; Debian: apt-get install chromium chromium-driver"
    return None if shutil.which("chromedriver") else "no chromedriver; Debian: apt-get install chromium-driver"


class Browser:
    """One window; a context manager that closes it."""

    def __init__(self, width: int = 1100, height: int = 720) -> None:
        if reason := missing():
            pytest.skip(reason)
        command = [str(shutil.which("chromedriver")), "--port=0"]
        self._driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            self._root = f"http://127.0.0.1:{self._port()}"
            options = {"args": [*_FLAGS, f"--window-size={width},{height}"], "binary": self._binary()}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._root += f"/session/{session['sessionId']}"
        except BaseException:
            self._driver.kill()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", "", None)
        finally:
            self._driver.terminate()
            self._driver.wait(10)

    def open(self, url: str) -> None:
        """Loads a page."""
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        """What the body of a function in JavaScript returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def click(self, x: int, y: int) -> None:
        """A click of the mouse at a point of the page, as the user's own."""
        pointer = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}}
        moves = [{"type": "pointerMove", "x": x, "y": y}, {"type": "pointerDown", "button": 0}]
        self._ask(
            "POST", "/actions", {"actions": [{**pointer, "actions": [*moves, {"type": "pointerUp", "button": 0}]}]}
        )

    def screenshot(self) -> bytes:
        """The window as a PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot", None))

    def log(self) -> list[str]:
        """What the console said since the last call, but for the performance remarks of software WebGL."""
        entries = self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if "GPU stall due to ReadPixels" not in entry["message"]]

    def _binary(self) -> str:
        return next(path for name in _CHROMIUM if (path := shutil.which(name)))

    def _port(self) -> int:
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                return int(found[1])
        raise RuntimeError("chromedriver did not start")

    def _ask(self, method: str, path: str, content: dict[str, Any] | None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._root + path, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.loads(error.read())["value"]["message"]) from error
