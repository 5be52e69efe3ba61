"""Boxes as coloured lines in a PLY file, to lay over the scan in MeshLab and other viewers that draw edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.files import refuse_overwrite, write_bytes
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.find import BOX_LINES_MARK
from vol3d.scans.results.box_shapes import EDGES, corners, ticks, velocity_lines
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.palette import box_colours

_ENDS = np.array([*EDGES, (8, 9)])  # of a box's ten vertices, the last two are those of the tick
_VERTEX = np.dtype([("xyz", "<f8", 3), ("rgb", "u1", 3)])
_EDGE = np.dtype([("ends", "<i4", 2), ("rgb", "u1", 3)])


def write_box_lines(path: str | Path, detections: Detections, cloud: PointCloud | None = None) -> None:
    """Write twelve edges a box and a tick that points where it heads, coloured by class (binary PLY, float64).

    What moves has one more line, from the middle of its box to where it is a second later.

    The corners are in the coordinates of the file that the cloud was read from, so that the lines lie on its points.

    Raises:
        UsageError: `path` is the scan itself.
        Vol3dError: the folder is missing or read-only, or the disk is full.
    """
    cloud = cloud or PointCloud(np.zeros((0, 3), np.float32))
    refuse_overwrite(Path(path), cloud.source)
    colours = box_colours(detections.labels, len(detections.class_names))
    moving, ways = velocity_lines(detections.boxes)
    of_boxes = np.concatenate((corners(detections.boxes), ticks(detections.boxes)), axis=1)  # (N, 10, 3)
    boxes, moved = np.arange(len(detections)), 10 * len(detections) + 2 * np.arange(len(moving))

    vertices = np.zeros(10 * len(boxes) + 2 * len(moving), _VERTEX)
    vertices["xyz"] = cloud.in_file(np.concatenate((of_boxes.reshape(-1, 3), ways.reshape(-1, 3))))
    vertices["rgb"] = colours[np.concatenate((np.repeat(boxes, 10), np.repeat(moving, 2)))]

    edges = np.zeros(len(_ENDS) * len(boxes) + len(moving), _EDGE)
    ends = (_ENDS + 10 * boxes[:, None, None]).reshape(-1, 2)
    edges["ends"] = np.concatenate((ends, np.stack((moved, moved + 1), axis=1)))
    edges["rgb"] = colours[np.concatenate((np.repeat(boxes, len(_ENDS)), moving))]

    header = ["ply", "format binary_little_endian 1.0", BOX_LINES_MARK.decode()]
    header += [f"element vertex {vertices.size}", *(f"property double {axis}" for axis in "xyz"), *_RGB]
    header += [f"element edge {edges.size}", "property int vertex1", "property int vertex2", *_RGB, "end_header\n"]
    write_bytes(path, "\n".join(header).encode() + vertices.tobytes() + edges.tobytes())


_RGB = [f"property uchar {name}" for name in ("red", "green", "blue")]
