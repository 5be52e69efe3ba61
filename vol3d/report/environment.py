"""Which versions made a number; read from the installed packages without importing them."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from vol3d import __version__

PACKAGES = ("torch", "monai", "numpy", "scipy", "numba", "nibabel", "pydicom", "SimpleITK", "safetensors", "matplotlib")


def versions() -> dict[str, str]:
    """vol3d, Python, the operating system and the packages that results depend on -> version, or `not installed`."""
    known = {"vol3d": __version__, "python": platform.python_version(), "system": platform.platform(terse=True)}
    return known | {name: installed(name) or "not installed" for name in PACKAGES}


@cache
def installed(package: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
