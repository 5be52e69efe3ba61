"""SUN RGB-D frames as VoteNet exports them: `ID_pc.npz` (N, 6) x y z r g b and `ID_bbox.npy` (K, 8).

A row of boxes is centre, HALF sizes along and across the heading and upwards, clockwise heading, class; colours are 0
to 1; 50,000 points of all are stored (votenet:sunrgbd/sunrgbd_data.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pointcloud.conventions import boxes_from_sun_rgbd
from pointcloud.datasets.arrays import colours, load_table
from pointcloud.datasets.scenes import Scene, annotated, fingerprint_of
from vol3d.errors import DataError
from vol3d.scans.points.cloud import PointCloud


@dataclass(frozen=True)
class ExportedFrame:
    """A frame of VoteNet's export.

    Args:
        folder: where its arrays lie.
        name: the frame's six-digit number.
        class_names: of the data set.
    """

    folder: Path
    name: str
    class_names: tuple[str, ...]

    def read(self) -> Scene:
        """The stored points and the boxes in the package's convention."""
        table = load_table(self._points, (6, 3), key="pc")
        columns = {"rgb": colours(table[:, 3:6], 1.0)} if table.shape[1] == 6 else {}
        cloud = PointCloud(np.ascontiguousarray(table[:, :3], dtype=np.float32), columns)
        rows = self._rows()
        boxes = boxes_from_sun_rgbd(torch.from_numpy(rows.astype(np.float64))).numpy()
        return Scene(self.name, cloud, annotated(boxes, rows[:, 7], self.class_names, "scan"))

    def labels(self) -> np.ndarray:
        """Of the stored boxes; the points stay unread."""
        return self._rows()[:, 7].astype(np.int64)

    def _rows(self) -> np.ndarray:
        """The stored boxes (K, 8)."""
        rows = load_table(self._boxes, 8)
        labels = rows[:, 7].astype(np.int64)
        if len(rows) and not 0 <= labels.min() <= labels.max() < len(self.class_names):
            wanted = f"0 to {len(self.class_names) - 1}"
            raise DataError("a class outside the list", where=self._boxes, got=sorted(set(labels)), wanted=wanted)
        return rows

    def fingerprint(self, quick: bool = False) -> str:
        """Hash of the frame's arrays."""
        return fingerprint_of([self._points, self._boxes], self.class_names, quick)

    @property
    def _points(self) -> Path:
        return self.folder / f"{self.name}_pc.npz"

    @property
    def _boxes(self) -> Path:
        return self.folder / f"{self.name}_bbox.npy"
