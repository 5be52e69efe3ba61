"""Tiny data sets in the layouts of the real ones: two-metre rooms of a few thousand points."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

# raw category -> number in NYU-40, as the real label map has them
CATEGORIES = {"wall": 1, "floor": 2, "chair": 5, "office chair": 5, "dining table": 7, "trash can": 39, "book": 23}
FURNITURE = (
    ("office chair", (0.5, 0.6, 0.45), (0.6, 0.6, 0.9)),
    ("dining table", (1.6, 2.0, 0.35), (1.4, 0.9, 0.7)),
    ("trash can", (2.6, 0.5, 0.2), (0.3, 0.3, 0.4)),
    ("book", (1.6, 2.0, 0.75), (0.2, 0.3, 0.1)),
)
LABEL_OF = {"office chair": 2, "dining table": 4, "trash can": 17}


@dataclass
class Room:
    """Aligned points (N, 3), their segments, and the objects: label, segments."""

    xyz: np.ndarray
    segment: np.ndarray
    objects: list[tuple[str, list[int]]]


def room(seed: int = 0) -> Room:
    """Floor, two walls and four pieces of furniture, each of two segments; the points lie on and in the boxes."""
    rng = np.random.default_rng(seed)
    floor = rng.uniform((0, 0, 0), (3, 3, 0), (800, 3))
    walls = [rng.uniform((0, 0, 0), (3, 0, 2), (800, 3)), rng.uniform((0, 0, 0), (0, 3, 2), (800, 3))]
    parts, segments, objects = [floor, *walls], [np.full(800, 7), np.full(800, 9), np.full(800, 11)], []
    objects.append(("floor", [7]))
    for number, (label, centre, size) in enumerate(FURNITURE):
        points = np.array(centre) + rng.uniform(-0.5, 0.5, (300, 3)) * size
        own = [100 + 2 * number, 101 + 2 * number]
        parts.append(points)
        segments.append(np.repeat(own, 150))
        objects.append((label, own))
    shuffle = rng.permutation(800 * 3 + 300 * 4)
    return Room(np.concatenate(parts)[shuffle].astype(np.float32), np.concatenate(segments)[shuffle], objects)


def alignment(degrees: float = 20.0) -> np.ndarray:
    """4x4: a turn about z and a shift, as ScanNet's."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cos, -sin, 0, -1.5], [sin, cos, 0, 2.0], [0, 0, 1, -0.06], [0, 0, 0, 1]])


def unaligned(xyz: np.ndarray) -> np.ndarray:
    """The points as the scan has them before `alignment`."""
    back = np.linalg.inv(alignment())
    return (xyz.astype(np.float64) @ back[:3, :3].T + back[:3, 3]).astype(np.float32)


def write_ply(path: Path, xyz: np.ndarray) -> None:
    """A mesh as ScanNet's: binary, colours with alpha, one face."""
    kind = [("xyz", "<f4", 3), ("rgba", "u1", 4)]
    vertices = np.zeros(len(xyz), kind)
    vertices["xyz"] = xyz
    vertices["rgba"] = np.arange(4 * len(xyz)).reshape(-1, 4) % 256
    properties = [f"property float {axis}" for axis in "xyz"]
    properties += [f"property uchar {name}" for name in ("red", "green", "blue", "alpha")]
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(xyz)}", *properties]
    head += ["element face 1", "property list uchar int vertex_indices", "end_header", ""]
    face = np.array(3, "u1").tobytes() + np.array([0, 1, 2], "<i4").tobytes()
    path.write_bytes("\n".join(head).encode() + vertices.tobytes() + face)


def write_scan(folder: Path, made: Room, labelled: bool = True) -> None:
    """The raw files of one scan; a test scan has neither labels nor alignment."""
    folder.mkdir(parents=True)
    name = folder.name
    write_ply(folder / f"{name}_vh_clean_2.ply", unaligned(made.xyz))
    matrix = " ".join(f"{value:.6f}" for value in alignment().ravel())
    lines = ["numDepthFrames = 1", "sceneType = Office"]
    (folder / f"{name}.txt").write_text("\n".join([f"axisAlignment = {matrix} ", *lines] if labelled else lines) + "\n")
    if labelled:
        groups = [
            {"id": number, "objectId": number, "segments": segments, "label": label}
            for number, (label, segments) in enumerate(made.objects)
        ]
        (folder / f"{name}.aggregation.json").write_text(json.dumps({"sceneId": name, "segGroups": groups}))
        segments = {"params": {}, "sceneId": name, "segIndices": made.segment.tolist()}
        (folder / f"{name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segments))


def write_meta(folder: Path, train: list[str], validation: list[str], test: list[str]) -> None:
    """Split lists and label map."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, names in (("train", train), ("val", validation), ("test", test)):
        (folder / f"scannetv2_{part}.txt").write_text("".join(f"{name}\n" for name in names))
    rows = [f"{number}\t{name}\t{nyu}\n" for number, (name, nyu) in enumerate(CATEGORIES.items())]
    (folder / "scannetv2-labels.combined.tsv").write_text("id\traw_category\tnyu40id\n" + "".join(rows))


def write_scannet(root: Path, train: int = 2, validation: int = 1, test: int = 1) -> Path:
    """A raw download; returns its root."""
    names = [f"scene{number:04d}_00" for number in range(train + validation + test)]
    for number, name in enumerate(names):
        labelled = number < train + validation
        write_scan(root / ("scans" if labelled else "scans_test") / name, room(number), labelled)
    write_meta(root / "meta_data", names[:train], names[train : train + validation], names[train + validation :])
    return root


def write_sun_frame(folder: Path, depth_m: np.ndarray, intrinsics: np.ndarray, upright: np.ndarray) -> None:
    """The files of one official frame: depth with its bits rotated, a picture, the camera."""
    for name in ("depth_bfx", "image", "extrinsics", "annotation3Dfinal"):
        (folder / name).mkdir(parents=True)
    millimetres = np.round(depth_m * 1000).astype(np.uint16)
    Image.fromarray((millimetres << 3) | (millimetres >> 13)).save(folder / "depth_bfx" / "0000001.png")
    Image.new("RGB", depth_m.shape[::-1], (200, 100, 50)).save(folder / "image" / "0000001.jpg", quality=95)
    (folder / "intrinsics.txt").write_text(" ".join(f"{value:.10g}" for value in intrinsics.ravel()) + " ")
    rows = np.concatenate([upright, np.zeros((3, 1))], axis=1)
    text = "\n".join(" ".join(f"{value:.10g}" for value in row) for row in rows)
    (folder / "extrinsics" / "20140601.txt").write_text(text + "\n")


def write_mat(path: Path, frames: list[dict]) -> None:
    """SUNRGBDMeta as MATLAB stores it: a row of structs, whose groundtruth3DBB is again a row of structs."""
    fields = [(name, object) for name in ("depthpath", "K", "Rtilt", "groundtruth3DBB")]
    table = np.zeros((1, len(frames)), fields)
    for number, frame in enumerate(frames):
        box_fields = [(name, object) for name in ("classname", "centroid", "coeffs", "orientation")]
        boxes = np.zeros((1, len(frame["boxes"])), box_fields) if frame["boxes"] else np.zeros((0, 0))
        for place, box in enumerate(frame["boxes"]):
            boxes[0, place] = tuple(box)
        table[0, number] = (frame["depthpath"], frame["K"], frame["Rtilt"], boxes)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"SUNRGBDMeta": table})


def cells(names: list[str]) -> np.ndarray:
    """A MATLAB cell row of texts."""
    row = np.empty((1, len(names)), object)
    row[0, :] = names
    return row


def write_point_folder(root: Path, rooms: int = 4, validation: object = ("room3.npy",)) -> Path:
    """Own data: clouds as `.npy` with boxes of three classes; returns the folder."""
    root.mkdir(parents=True, exist_ok=True)
    scenes = {}
    for number in range(rooms):
        np.save(root / f"room{number}.npy", room(number).xyz)
        scenes[f"room{number}.npy"] = [
            {"class": label.split()[-1], "center": list(centre), "size": list(size), "yaw": 0.0}
            for label, centre, size in FURNITURE
            if label != "book"
        ]
    listing = {"format": 1, "class_names": ["chair", "table", "can"], "scenes": scenes, "validation": validation}
    (root / "boxes.json").write_text(json.dumps(listing))
    return root


def edit_boxes(root: Path, **changes: object) -> None:
    """Replaces top-level keys of `boxes.json`; a key with value None goes."""
    listing = {**json.loads((root / "boxes.json").read_text()), **changes}
    (root / "boxes.json").write_text(json.dumps({key: value for key, value in listing.items() if value is not None}))
