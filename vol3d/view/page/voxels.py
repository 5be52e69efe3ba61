"""A volume and its masks as textures: half floats that keep the window free to move, and one byte for each label."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from vol3d.view.page.buffers import Buffers, as_buffer
from vol3d.view.scene import MaskLayer, VolumeLayer
from vol3d.view.surfaces import organ_surfaces

MOST_VOXELS = 96_000_000
LONGEST = 2048  # voxels along an edge of a texture that every browser with WebGL 2 on a computer takes
_LABELS = 255


def describe_volume(layer: VolumeLayer, buffers: Buffers, notes: list[str]) -> dict[str, Any]:
    """The part of the description that tells of a volume; its arrays go to `buffers`.

    Voxels are half floats from -1 (lowest) to 1 (highest value): eight bits would not survive a narrow window of a CT.
    Too large volumes lose every other voxel along their longest edges, and a note says so.
    """
    image = layer.volume.array[0]
    steps = thinning(image.shape)
    cut = tuple(slice(None, None, step) for step in steps)
    affine = layer.volume.affine @ np.diag([*steps, 1.0])
    if max(steps) > 1:
        every = " x ".join(str(step) for step in steps)
        notes.append(f"The volume is too large for a page: of each {every} voxels one is shown.")
    finite = image[np.isfinite(image)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    half = max((high - low) / 2, 1e-12)
    buffers["voxels"] = lambda: as_buffer(_half_floats(image[cut], low + half, half))
    return {
        "name": layer.name,
        "shape": list(image[cut].shape),
        "affine": [[float(value) for value in row] for row in affine],
        "range": [low, low + 2 * half],
        "window": [float(value) for value in layer.window],
        "voxels": "voxels",
        "masks": [_describe_mask(mask, i, cut, buffers) for i, mask in enumerate(layer.masks)],
    }


def thinning(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Every how many voxels one is sent along each axis."""
    steps = [-(-n // LONGEST) for n in shape]
    while np.prod([-(-n // step) for n, step in zip(shape, steps, strict=True)]) > MOST_VOXELS:
        steps[int(np.argmax([n / step for n, step in zip(shape, steps, strict=True)]))] += 1
    return tuple(steps)


def _half_floats(values: np.ndarray, middle: float, half: float) -> np.ndarray:
    scaled = (values.astype(np.float64) - middle) / half if half > 1e30 else (values - middle) / half
    return np.nan_to_num(scaled, nan=-1.0, posinf=1.0, neginf=-1.0).astype("<f2")


def _describe_mask(layer: MaskLayer, number: int, cut: tuple[slice, ...], buffers: Buffers) -> dict[str, Any]:
    """Labels are numbered anew from 1, so that a byte holds them; what is past the 255th shares its colour."""
    found = layer.segmentation
    present = sorted(layer.colours)
    table = np.zeros(max([int(found.labels.max(initial=0)), *present]) + 1, np.uint8)
    table[present] = np.minimum(np.arange(len(present)) + 1, _LABELS)
    name = f"mask{number}"
    buffers[name] = lambda: as_buffer(table[found.labels[cut]])
    volumes = found.volumes_ml()
    organs = []
    for label in present[:_LABELS]:
        buffers[f"{name}-surface{label}"] = cache(partial(_mesh, layer, label))
        class_name = found.class_names[label] if label < len(found.class_names) else f"label {label}"
        organs.append(
            {
                "name": class_name,
                "colour": layer.colours[label],
                "volume_ml": volumes.get(class_name, 0.0),
                "surface": f"{name}-surface{label}",
            }
        )
    return {"name": layer.name, "labels": name, "organs": organs}


def _mesh(layer: MaskLayer, label: int) -> bytes:
    """Number of corners and of triangles (uint32), corners and normals (float32 xyz, RAS mm), triangles (uint32)."""
    parts = [np.zeros(2, "<u4")]
    for organ in organ_surfaces(replace(layer, colours={label: layer.colours[label]})):
        parts = [
            np.array([len(organ.vertices), len(organ.faces)], "<u4"),
            organ.vertices.astype("<f4"),
            organ.normals.astype("<f4"),
            organ.faces.astype("<u4"),
        ]
    return b"".join(part.tobytes() for part in parts)
