"""The command's end of the page: what is printed, when a browser is opened, how it stops."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.conftest import PROJECT
from tests.vol3d.view.page.scenes import room
from vol3d.view.page import serve
from vol3d.view.page.server import PageServer
from vol3d.view.page.serving import has_display

PROGRAM = """
from tests.vol3d.view.page.scenes import room
from vol3d.view.page import serve
serve(room(), open_browser=False)
"""
SSH = {"DISPLAY": ":0", "SSH_CONNECTION": "a"}


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_it_prints_address_and_tunnel_and_ctrl_c_ends_it_without_a_traceback():
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(4)]
        url = re.search(r"http://127\.0\.0\.1:(\d+)/[\w-]{32}/", lines[0])
        assert url is not None and re.search(rf"ssh -L {url[1]}:127\.0\.0\.1:{url[1]} \S+@\S+", lines[1])
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert b"<title>" in opener.open(url[0], timeout=20).read()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    assert (running.returncode, out.strip(), err) == (0, "Stopped.", "")


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        ({}, False),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "w"}, True),
        (SSH, False),
    ],
)
def test_a_browser_is_opened_where_it_would_be_seen(
    environment: dict[str, str], seen: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "environ", environment)
    assert has_display() is seen


def test_what_the_browser_is_given_does_not_hold_the_token(monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(PageServer, "serve_forever", stop)
    serve(room())
    assert len(opened) == 1 and opened[0].startswith("http://127.0.0.1:") and not opened[0].endswith("/")


def stop(server: PageServer, poll_interval: float) -> None:
    raise KeyboardInterrupt
