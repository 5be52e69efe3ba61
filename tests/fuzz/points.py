"""Point files of every kind, and the JSON files with boxes that lie beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pointcloud.datasets.point_folder import PointFolderSettings
from tests.vol3d.scans.points.maker import write_pcd, write_ply
from vol3d.scans import read_points
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.read import read_detections
from vol3d.scans.results.write import write_detections

_RNG = np.random.default_rng(0)
_COLUMNS = {axis: _RNG.normal(size=40).astype("f4") for axis in "xyz"} | {"intensity": _RNG.random(40).astype("f4")}
_TABLE = np.stack(list(_COLUMNS.values()), axis=1)
_STREET = _RNG.normal(size=(150, 4)).astype("f4") * np.array([20, 15, 1, 0], "f4") + np.array([0, 0, 2, 0], "f4")
_STREET[:, 3] = _RNG.random(150)
_FACES = [[0, 1, 2], [3, 4, 5, 6]]
_ROWS = "".join(" ".join(f"{value:.4f}" for value in row) + "\n" for row in _TABLE)


def _las(version: str, point_format: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import laspy

        las = laspy.LasData(laspy.LasHeader(version=version, point_format=point_format))
        las.x, las.y, las.z = _TABLE[:, :3].T
        las.write(str(path))

    return make


def _boxes() -> Detections:
    boxes = np.array([[1, 2, 0.5, 1, 1, 1, 0], [0, 1, 0.5, 2, 1, 1, 0.5]], np.float32)
    return Detections(boxes, np.array([0.5, 1], np.float32), np.array([0, 1]), ("chair", "table"), "scan")


def _folder(path: Path) -> None:
    (path.parent / "room.npy").write_bytes(b"")
    objects = '[{"class": "chair", "center": [1, 2, 0.5], "size": [1, 1, 1], "yaw": 0.5}]'
    scenes = f'"scenes": {{"room.npy": {objects}}}'
    path.write_text(f'{{"format": 1, "class_names": ["chair"], "validation": 0.2, {scenes}}}')


def _read_folder(path: Path) -> object:
    return PointFolderSettings(root=path.parent, boxes=path).split()


READERS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "text.ply": (read_points, lambda path: write_ply(path, _COLUMNS, "ascii", _FACES)),
    "little.ply": (read_points, lambda path: write_ply(path, _COLUMNS, "binary_little_endian", _FACES)),
    "big.ply": (read_points, lambda path: write_ply(path, _COLUMNS, "binary_big_endian", _FACES)),
    "text.pcd": (read_points, lambda path: write_pcd(path, _COLUMNS, "ascii")),
    "plain.pcd": (read_points, lambda path: write_pcd(path, _COLUMNS, "binary")),
    "packed.pcd": (read_points, lambda path: write_pcd(path, _COLUMNS, "binary_compressed")),
    "points.npy": (read_points, lambda path: np.save(path, _TABLE)),
    "points.npz": (read_points, lambda path: np.savez_compressed(path, points=_TABLE, other=np.zeros(40))),
    "points.bin": (read_points, lambda path: _STREET.tofile(path)),
    "sweep.pcd.bin": (read_points, lambda path: np.pad(_TABLE, ((0, 0), (0, 1))).tofile(path)),
    "points.csv": (read_points, lambda path: path.write_text("x,y,z,intensity\n" + _ROWS.replace(" ", ","))),
    "points.xyz": (read_points, lambda path: path.write_text("# units: m\n" + _ROWS)),
    "points.txt": (read_points, lambda path: path.write_text(_ROWS.replace(".", ","))),
    "points.asc": (read_points, lambda path: path.write_text("//X Y Z Intensity\n40\n" + _ROWS)),
    "points.pts": (read_points, lambda path: path.write_text("40\n" + _ROWS)),
    "old.las": (read_points, _las("1.2", 3)),
    "new.las": (read_points, _las("1.4", 7)),
    "old.laz": (read_points, _las("1.2", 3)),
    "new.laz": (read_points, _las("1.4", 7)),
    "result.json": (read_detections, lambda path: write_detections(path, _boxes())),
    "boxes.json": (_read_folder, _folder),
}
