"""nnU-Net's own predictor against ours on the same folders and scans.

`python -m benchmarks.nnunet_peer MODELS --peer PYTHON`: MODELS is a folder with `inputs/` and
`DatasetXXX_NAME/TRAINER__PLANS__CONFIGURATION`, PYTHON an interpreter with nnunetv2, in an environment of its own. The
scans are those of `inputs/`, continued by mirroring at their faces; one more row has a folder of 24 classes with random
weights. The sides take turns, each run in a process with one thread; a ratio is the median over the turns. Writes
`benchmarks/results/nnunet_peer.json`, with `--rows` `nnunet_peer_ROW.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from benchmarks.common import print_table, save
from benchmarks.large_ct import model_folder, synthetic_ct
from benchmarks.processes import run_measured
from vol3d.scans import read_labels

ROOT = Path(__file__).resolve().parents[1]
SIDE = Path(__file__).with_name("nnunet_side.py")
Shape = tuple[int, int, int]
HEAD, SAGITTAL, BODY = (64, 96, 64), (32, 112, 112), (128, 128, 96)
"""Voxels of the scans; `--enlarge` multiplies their edges."""


@dataclass(frozen=True)
class Work:
    """A model folder, the folder of its scan, and how it is predicted."""

    name: str
    model: Path
    inputs: Path
    step: float = 0.5
    mirror: bool = False


def main() -> None:
    """Runs all rows and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path)
    parser.add_argument("--peer", required=True, help="a Python interpreter with nnunetv2")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--enlarge", type=int, default=1, help="factor of the scans' edges")
    parser.add_argument("--rows", nargs="+", help="names of rows, which also name the result; standard: all")
    words = parser.parse_args()
    rows, versions = [], {}
    with tempfile.TemporaryDirectory() as name:
        for work in works(words.models.resolve(), Path(name), words.enlarge):
            if words.rows and work.name not in words.rows:
                continue
            turns = [one_turn(work, Path(name) / work.name / str(turn), words.peer) for turn in range(words.turns)]
            versions = turns[0]["nnunet"]["versions"]
            rows.append(summary(work, turns, Path(name) / work.name / "0"))
            print_table(rows[-1:])
            save("_".join(["nnunet_peer", *(words.rows or ())]), [row | {"peer": versions} for row in rows])


def works(models: Path, scratch: Path, times: int) -> Iterator[Work]:
    """The rows, their scans written to `scratch`."""
    head_shape, sagittal_shape, body_shape = ((times * i, times * j, times * k) for i, j, k in (HEAD, SAGITTAL, BODY))
    hippocampus, trainer = models / "Dataset004_Hippocampus", "nnUNetTrainer__nnUNetPlans__"
    head = enlarged(models / "inputs/hippocampus/hippocampus_017_0000.nii.gz", scratch / "head", head_shape)
    yield Work("3d_fullres", hippocampus / f"{trainer}3d_fullres", head)
    yield Work("2d", hippocampus / f"{trainer}2d", head)
    sagittal = enlarged(models / "inputs/spleen/spleen_0000.nii.gz", scratch / "sagittal", sagittal_shape)
    yield Work("ct_3d_fullres", models / f"Dataset109_SpleenCrop/{trainer}3d_fullres", sagittal)
    many = argparse.Namespace(patch=(96, 96, 96), classes=24)
    (scratch / "large").mkdir()
    synthetic_ct(scratch / "large" / "ct_0000.nii.gz", body_shape)
    yield Work("24_classes", model_folder(scratch / "many", many, "own", 1), scratch / "large", step=1.0)


def enlarged(scan: Path, folder: Path, shape: Shape) -> Path:
    """A folder with the scan mirrored at its faces until it has `shape`."""
    folder.mkdir()
    image = nibabel.load(scan)
    array = np.asanyarray(image.dataobj)
    wide = np.pad(array, [(0, max(new - old, 0)) for new, old in zip(shape, array.shape, strict=True)], "symmetric")
    i, j, k = shape
    nibabel.save(nibabel.Nifti1Image(wide[:i, :j, :k], image.affine, image.header), folder / scan.name)
    return folder


def one_turn(work: Work, out: Path, peer: str) -> dict[str, dict]:
    """What both sides print, with the peak memory of their processes."""
    return {
        side: run(interpreter, side, work, out / side)
        for side, interpreter in (("nnunet", peer), ("ours", sys.executable))
    }


def run(interpreter: str, side: str, work: Work, out: Path) -> dict:
    """One side in its own process."""
    own = {"PYTHONPATH": str(ROOT)} if side == "ours" else {"nnUNet_compile": "f", "nnUNet_def_n_proc": "1"}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    threads = {"OMP_NUM_THREADS": "1", "VOL3D_NUM_THREADS": "1"}
    words = [side, str(work.model), str(work.inputs), str(out), str(work.step), str(int(work.mirror))]
    with SIDE.open("rb") as script:  # by its path, its folder would be imported from
        environment = {**kept, **threads, **own}
        command, what = [interpreter, "-", *words], f"{side}, {work.name}"
        used = run_measured(command, what, environment, out.anchor, script)
    return {**json.loads(used.printed.splitlines()[-1]), "process_s": used.cpu_s, "peak_gib": used.peak_gib}


def summary(work: Work, turns: list[dict[str, dict]], out: Path) -> dict[str, object]:
    """Medians over the turns, and the labels of the first one voxel by voxel."""
    row: dict[str, object] = {"work": work.name, "turns": len(turns), "step": work.step, "mirror": work.mirror}
    for key, unit in (("cpu_s", "cpu s"), ("process_s", "process s"), ("peak_gib", "peak GiB")):
        for side in ("nnunet", "ours"):
            row[f"{side}, {unit}"] = statistics.median(turn[side][key] for turn in turns)
        row[f"nnunet / ours, {unit}"] = statistics.median(turn["nnunet"][key] / turn["ours"][key] for turn in turns)
    masks = [read_labels(next((out / side).glob("*.nii.gz"))).array[0] for side in ("nnunet", "ours")]
    classes = {str(label): int((masks[0] == label).sum()) for label in np.unique(masks[0])}
    different = int(np.count_nonzero(masks[0] != masks[1]))
    return {**row, "shape": list(masks[0].shape), "voxels of labels": classes, "voxels that differ": different}


if __name__ == "__main__":
    main()
