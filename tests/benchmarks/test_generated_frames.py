"""The comparison of generated frames with real ones counts what a folder shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.generated_frames import by_range, look, rows_of
from pointcloud.datasets.kitti.dataset import KittiFrame
from pointcloud.generate.kitti.write import write_kitti
from vol3d.geometry import count_points_in_boxes


def test_a_folder_is_counted_as_its_boxes_are(tmp_path: Path) -> None:
    import torch

    write_kitti(tmp_path, 2, 5, 0)
    seen = look(tmp_path, 10)
    scenes = [KittiFrame(tmp_path / "training", f"{number:06d}").read() for number in range(2)]
    counted = [
        count_points_in_boxes(torch.from_numpy(scene.cloud.xyz), torch.from_numpy(scene.truth.boxes)).numpy()
        for scene in scenes
    ]
    assert seen.frames == 2 and len(seen.objects) == sum(map(len, counted))
    np.testing.assert_allclose(np.sort(seen.objects[:, 2]), np.sort(np.concatenate(counted)), atol=2)
    whole = seen.objects[(seen.objects[:, 0] == 0) & (seen.objects[:, 3] == 1)]
    assert sum(len(counts) for _, counts in by_range(seen, 0)) == (whole[:, 1] < 75).sum()
    assert len(seen.on_cars) == whole[:, 2].sum() and (seen.on_cars[:, 1] > -1e-3).all()
    row = rows_of("generated", seen)
    points = sum(len(scene.cloud) for scene in scenes) / 2
    assert row["frames"] == 2 and 0.5 * points < row["ground points a frame"] + row["other points a frame"] < points  # type: ignore[operator]
    assert row["ground: median intensity to 25 m"] == pytest.approx(0.27, abs=0.1)
    assert look(tmp_path, 1).frames == 1
