"""Training windows of one side, in a process of its own: `python - ROOT COUNT [monai] < segmentation_side.py`.

ROOT is a folder as of `vol3d data ... msd`. Whose `medical` is measured is decided by PYTHONPATH, so that an older
working tree can be measured, too. Prints the mean CPU milliseconds of a window.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vol3d.config import load_task

CASES = 8


def ours(task: Any) -> Callable[[int], object]:
    """Sample i of the training split."""
    samples = task.samples()
    return lambda i: samples.sample(i % CASES, np.random.default_rng([0, i]))


def monai(task: Any) -> Callable[[int], object]:
    """MONAI's dictionary transforms with the recipe's distortions, what is deterministic cached."""
    from monai.data import CacheDataset
    from monai.transforms import (
        Compose,
        EnsureChannelFirstd,
        EnsureTyped,
        LoadImaged,
        NormalizeIntensityd,
        Orientationd,
        RandAdjustContrastd,
        RandAffined,
        RandCropByPosNegLabeld,
        RandFlipd,
        RandGaussianNoised,
        RandGaussianSmoothd,
        RandScaleIntensityd,
        RandShiftIntensityd,
        RandSimulateLowResolutiond,
        SpatialPadd,
    )

    both, window, s = ["image", "label"], task.settings.window.size, task.settings.augment
    angles, factors = np.deg2rad(s.rotate_deg), (1 / s.scale[1] - 1, 1 / s.scale[0] - 1)
    steps = [
        LoadImaged(both),
        EnsureChannelFirstd(both),
        Orientationd(both, "RAS", labels=None),
        NormalizeIntensityd("image"),
        SpatialPadd(both, window),
        EnsureTyped(both),
        RandCropByPosNegLabeld(both, "label", window, pos=1, neg=1, num_samples=1),
        RandAffined(
            both,
            prob=s.affine,
            rotate_range=[(-angle, angle) for angle in angles],
            scale_range=[factors] * 3,
            translate_range=s.shift_voxels,
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
            spatial_size=window,
        ),
        RandFlipd(both, s.flip[0], 0),
        RandGaussianNoised("image", s.noise, std=0.1),
        RandGaussianSmoothd("image", (0.5, 1), (0.5, 1), (0.5, 1), prob=s.blur),
        RandSimulateLowResolutiond("image", prob=s.low_resolution, zoom_range=(0.5, 1)),
        RandAdjustContrastd("image", s.gamma, gamma=(0.7, 1.5)),
        RandScaleIntensityd("image", s.scale_by, prob=s.scale_intensity),
        RandShiftIntensityd("image", s.shift_by, prob=s.shift_intensity),
    ]
    cases = task.split.require().train[:CASES]
    files = [{"image": str(case.images[0]), "label": str(case.label)} for case in cases]
    data = CacheDataset(files, Compose(steps), progress=False, num_workers=1)
    return lambda i: data[i % CASES]


def main() -> None:
    """Measures one side."""
    root, count = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    task: Any = load_task("unetr_hippocampus_small", [f"data.root={root}", "data.fold=all"])
    window = (monai if sys.argv[3:] else ours)(task)
    for i in range(4):
        window(i)
    began = time.process_time()
    for i in range(count):
        window(i)
    print(1e3 * (time.process_time() - began) / count)


if __name__ == "__main__":
    main()
