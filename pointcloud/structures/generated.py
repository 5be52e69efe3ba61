"""Which folders of data hold scenes that a generator made: each records there what they were made with."""

from __future__ import annotations

from pathlib import Path

from vol3d.errors import DataError
from vol3d.files import read_json

INDEXES = ("rooms.json", "frames.json", "drives.json", "kitti.json")
"""Names of these records, by generator."""


def is_generated(folder: Path) -> bool:
    """Whether a generator of this package wrote the data set in the folder."""
    return any(_has_seed(folder / name) for name in INDEXES)


def _has_seed(path: Path) -> bool:
    try:
        facts = read_json(path)
    except DataError:
        return False
    return isinstance(facts, dict) and "seed" in facts
