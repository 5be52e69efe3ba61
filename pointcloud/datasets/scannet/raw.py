"""One ScanNet scan as it is downloaded: mesh, over-segmentation, which segments make which object, alignment.

    scans/ID/ID_vh_clean_2.ply                  vertices with colours, 50,000 to 600,000
    scans/ID/ID_vh_clean_2.0.010000.segs.json   segIndices: the segment of each vertex
    scans/ID/ID.aggregation.json                segGroups: objectId, label, segments
    scans/ID/ID.txt                             axisAlignment = 4x4, which turns the walls along the axes

A box is the smallest axis-aligned one around the aligned vertices of an object, as in VoteNet's export
(scannet/load_scannet_data.py). Test scans have neither labels nor alignment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointcloud.datasets.scenes import Scene, annotated, fingerprint_of
from vol3d.errors import DataError
from vol3d.files import read_json, read_text
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.read import read_points

AGAIN = "Download the scan again."


@dataclass(frozen=True)
class RawScan:
    """A scan of the raw download.

    Args:
        folder: its folder, named like the scan.
        class_names: of the data set.
        label_of: raw category -> index of its class, or None for one that is not detected; None for a test scan.
    """

    folder: Path
    class_names: tuple[str, ...]
    label_of: Mapping[str, int | None] | None

    @property
    def name(self) -> str:
        """The scan's id."""
        return self.folder.name

    def read(self) -> Scene:
        """All vertices, aligned, and the boxes; a test scan as it is, without boxes."""
        alignment = read_alignment(self._file(".txt"))
        if alignment is None and self.label_of is not None:
            raise DataError("a labelled scan without axisAlignment", where=self._file(".txt"), do=AGAIN)
        cloud = read_points(self._file("_vh_clean_2.ply"), up="z", units="m")
        columns = {name: values for name, values in cloud.columns.items() if name == "rgb"}
        if alignment is None or self.label_of is None:
            still = PointCloud(cloud.xyz, columns, source=cloud.source)
            return Scene(self.name, still, annotated([], [], self.class_names, "scan"))
        xyz = (cloud.xyz.astype(np.float64) @ alignment[:3, :3].T + alignment[:3, 3]).astype(np.float32)
        aligned = PointCloud(xyz, columns, source=cloud.source)
        segment_of_vertex = read_segments(self._file("_vh_clean_2.0.010000.segs.json"), len(cloud))
        groups = read_groups(self._aggregation(), self.label_of)
        boxes, labels = object_boxes(xyz, segment_of_vertex, groups, self._aggregation())
        return Scene(self.name, aligned, annotated(boxes, labels, self.class_names, "aligned"))

    def labels(self) -> np.ndarray:
        """Of the objects; the whole scan is read, since one without vertices is left out."""
        return self.read().truth.labels

    def fingerprint(self, quick: bool = False) -> str:
        """Hash of the scan's files and the label map."""
        labels = None if self.label_of is None else dict(self.label_of)
        return fingerprint_of(self.files(), [list(self.class_names), labels], quick)

    def files(self) -> list[Path]:
        """What the scan is read from."""
        scan = [self._file("_vh_clean_2.ply"), self._file(".txt")]
        if self.label_of is None:
            return scan
        return [*scan, self._aggregation(), self._file("_vh_clean_2.0.010000.segs.json")]

    def _file(self, ending: str) -> Path:
        return self.folder / f"{self.name}{ending}"

    def _aggregation(self) -> Path:
        high_resolution = self._file("_vh_clean.aggregation.json")
        own = self._file(".aggregation.json")
        return high_resolution if high_resolution.is_file() and not own.is_file() else own


@dataclass(frozen=True)
class Group:
    """The segments of one object, and the index of its class or None for one that is not detected."""

    segments: tuple[int, ...]
    label: int | None


def read_alignment(path: Path) -> np.ndarray | None:
    """The 4x4 after `axisAlignment =` in a scan's text file; None where there is none, as in test scans.

    Raises:
        DataError: missing file, or no 16 numbers.
    """
    for number, line in enumerate(read_text(path, AGAIN, errors="replace").splitlines(), 1):
        key, _, value = line.partition("=")
        if key.strip() != "axisAlignment":
            continue
        try:
            matrix = np.array([float(word) for word in value.split()]).reshape(4, 4)
        except ValueError:
            matrix = np.full((4, 4), np.nan)
        if not np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-3):
            raise DataError("axisAlignment is no rotation and shift", where=f"{path}:{number}", got=value.strip())
        return matrix
    return None


def read_segments(path: Path, vertices: int) -> np.ndarray:
    """The segment of each vertex, (vertices,) int64.

    Raises:
        DataError: not such a file, or for another mesh.
    """
    document = read_json(path)
    indices = document.get("segIndices") if isinstance(document, dict) else None
    try:
        segments = np.array(indices, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError("no list of whole numbers 'segIndices'", where=path, do=AGAIN) from error
    if segments.shape != (vertices,):
        got, wanted = f"{segments.size} segment numbers", f"{vertices}, one per vertex of the mesh"
        raise DataError("the segments are not those of the mesh", where=path, got=got, wanted=wanted, do=AGAIN)
    return segments


def read_groups(path: Path, labels: Mapping[str, int | None]) -> list[Group]:
    """The objects of a scan, in the file's order.

    Raises:
        DataError: not such a file, or a label that is no category of ScanNet.
    """
    document = read_json(path)
    try:
        found: list[Any] = document["segGroups"]
        named = [(str(one["label"]), tuple(int(segment) for segment in one["segments"])) for one in found]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("no list 'segGroups' of labels and segments", where=path, got=error, do=AGAIN) from error
    unknown = sorted({label for label, _ in named} - labels.keys())
    if unknown:
        do = "Add it to scannetv2-labels.combined.tsv, or correct the scan's aggregation."
        raise DataError("a label that is no category", where=path, got=", ".join(unknown), do=do)
    return [Group(segments, labels[label]) for label, segments in named]


def object_boxes(
    xyz: np.ndarray, segment_of_vertex: np.ndarray, groups: list[Group], where: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (K, 7) and labels (K,) of the objects that are detected; one without vertices is left out.

    A segment that two objects claim belongs to the later one.

    Raises:
        DataError: most segments of the objects do not exist: the file belongs to another segmentation.
    """
    segments, position = np.unique(segment_of_vertex, return_inverse=True)
    owner = np.full(len(segments), -1)
    known = 0
    for number, group in enumerate(groups):
        mine = np.isin(segments, group.segments)
        owner[mine] = number
        known += int(mine.sum())
    named = sum(len(set(group.segments)) for group in groups)
    if known < 0.5 * named:
        what = "most segments of the objects are not in the mesh's segmentation"
        raise DataError(what, where=where, got=f"{known} of {named}", do=AGAIN)
    owner_of_vertex = owner[position]
    order = np.argsort(owner_of_vertex, kind="stable")
    ends = np.searchsorted(owner_of_vertex[order], np.arange(len(groups) + 1))
    boxes, labels = [], []
    for number, group in enumerate(groups):
        vertices = xyz[order[ends[number] : ends[number + 1]]]
        if group.label is None or not len(vertices):
            continue
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        boxes.append([*((low + high) / 2), *(high - low), 0.0])
        labels.append(group.label)
    return np.array(boxes, np.float32).reshape(-1, 7), np.array(labels, np.int64)
