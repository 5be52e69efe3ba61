"""A small reader of raw ScanNet files that shares nothing with the package."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Mesh:
    xyz: np.ndarray
    rgba: np.ndarray
    triangles: np.ndarray


def read_mesh(path: Path) -> Mesh:
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = header.decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    counts = {line.split()[1]: int(line.split()[2]) for line in lines if line.startswith("element")}
    properties = [line for line in lines if line.startswith("property")]
    assert properties == [
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {channel}" for channel in ("red", "green", "blue", "alpha")),
        "property list uchar int vertex_indices",
    ]
    vertices = np.frombuffer(body[: 16 * counts["vertex"]], np.uint8).reshape(-1, 16)
    faces = np.frombuffer(body[16 * counts["vertex"] :], np.uint8).reshape(counts["face"], 13)
    assert (faces[:, 0] == 3).all()
    xyz = vertices[:, :12].copy().view("<f4").astype(np.float64)
    return Mesh(xyz, vertices[:, 12:], faces[:, 1:].copy().view("<i4"))


def read_alignment(path: Path) -> np.ndarray | None:
    lines = [line for line in path.read_text().splitlines() if line.startswith("axisAlignment = ")]
    return np.array(lines[0].split("=")[1].split(), float).reshape(4, 4) if lines else None


def read_boxes(folder: Path) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Label, lowest and highest corner of each annotated object, aligned."""
    name = folder.name
    alignment = read_alignment(folder / f"{name}.txt")
    xyz = read_mesh(folder / f"{name}_vh_clean_2.ply").xyz @ alignment[:3, :3].T + alignment[:3, 3]
    segments = np.array(json.loads((folder / f"{name}_vh_clean_2.0.010000.segs.json").read_text())["segIndices"])
    groups = json.loads((folder / f"{name}.aggregation.json").read_text())["segGroups"]
    mine = [xyz[np.isin(segments, group["segments"])] for group in groups]
    return [(group["label"], own.min(0), own.max(0)) for group, own in zip(groups, mine, strict=True)]
