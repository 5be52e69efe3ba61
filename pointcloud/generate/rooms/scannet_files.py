"""The files of one scan and of a set of them, as the download of ScanNet v2 has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointcloud.generate.rooms.labels import LABELS
from pointcloud.generate.rooms.segments import Annotated
from vol3d.files import write_bytes, write_text

SEGMENTS = "_vh_clean_2.0.010000.segs.json"
MESH = "_vh_clean_2.ply"
VERTEX = np.dtype([(name, "<f4") for name in "xyz"] + [(name, "u1") for name in ("red", "green", "blue", "alpha")])
FACE = np.dtype([("corners", "u1"), ("vertex_indices", "<i4", (3,))])


def write_mesh(path: Path, xyz: np.ndarray, rgb: np.ndarray, triangles: np.ndarray) -> None:
    """A binary PLY of vertices (N, 3) with colours uint8 (N, 3), and triangles (T, 3)."""
    vertices, faces = np.zeros(len(xyz), VERTEX), np.zeros(len(triangles), FACE)
    for axis, name in enumerate("xyz"):
        vertices[name] = xyz[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = rgb[:, channel]
    vertices["alpha"], faces["corners"], faces["vertex_indices"] = 255, 3, triangles
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(xyz)}"]
    header += [f"property float {name}" for name in "xyz"]
    header += [f"property uchar {name}" for name in ("red", "green", "blue", "alpha")]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    write_bytes(path, "\n".join(header).encode() + vertices.tobytes() + faces.tobytes())


def write_segments(path: Path, name: str, segment_of_vertex: np.ndarray) -> None:
    """`segIndices`: the segment of each vertex of the mesh."""
    document = {
        "params": {"kThresh": "0.010000", "segMinVerts": "20"},
        "sceneId": name,
        "segIndices": segment_of_vertex.tolist(),
    }
    write_text(path, json.dumps(document, separators=(",", ":")))


def write_aggregation(path: Path, name: str, objects: Sequence[Annotated]) -> None:
    """`segGroups`: name and segments of each object."""
    groups = [
        {"id": number, "objectId": number, "segments": list(one.segments), "label": one.label}
        for number, one in enumerate(objects)
    ]
    segments = f"scannet.{name}{SEGMENTS}"
    document = {"sceneId": f"scannet.{name}", "appId": "vol3d", "segGroups": groups, "segmentsFile": segments}
    write_text(path, json.dumps(document, separators=(",", ":")))


def write_information(path: Path, alignment: np.ndarray | None, kind: str) -> None:
    """`key = value` lines; a test scan has no alignment."""
    lines = {"colorHeight": "968", "colorWidth": "1296", "depthHeight": "480", "depthWidth": "640"}
    if alignment is not None:
        lines = {"axisAlignment": " ".join(f"{value:.6f}" for value in alignment.reshape(-1))} | lines
    lines |= {"numDepthFrames": "1000", "sceneType": kind}
    write_text(path, "".join(f"{key} = {value}\n" for key, value in lines.items()))


def write_label_map(path: Path) -> None:
    """Raw categories and their classes, in columns separated by tabs."""
    rows = [("id", "raw_category", "category", "nyu40id", "nyu40class")]
    for number, (raw, label) in enumerate(LABELS.items(), 1):
        rows.append((str(number), raw, label.category, str(label.nyu40id), label.nyu40class))
    write_text(path, "".join("\t".join(row) + "\n" for row in rows))


def write_list(path: Path, names: Sequence[str]) -> None:
    """The scans of one part of a data set, one a line."""
    write_text(path, "".join(f"{name}\n" for name in names))
