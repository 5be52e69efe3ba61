"""The real SUN RGB-D frames of the test data in the layout of VoteNet's export."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_export(packed: Path, root: Path) -> Path:
    """Points x y z r g b and boxes of every frame, `*_val` apart from `*_train`."""
    for file in sorted(packed.glob("*.npz")):
        name, part = file.stem.split("_")
        folder = root / f"sunrgbd_pc_bbox_votes_50k_v1_{part}"
        folder.mkdir(parents=True, exist_ok=True)
        with np.load(file) as frame:
            points = np.concatenate([frame["xyz_tenth_mm"] / 1e4, frame["rgb"] / 255], axis=1)
            np.savez(folder / f"{name}_pc.npz", pc=points)
            np.save(folder / f"{name}_bbox.npy", frame["bbox"].reshape(-1, 8))
    return root
