"""One prediction of one side, in a process of its own: `PYTHON - SIDE MODEL INPUTS OUT STEP MIRROR < nnunet_side.py`.

SIDE is ours or nnunet, INPUTS a folder with one scan, `CASE_0000.nii.gz`, MIRROR 0 or 1. The side `nnunet` needs
nothing of this project. Prints CPU seconds of one thread from the opening of the model to the mask on the disk, and the
versions that did it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

NNUNET_PACKAGES = ("nnunetv2", "dynamic-network-architectures", "torch", "numpy", "scipy", "scikit-image")


def ours(model: Path, inputs: Path, out: Path, step: float, mirror: bool) -> Callable[[], object]:
    """`vol3d.load` and `predict_files`."""
    import vol3d

    settings = {"step": step} if mirror else {"step": step, "mirror": ""}
    return lambda: vol3d.load(model, "cpu", settings).predict_files([inputs], out)


def nnunet(model: Path, inputs: Path, out: Path, step: float, mirror: bool) -> Callable[[], object]:
    """`nnUNetv2_predict -npp 0 -nps 0 -device cpu`: nnU-Net in one process."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    folds = tuple(sorted(int(fold.name[5:]) if fold.name[5:].isdecimal() else "all" for fold in model.glob("fold_*")))

    def predict() -> None:
        predictor = nnUNetPredictor(
            tile_step_size=step, use_gaussian=True, use_mirroring=mirror, device=torch.device("cpu"), allow_tqdm=False
        )
        predictor.initialize_from_trained_model_folder(str(model), folds, "checkpoint_final.pth")
        predictor.predict_from_files_sequential(str(inputs), str(out))

    return predict


def main() -> None:
    """Measures one side."""
    side, model, inputs, out, step, mirror = sys.argv[1:]
    torch.set_num_threads(1)
    sides = {"ours": ours, "nnunet": nnunet}
    Path(out).mkdir(parents=True)
    work = sides[side](Path(model), Path(inputs), Path(out), float(step), mirror == "1")
    began = time.process_time()
    work()
    spent = time.process_time() - began
    versions = {name: version(name) for name in NNUNET_PACKAGES} if side == "nnunet" else {}
    print(json.dumps({"cpu_s": spent, "versions": versions}))


if __name__ == "__main__":
    main()
