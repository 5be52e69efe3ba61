"""Peak memory of `vol3d predict` on a large CT with an nnU-Net folder of many classes: `python -m benchmarks.large_ct`.

The folder has random weights and a small network, so that memory and not time is measured, and the scan is synthetic.
The plan is either at the scan's own spacing, where the network's grid is as large as the scan, or at 1.5 mm as those of
TotalSegmentator. `--folds` adds networks, whose logits are averaged. Writes `benchmarks/results/large_ct.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from benchmarks.common import print_table, save
from benchmarks.processes import run_measured
from tests.medical.nnunet.made import configuration, plans_of, write_model

SPACING_MM = (0.8, 0.8, 1.0)


def main() -> None:
    """Runs each plan and number of folds once and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 600))
    parser.add_argument("--classes", type=int, default=24, help="with the background")
    parser.add_argument("--patch", type=int, nargs=3, default=(128, 128, 128), help="along the network's axes")
    parser.add_argument("--folds", type=int, nargs="+", default=[1])
    parser.add_argument("--spacing", choices=("own", "1.5"), nargs="+", default=["own", "1.5"])
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan = synthetic_ct(folder / "ct.nii.gz", tuple(words.shape))
        rows = [
            row(words, model_folder(folder / f"{spacing}_{folds}", words, spacing, folds), scan, spacing, folds)
            for folds in words.folds
            for spacing in words.spacing
        ]
    print_table(rows)
    save("large_ct", rows)


def synthetic_ct(path: Path, shape: tuple[int, int, int]) -> Path:
    """An ellipsoid of soft tissue with spots of other densities in air, int16, as a CT is stored."""
    from scipy.ndimage import zoom

    coarse = np.random.default_rng(0).normal(40, 120, [length // 32 for length in shape]).astype(np.float32)
    factors = [length / few for length, few in zip(shape, coarse.shape, strict=True)]
    body = zoom(coarse, factors, order=1, grid_mode=True, mode="nearest")
    i, j, k = np.ogrid[tuple(slice(-1, 1, complex(0, length)) for length in shape)]
    body[i**2 + j**2 + 0.2 * k**2 > 0.9] = -1000
    image = nibabel.Nifti1Image(body.astype(np.int16), np.diag([*SPACING_MM, 1.0]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    return path


def model_folder(folder: Path, words: argparse.Namespace, spacing: str, folds: int) -> Path:
    """A plain U-Net of three stages with few features."""
    plan = configuration()
    plan["spacing"] = list(SPACING_MM[::-1]) if spacing == "own" else [1.5] * 3
    plan |= {"patch_size": list(words.patch), "normalization_schemes": ["CTNormalization"]}
    plan["architecture"]["_kw_requires_import"] = ["conv_op", "norm_op", "dropout_op", "nonlin"]
    arguments: dict[str, Any] = plan["architecture"]["arch_kwargs"]
    stages = {"n_stages": 3, "features_per_stage": [4, 8, 16], "kernel_sizes": [[3] * 3] * 3}
    arguments |= {**stages, "strides": [[1] * 3, [2] * 3, [2] * 3], "n_conv_per_stage": [1, 1, 1]}
    arguments["n_conv_per_stage_decoder"] = [1, 1]
    plans = plans_of({"3d_fullres": plan})
    intensities = {"percentile_00_5": -900.0, "percentile_99_5": 400.0, "mean": 0.0, "std": 200.0}
    plans["foreground_intensity_properties_per_channel"] = {"0": intensities}
    labels = {"background": 0} | {f"organ {number}": number for number in range(1, words.classes)}
    return write_model(folder, plans, labels=labels, channels=("CT",), folds=range(folds))


def row(words: argparse.Namespace, model: Path, scan: Path, spacing: str, folds: int) -> dict[str, object]:
    """One command in a process of its own: steps of a whole window, no mirrored views."""
    out = model / "out"
    command = [sys.executable, "-m", "vol3d.cli.main", "predict", str(model), str(scan), "-o", str(out), "--device"]
    command += ["cpu", "--mirror", "none", "--set", "step=1.0", "--json"]
    began = time.perf_counter()
    used = run_measured(command, scan.name)
    result = json.loads(used.printed)["results"][0]
    return {
        "shape": list(words.shape),
        "classes": words.classes,
        "plan's spacing": spacing,
        "folds": folds,
        "patch": list(words.patch),
        "labels found": len(result["volumes_ml"]),
        "peak GiB": used.peak_gib,
        "cpu s": used.cpu_s,
        "wall s": time.perf_counter() - began,
    }


if __name__ == "__main__":
    main()
