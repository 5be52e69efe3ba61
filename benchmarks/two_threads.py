"""What a second core brings: `python -m benchmarks.two_threads [--rounds N]`, on a machine where nothing else runs.

Processes with one and with two threads take turns, the latter with OpenMP's workers as they are (they spin for long
when they have nothing to do), spinning shortly (`GOMP_SPINCOUNT=10000`, as the command `vol3d` sets it) and sleeping at
once (`OMP_WAIT_POLICY=passive`). Wall time, medians of the rounds. The cores that each process had tell whether the
machine was idle.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.before_after import DATA, HERE, sweeps
from benchmarks.processes import Worker, ask, start_worker

Work = Callable[[], Any]


def sparse_step() -> Work:
    """A submanifold convolution of 64 channels on 20,000 voxels, and its gradients."""
    import torch

    from vol3d.ops import VoxelGrid, assign_voxels
    from vol3d.sparse import SparseTensor, SubMConv3d

    grid = VoxelGrid((0.2, 0.2, 0.2), (-51.2, -51.2, -5, 51.2, 51.2, 3))
    cells = assign_voxels([torch.from_numpy(sweeps()[:, :3].copy())], grid, max_voxels=20_000).coordinates
    torch.manual_seed(0)
    layer = SubMConv3d(64, 64)
    x = SparseTensor(cells, torch.randn(len(cells), 64, requires_grad=True), grid.shape, 1)
    return lambda: layer(x).features.sum().backward(retain_graph=True)


def volume() -> Work:
    """A scan of the samples by unetr-hippocampus, from the file to the mask."""
    import vol3d
    from medical.demo import SAMPLES

    model = vol3d.load("unetr-hippocampus", device="cpu")
    scan = sorted((SAMPLES / "imagesTr").glob("*.nii.gz"))[0]
    return lambda: model.predict(scan)


def frame() -> Work:
    """Ten sweeps by centerpoint-drives, from points to boxes."""
    from benchmarks.before_after import prediction

    return prediction("centerpoint-drives", "x,y,z,intensity,time")


WORKS: dict[str, Callable[[], Work]] = {
    "sparse convolution, step, 64 channels": sparse_step,
    "UNETR prediction": volume,
    "CenterPoint frame": frame,
}


SIDES: dict[str, dict[str, str]] = {  # the environment of each side
    "one": {"OMP_NUM_THREADS": "1"},
    "two": {"OMP_NUM_THREADS": "2"},
    "two, short": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "10000"},
    "two, passive": {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"},
}


def started(side: dict[str, str]) -> Worker:
    """A worker with this environment."""
    known = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    environment = {**known, "VOL3D_TEST_DATA": str(DATA), **side}
    command = [sys.executable, "-m", "benchmarks.two_threads", "--worker"]
    return start_worker(command, environment, HERE.parents[1])


def worker() -> None:
    """Does the work that each line names; answers with seconds of the clock and of the processors."""
    works: dict[str, Work] = {}
    for line in sys.stdin:
        name = line.strip()
        if name not in works:
            works = {name: WORKS[name]()}
            works[name]()
        start, spent = time.perf_counter(), time.process_time()
        works[name]()
        print(json.dumps([time.perf_counter() - start, time.process_time() - spent]), flush=True)


def asked(process: Worker, name: str) -> tuple[float, float]:
    """Milliseconds of the clock and of the processors."""
    wall, spent = ask(process, name)
    return 1e3 * wall, 1e3 * spent


def main() -> None:
    """The command."""
    from benchmarks.common import print_table, save

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    choice = parser.parse_args()
    if choice.worker:
        return worker()
    processes = {name: started(side) for name, side in SIDES.items()}
    rows = []
    for work in WORKS:
        for process in processes.values():
            asked(process, work)
        turns = [{name: asked(process, work) for name, process in processes.items()} for _ in range(choice.rounds)]
        row: dict[str, object] = {"work": work}
        for name in SIDES:
            row |= {f"{name} ms": median(turn[name][0] for turn in turns)}
        for name in list(SIDES)[1:]:
            row |= {f"{name}, x": median(turn["one"][0] / turn[name][0] for turn in turns)}
            row |= {f"{name}, cores": median(turn[name][1] / turn[name][0] for turn in turns)}
        rows.append(row | {"one, cores": median(turn["one"][1] / turn["one"][0] for turn in turns)})
    print_table(rows)
    print(save("two_threads", rows))


if __name__ == "__main__":
    main()
