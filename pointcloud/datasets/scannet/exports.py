"""ScanNet scans as other projects store them: VoteNet's arrays, mmdetection3d's arrays, and its points with an index.

VoteNet (scannet/batch_load_scannet_data.py): `ID_vert.npy` (N, 6) aligned x y z r g b, `ID_bbox.npy` (K, 7) centre,
size, NYU-40 number. mmdetection3d before its index: `ID_vert.npy` not aligned, `ID_axis_align_matrix.npy`,
`ID_aligned_bbox.npy`. mmdetection3d from 1.1 on: `points/ID.bin` not aligned and an index of matrices and boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointcloud.datasets.arrays import colours, load_bin, load_table
from pointcloud.datasets.scenes import Scene, annotated, fingerprint_of
from vol3d.errors import DataError
from vol3d.files import is_there, read_json
from vol3d.scans.points.cloud import PointCloud

Rows = tuple[tuple[float, ...], ...]
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ExportedScan:
    """A scan of VoteNet's export, or of mmdetection3d's, distinguished by the alignment matrix beside it.

    Args:
        folder: where its arrays lie.
        name: the scan's id.
        class_names: of the data set.
        nyu40: the NYU-40 number of each class.
        labelled: False for a test scan, which has no boxes.
    """

    folder: Path
    name: str
    class_names: tuple[str, ...]
    nyu40: tuple[int, ...]
    labelled: bool = True

    def read(self) -> Scene:
        """The stored points (VoteNet's are 50,000 of all), aligned, and the boxes."""
        table = load_table(self._file("_vert.npy"), (6, 3, 9))
        if is_there(self._file("_axis_align_matrix.npy")):
            table = _align(table, load_table(self._file("_axis_align_matrix.npy"), 4), self._file("_vert.npy"))
        boxes, labels = self._objects()
        return _scene(self.name, table, boxes, labels, self.class_names)

    def labels(self) -> np.ndarray:
        """Of the stored boxes; the points stay unread."""
        return np.array(self._objects()[1], np.int64)

    def fingerprint(self, quick: bool = False) -> str:
        """Hash of the scan's arrays."""
        return fingerprint_of(self.files(), [self.class_names, self.nyu40], quick)

    def files(self) -> list[Path]:
        """What the scan is read from."""
        matrix = self._file("_axis_align_matrix.npy")
        found = [self._file("_vert.npy"), *([matrix] if is_there(matrix) else [])]
        return [*found, self._boxes()] if self.labelled else found

    def _file(self, ending: str) -> Path:
        return self.folder / f"{self.name}{ending}"

    def _objects(self) -> tuple[np.ndarray, list[int]]:
        """Rows (K, 6) of centre and size, and the label of each."""
        rows = load_table(self._boxes(), 7) if self.labelled else np.zeros((0, 7))
        number = {nyu: label for label, nyu in enumerate(self.nyu40)}
        unknown = sorted({int(row[6]) for row in rows} - number.keys())
        if unknown:
            wanted = ", ".join(map(str, self.nyu40))
            raise DataError("a NYU-40 number that is no class", where=self._boxes(), got=unknown, wanted=wanted)
        return rows[:, :6], [number[int(row[6])] for row in rows]

    def _boxes(self) -> Path:
        aligned = self._file("_aligned_bbox.npy")
        return aligned if is_there(aligned) else self._file("_bbox.npy")


@dataclass(frozen=True)
class IndexedScan:
    """A scan of mmdetection3d's index.

    Args:
        points: file of float32 x y z r g b, not aligned.
        name: the scan's id.
        class_names: of the data set.
        alignment: 4x4.
        boxes: rows x y z dx dy dz in the aligned frame.
        box_labels: index of the class of each box.
    """

    points: Path
    name: str
    class_names: tuple[str, ...]
    alignment: Matrix
    boxes: Rows
    box_labels: tuple[int, ...]

    def read(self) -> Scene:
        """All points, aligned, and the boxes."""
        table = _align(load_bin(self.points, 6), np.array(self.alignment), self.points)
        return _scene(self.name, table, np.array(self.boxes).reshape(-1, 6), self.box_labels, self.class_names)

    def labels(self) -> np.ndarray:
        """As the index lists them; the points stay unread."""
        return np.array(self.box_labels, np.int64)

    def fingerprint(self, quick: bool = False) -> str:
        """Hash of the points and of the scan's entry in the index."""
        return fingerprint_of([self.points], [self.class_names, self.alignment, self.boxes, self.box_labels], quick)

    def files(self) -> list[Path]:
        """What the scan is read from."""
        return [self.points]


def read_index(path: Path, points: Path, class_names: tuple[str, ...]) -> tuple[IndexedScan, ...]:
    """The scans of an index of mmdetection3d 1.1 that was saved as JSON.

    Raises:
        DataError: not such an index, or its classes are others.
    """
    document = read_json(path, max_bytes=512 << 20)
    try:
        _refuse_other_classes(document.get("metainfo", {}), class_names, path)
        return tuple(_indexed(entry, points, class_names, path) for entry in document["data_list"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = "not an index of mmdetection3d 1.1 or later"
        raise DataError(what, where=path, got=f"{type(error).__name__} {error}", wanted="data_list") from error


def _refuse_other_classes(about: dict[str, Any], class_names: tuple[str, ...], path: Path) -> None:
    """The index lists its categories as `{"cabinet": 0, ...}`; a missing list is taken to be the usual one."""
    categories = about.get("categories", {name: number for number, name in enumerate(class_names)})
    found = tuple(sorted(categories, key=lambda name: categories[name]))
    if found != class_names:
        raise DataError("other classes", where=path, got=", ".join(found), wanted=", ".join(class_names))


def _indexed(entry: dict[str, Any], points: Path, class_names: tuple[str, ...], path: Path) -> IndexedScan:
    file = points / Path(entry["lidar_points"]["lidar_path"]).name
    matrix = np.array(entry["axis_align_matrix"], dtype=np.float64).reshape(4, 4)
    boxes = tuple(tuple(float(value) for value in one["bbox_3d"][:6]) for one in entry["instances"])
    labels = tuple(int(one["bbox_label_3d"]) for one in entry["instances"])
    wrong = [label for label in labels if not 0 <= label < len(class_names)]
    if wrong or any(len(box) != 6 for box in boxes):
        got = f"label {wrong[0]}" if wrong else "a box of less than 6 numbers"
        raise DataError("a box that cannot be", where=f"{path}, {file.stem}", got=got)
    return IndexedScan(file, file.stem, class_names, tuple(map(tuple, matrix.tolist())), boxes, labels)


def _align(table: np.ndarray, matrix: np.ndarray, where: Path) -> np.ndarray:
    if matrix.shape != (4, 4):
        raise DataError("the alignment is no 4x4 matrix", where=where, got=matrix.shape)
    xyz = table[:, :3].astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    return np.concatenate([xyz.astype(np.float32), table[:, 3:]], axis=1)


def _scene(
    name: str, table: np.ndarray, centres_sizes: np.ndarray, labels: Sequence[int], class_names: tuple[str, ...]
) -> Scene:
    columns = {"rgb": colours(table[:, 3:6], 255.0)} if table.shape[1] >= 6 else {}
    cloud = PointCloud(np.ascontiguousarray(table[:, :3], dtype=np.float32), columns)
    boxes = np.concatenate([centres_sizes, np.zeros((len(centres_sizes), 1))], axis=1)
    return Scene(name, cloud, annotated(boxes, labels, class_names, "aligned"))
