"""Boxes to JSON that itself states what its numbers mean, with the way back to the coordinates of the scan's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vol3d.files import refuse_overwrite, write_json
from vol3d.notes import as_facts
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.read import FORMAT
from vol3d.scans.results.record import Record, way_to, write_record

BOX = (
    "center: gravity centre x y z; size: length along the heading, width, height; yaw: radians, counter-clockwise "
    "from +x, z up; velocity: x y in m/s; file coordinates = file_from_scan times (x, y, z, 1)"
)


def write_detections(
    path: str | Path, detections: Detections, cloud: PointCloud | None = None, record: Record | None = None
) -> None:
    """Write the boxes of one scan, whole or not at all; `read_detections` reads them back.

    The boxes are in metres with z up, with the cloud's `origin` added back. `file_from_scan` (4x4) takes them to the
    coordinates of the file that the cloud was read from: its axes and its unit.

        {"format": 2, "frame": "scan", "units": "m", "box": ..., "source": "room.ply",
         "source_path": "../scans/room.ply", "file_from_scan": 4x4, "notes": [...], "assumptions": [...],
         "remarks": [...],
         "class_names": ["chair"],
         "objects": [{"class": "chair", "score": 0.9, "center": [x, y, z], "size": [l, w, h], "yaw": 0.0}],
         "record": {"input_sha256": ..., "model": ..., "model_sha256": [...], "settings": {...}, ...}}

    `record` says which scan and which model they are of; without it (annotations) there is none.

    Raises:
        UsageError: `path` is the scan itself.
        Vol3dError: the folder is missing or read-only, or the disk is full.
    """
    cloud = cloud or PointCloud(np.zeros((0, 3), np.float32))
    refuse_overwrite(Path(path), cloud.source)
    about = {
        "format": FORMAT,
        "frame": detections.frame,
        "units": "m",
        "box": BOX,
        "source": None if cloud.source is None else cloud.source.name,
        "source_path": None if cloud.source is None else way_to(cloud.source, Path(path).parent),
        "file_from_scan": cloud.file_from_scan.tolist(),
        "notes": [str(note) for note in cloud.notes],
        **as_facts(cloud.notes),
        "class_names": list(detections.class_names),
    }
    about |= {"objects": describe_objects(detections, cloud.origin)}
    if record is None:
        write_json(path, about)
    else:
        write_record(Path(path), about, record)


def describe_objects(detections: Detections, origin: np.ndarray | None = None) -> list[dict[str, Any]]:
    """The list under `objects`, in the order of the boxes; a velocity that is not known is left out."""
    boxes = detections.boxes.astype(np.float64)
    centers = boxes[:, :3] if origin is None else boxes[:, :3] + origin
    moving = np.isfinite(boxes[:, 7:]).all(axis=1) & (boxes.shape[1] == 9)
    rows = (detections.names(), detections.scores.astype(np.float64).tolist(), centers.tolist(), boxes.tolist(), moving)
    objects = []
    for name, score, center, box, moves in zip(*rows, strict=True):
        described = {"class": name, "score": score, "center": center, "size": box[3:6], "yaw": box[6]}
        objects.append({**described, "velocity": box[7:]} if moves else described)
    return objects
