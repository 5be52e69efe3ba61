"""Which folders of data hold scenes that a generator made: each records there what they were made with."""

from __future__ import annotations

import json
from pathlib import Path

INDEXES = ("rooms.json", "drives.json", "kitti.json")
"""Names of these records, by generator."""


def is_generated(folder: Path) -> bool:
    """Whether a generator of this package wrote the data set in the folder."""
    return any(_has_seed(folder / name) for name in INDEXES)


def _has_seed(path: Path) -> bool:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and "seed" in facts
