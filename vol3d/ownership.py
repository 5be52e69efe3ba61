"""Whether `pointcloud` and `medical` are this project's: other projects have published packages of these names.

Nothing of them is imported to find out.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

from vol3d.errors import Vol3dError

OURS = ("pointcloud", "medical")


def foreign_folder(package: str) -> Path | None:
    """Where Python would import the package from, if that is not beside `vol3d`; None: it is ours.

    A package that is not installed at all is looked for beside `vol3d`, and that folder is returned.
    """
    ours = Path(__file__).resolve().parents[1] / package
    try:
        spec = find_spec(package)
    except ValueError:  # a module that was put into `sys.modules` by hand
        return None
    places = [Path(place).resolve() for place in (spec.submodule_search_locations or ())] if spec else []
    if ours in places[:1]:
        return None
    origin = Path(spec.origin) if spec and spec.origin else ours
    return places[0] if places else origin


@cache
def require_ours(package: str) -> None:
    """Refuse to go on with another project's package under one of our names.

    Raises:
        Vol3dError: names its folder, and what to do.
    """
    if package not in OURS or (folder := foreign_folder(package)) is None:
        return
    do = f"Run 'pip uninstall {package}' or rename that folder, then install vol3d again."
    wanted = Path(__file__).resolve().parents[1] / package
    raise Vol3dError(f"another project's package is called '{package}' too", where=folder, wanted=wanted, do=do)


def describe(package: str) -> str:
    """A line for `vol3d doctor`: pass, or whose the package is."""
    if (folder := foreign_folder(package)) is not None:
        return f"another project's: {folder}; pip uninstall {package}, then install vol3d again"
    others = sorted(set(packages_distributions().get(package, ())) - {"vol3d"})
    if others:
        return f"{', '.join(others)} writes into its folder; pip uninstall {others[0]}, then install vol3d again"
    return "pass"
