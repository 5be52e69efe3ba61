"""What is compared: cases of two evaluations, or seeds of two trainings."""

from __future__ import annotations

from pathlib import Path

from vol3d.comparison.cases import compare_cases
from vol3d.comparison.result import Comparison
from vol3d.comparison.scores import read_scores
from vol3d.comparison.seeds import compare_seeds, seed_folders
from vol3d.errors import UsageError


def compare(a: Path, b: Path) -> Comparison:
    """The comparison that `vol3d.api.compare` describes."""
    seeds = [bool(seed_folders(path)) for path in (a, b)]
    if all(seeds):
        return compare_seeds(a, b)
    if any(seeds):
        several, single = (a, b) if seeds[0] else (b, a)
        got = f"{several} with seeds, {single} without"
        do = f"Give one of the runs in {several}, or a folder of seeds for both."
        raise UsageError("one of the two is a training with several seeds", got=got, do=do)
    return compare_cases(read_scores(a), read_scores(b))
