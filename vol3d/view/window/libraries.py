"""Whether Open3D can open a window here; if not, what is missing and the line that installs it."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import sys
from importlib.util import find_spec

from vol3d.errors import Vol3dError

INSTALL = "pip install 'vol3d[viewer]'"
# System library -> its package in Debian and Ubuntu, and in Fedora and RHEL.
PACKAGES = {
    "libusb-1.0.so.0": ("libusb-1.0-0", "libusb1"),
    "libGL.so.1": ("libgl1", "libglvnd-glx"),
    "libEGL.so.1": ("libegl1", "libglvnd-egl"),
    "libX11.so.6": ("libx11-6", "libX11"),
    "libudev.so.1": ("libudev1", "systemd-libs"),
    "libidn2.so.0": ("libidn2-0", "libidn2"),
    "libgomp.so.1": ("libgomp1", "libgomp"),
    "libvulkan.so.1": ("libvulkan1", "vulkan-loader"),
}
# Without a GPU that has its own driver, Vulkan draws with Mesa's.
_DRIVERS = ("mesa-vulkan-drivers", "mesa-vulkan-drivers")
_ABSENT = re.compile(r"(lib[\w.+-]*\.so[\w.]*): cannot open shared object file")


def has_display() -> bool:
    """Whether there is a screen to open a window on."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def screen_is_gone() -> bool:
    """Whether the X server of this machine that DISPLAY names does not answer; of one elsewhere nothing is known."""
    local = re.fullmatch(r"(?:unix)?:(\d+)(?:\.\d+)?", os.environ.get("DISPLAY", ""))
    if local is None or not hasattr(socket, "AF_UNIX"):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(f"/tmp/.X11-unix/X{local[1]}")
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:  # busy, or closed to us
            return False
    return False


def missing_libraries() -> list[str]:
    """System libraries that Open3D needs and the loader does not find; looked for on Linux only."""
    return [name for name in PACKAGES if not _loads(name)] if sys.platform.startswith("linux") else []


def why_no_window() -> Vol3dError | None:
    """What keeps Open3D from opening a window, as far as can be found without importing it; None: nothing."""
    if find_spec("open3d") is None:
        return Vol3dError("Open3D, which draws the window, is not installed", do=f"Install it: {INSTALL}")
    missing = missing_libraries()
    if missing:
        return _without(missing)
    if not has_display():
        do = "vol3d view --page and --png need none."
        return Vol3dError("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)", do=do)
    return None


def explain_open3d(error: Exception) -> Vol3dError:
    """What an error of importing or starting Open3D means for the user."""
    text = str(error)
    absent = _ABSENT.search(text)
    if absent:
        return _without([absent[1]])
    if "vulkan" in text.lower():
        return _without(["libvulkan.so.1"])
    if isinstance(error, ModuleNotFoundError) and error.name == "open3d":
        return Vol3dError("Open3D, which draws the window, is not installed", do=f"Install it: {INSTALL}")
    first = (text.strip().splitlines() or ["no reason given"])[0]
    return Vol3dError(f"Open3D cannot open a window ({type(error).__name__}: {first})")


def install_lines(missing: list[str]) -> str:
    """The commands that install system libraries, for both families of Linux."""
    packages = [PACKAGES.get(name, (name, name)) for name in missing]
    if "libvulkan.so.1" in missing:
        packages.append(_DRIVERS)
    apt, dnf = (" ".join(dict.fromkeys(names)) for names in zip(*packages, strict=True))
    return f"apt-get install -y {apt}   (Fedora, RHEL: dnf install -y {dnf})"


def _without(missing: list[str]) -> Vol3dError:
    what = f"Open3D needs {' and '.join(missing)}, which this system lacks"
    return Vol3dError(what, do=f"Install: {install_lines(missing)}")


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
