"""E57 (ASTM E2807) of terrestrial scanners through pye57, an optional package: all scans of a file in its frame.

Its library is C++ and decodes in a process of its own. Coordinates are metres, as the standard states.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    return RawPoints(fields, notes=_notes(facts), unit=StatedUnit(1.0))


def _notes(facts: Mapping[str, Any]) -> tuple[Note, ...]:
    """What was joined and what was left out."""
    notes = []
    if facts["scans"] > 1:
        text = "the points of {scans} scans were joined by the poses of the file"
        notes.append(Note("scans-joined", text, numbers={"scans": facts["scans"]}))
    if facts["not_shared"]:
        text = "the columns {value} were left out: not all scans of the file have them"
        notes.append(Note("columns-not-shared", text, value=facts["not_shared"]))
    if facts["invalid"]:
        text = "{left_out} of {points} points are marked as invalid in the file and were left out"
        numbers = {"left_out": facts["invalid"], "points": facts["points"]}
        notes.append(Note("points-invalid", text, numbers=numbers))
    return tuple(notes)


def decode_e57(path: Path) -> Decoded:
    """Columns that all scans have, by name, and what else they are. Raises DataError without any scan."""
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
    lost = sorted(_NAMES[name] for name in set().union(*scans) - shared if name in _NAMES)
    points = sum(file.get_header(number).point_count for number in range(file.scan_count))
    about = {"scans": len(scans), "not_shared": ", ".join(lost), "points": points}
    return fields, {**about, "invalid": points - len(fields["x"])}
