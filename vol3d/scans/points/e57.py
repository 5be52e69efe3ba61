"""E57 (ASTM E2807) of terrestrial scanners through pye57, an optional package: all scans of a file in its frame.

Its library is C++ and decodes in a process of its own. Coordinates are metres, as the standard states.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from vol3d.errors import DataError, Vol3dError
from vol3d.notes import Note
from vol3d.scans.child import Decoded, decode_in_child
from vol3d.scans.points.length_unit import StatedUnit
from vol3d.scans.points.raw import RawPoints, check_memory

INSTALL = "Run `pip install 'vol3d[e57]'`."
_TIMES, _BESIDES = 16, 256 << 20  # bytes per byte of the file that decoding takes, and in any case
_NAMES = {"cartesianX": "x", "cartesianY": "y", "cartesianZ": "z", "intensity": "intensity"}
_NAMES |= {"colorRed": "red", "colorGreen": "green", "colorBlue": "blue"}


def read_e57(path: Path) -> RawPoints:
    """The points of every scan, each moved by the pose that the file states for it.

    Raises:
        DataError: damaged, cut, or without points.
        Vol3dError: pye57 is not installed.
    """
    if importlib.util.find_spec("pye57") is None:
        raise Vol3dError("E57 files need the package pye57", where=path, do=INSTALL)
    needed = _TIMES * path.stat().st_size + _BESIDES
    check_memory(path, needed)
    fields, facts = decode_in_child(decode_e57, path, memory=needed)
    text = "the points of {scans} scans were joined by the poses of the file"
    notes = (Note("scans-joined", text, numbers={"scans": facts["scans"]}),) if facts["scans"] > 1 else ()
    return RawPoints(fields, notes=notes, unit=StatedUnit(1.0))


def decode_e57(path: Path) -> Decoded:
    """Columns that all scans have, by name, and how many scans there are. Raises DataError without any."""
    import pye57

    file = pye57.E57(str(path))
    scans = [
        file.read_scan(number, intensity=True, colors=True, ignore_missing_fields=True, transform=True)
        for number in range(file.scan_count)
    ]
    if not scans:
        raise DataError("no scan in the file", where=path)
    shared = set(scans[0]).intersection(*scans)
    fields = {ours: np.concatenate([scan[name] for scan in scans]) for name, ours in _NAMES.items() if name in shared}
    return fields, {"scans": len(scans)}
