"""How the ground that is found scatters over the labelled frames of a data set of KITTI's layout.

    python -m benchmarks.ground DATA/kitti

`bottoms` are those of annotated cars within 15 m: where the ground really is, as far as it is flat.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from benchmarks.common import print_table, save
from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.inference.ground import REACH_M, find_ground


def main(root: str) -> None:
    """Measures, prints and writes `results/ground.json`."""
    grounds, bottoms, without = [], [], 0
    for reader in KittiSettings(root=Path(root), class_names=("Car",)).split().labelled:
        scene = reader.read()
        found = find_ground(scene.cloud.xyz)
        if found is None:
            without += 1
            continue
        boxes = scene.truth.boxes[np.hypot(*scene.truth.boxes[:, :2].T) < REACH_M]
        grounds.append(found.height_m)
        bottoms += [(z - height / 2, z - height / 2 - found.height_m) for z, height in boxes[:, (2, 5)]]
    columns = {
        "ground": np.array(grounds),
        "bottoms": np.array(bottoms)[:, 0],
        "bottoms - ground": np.array(bottoms)[:, 1],
    }
    rows = [
        {
            "what": what,
            "count": len(z),
            "mean_m": float(z.mean()),
            "deviation_m": float(z.std()),
            "min_m": float(z.min()),
            "max_m": float(z.max()),
        }
        for what, z in columns.items()
    ]
    rows.append({"what": "frames without a ground", "count": without} | dict.fromkeys(list(rows[0])[2:], "-"))
    print_table(rows)
    save("ground", rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
