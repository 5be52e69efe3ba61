"""Models of folds on the real KITTI frames that each of them has not seen, scored one by one and together.

    python -m benchmarks.kitti_real NAME RUN [RUN ...] [KEY=VALUE ...]

Each run was trained on data of its own (`data.root`), whose `ImageSets/val.txt` has the drives that were kept from it.
Writes benchmarks/results/kitti_real_NAME.json: AP in space and from above, 40 recalls, at the benchmark's overlaps and
at the looser ones, of each class for each run and for the frames of all runs together. Settings such as `test_flips=y`
go to every run.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch

from benchmarks.common import one_thread, print_table, save
from pointcloud.evaluation.kitti import KittiScored, evaluate_kitti
from pointcloud.evaluation.kitti_truth import KittiReader, kitti_scored
from pointcloud.metrics.kitti.rules import CLASSES
from pointcloud.tasks.lidar import LidarTask
from vol3d import checkpoint
from vol3d.checkpoint import Loaded


def frames_of(loaded: Loaded) -> Iterator[KittiScored]:
    """The frames that were kept from a run, with what it finds in them."""
    task = cast(LidarTask, loaded.task)
    for reader in cast(list[KittiReader], task.scored_scenes()):
        cloud = reader.read().cloud
        found, _ = task.detect_on_ground(loaded.models, cloud, torch.device("cpu"))
        yield kitti_scored(reader, cloud, found)


def rows_of(name: str, scored: list[KittiScored]) -> list[dict[str, Any]]:
    """A row for each class."""
    summary = evaluate_kitti(scored).summary
    rows = []
    for label in CLASSES:
        exact, loose = summary["classes"][label], summary["with_loose_overlaps"][label]
        row = {"run": name, "frames": len(scored), "class": label, "objects": exact["ground_truths"]}
        row |= {key: _rounded(value) for key, value in exact.items() if key.startswith(("ap3d", "apbev"))}
        rows.append(row | {f"loose_{key}": _rounded(value) for key, value in loose.items()})
    return rows


def _rounded(value: float) -> float | None:
    """Four places; None where there is no object."""
    return None if math.isnan(value) else round(value, 4)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("words", nargs="+", metavar="RUN or KEY=VALUE")
    given = parser.parse_args()
    changes = [word for word in given.words if "=" in word]
    one_thread()

    rows: list[dict[str, Any]] = []
    everything: list[KittiScored] = []
    for run in (word for word in given.words if "=" not in word):
        scored = list(frames_of(checkpoint.load(run, changes=changes)))
        rows += rows_of(Path(run).name, scored)
        everything += scored
    rows += rows_of("all", everything)
    shown = ("run", "frames", "class", "objects", "ap3d_moderate", "apbev_moderate", "loose_ap3d_moderate")
    print_table([{key: row[key] for key in shown} for row in rows])
    save(f"kitti_real_{given.name}", rows)


if __name__ == "__main__":
    main()
