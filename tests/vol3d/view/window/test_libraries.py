"""What Open3D lacks is named, with the line that installs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vol3d.view.window.screen import screen
from vol3d.view.window import libraries
from vol3d.view.window.libraries import explain_open3d, missing_libraries, why_no_window


def test_the_library_in_an_import_error_is_named_with_its_packages():
    error = ImportError("libusb-1.0.so.0: cannot open shared object file: No such file or directory")
    told = str(explain_open3d(error))
    assert "libusb-1.0.so.0" in told
    assert "apt-get install -y libusb-1.0-0" in told and "dnf install -y libusb1" in told


def test_a_library_that_nobody_thought_of_is_named_too():
    told = str(explain_open3d(OSError("libnew.so.3: cannot open shared object file: No such file or directory")))
    assert "libnew.so.3" in told and "apt-get install -y libnew.so.3" in told


def test_without_vulkan_its_drivers_are_named():
    told = str(explain_open3d(RuntimeError("Failed to load vulkan library!")))
    assert "apt-get install -y libvulkan1 mesa-vulkan-drivers" in told


def test_other_faults_are_told_in_a_line():
    assert str(explain_open3d(RuntimeError("first\nsecond"))).endswith("(RuntimeError: first)")
    assert "pip install 'vol3d[viewer]'" in str(explain_open3d(ModuleNotFoundError("no open3d", name="open3d")))


def test_libraries_that_do_not_load_are_found(monkeypatch: pytest.MonkeyPatch):
    def load(name: str) -> None:
        if name in ("libusb-1.0.so.0", "libEGL.so.1"):
            raise OSError(name)

    monkeypatch.setattr(libraries.sys, "platform", "linux")
    monkeypatch.setattr(libraries.ctypes, "CDLL", load)
    monkeypatch.setattr(libraries, "find_spec", lambda name: object())
    assert missing_libraries() == ["libusb-1.0.so.0", "libEGL.so.1"]
    told = str(why_no_window())
    assert "libusb-1.0.so.0 and libEGL.so.1" in told and "apt-get install -y libusb-1.0-0 libegl1" in told


def test_without_open3d_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    assert "pip install 'vol3d[viewer]'" in str(why_no_window())


def test_without_a_display_there_is_no_window(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: object())
    monkeypatch.setattr(libraries, "missing_libraries", list)
    monkeypatch.setattr(libraries.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert "no display" in str(why_no_window())
    monkeypatch.setenv("DISPLAY", ":0")
    assert why_no_window() is None


def test_a_screen_of_this_machine_that_is_gone_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with screen(tmp_path) as shown:
        monkeypatch.setenv("DISPLAY", f"{shown.environment['DISPLAY']}.0")
        assert not libraries.screen_is_gone()
        shown.close()
        assert libraries.screen_is_gone()
    for elsewhere in ("", "host:10.0", "localhost:10"):
        monkeypatch.setenv("DISPLAY", elsewhere)
        assert not libraries.screen_is_gone()
