"""A volume and its masks as textures: half floats that keep the window free to move, and one byte for each label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
from scipy.ndimage import find_objects

from vol3d.scans.volumes.volume import Grid
from vol3d.view.draw.surfaces import organ_surfaces
from vol3d.view.page.buffers import Buffers, as_buffer
from vol3d.view.scene import MaskLayer, VolumeLayer

MOST_VOXELS = 96_000_000
LONGEST = 2048  # voxels along an edge of a texture that every browser with WebGL 2 on a computer takes
_LABELS = 255


def describe_volume(layer: VolumeLayer, buffers: Buffers, notes: list[str]) -> dict[str, Any]:
    """The part of the description that covers a volume; its arrays go to `buffers`.

    Voxels are half floats from -1 (lowest) to 1 (highest value): eight bits would not survive a narrow window of a CT.
    Too large volumes lose every other voxel along their longest edges, which is noted.
    """
    image = layer.volume.array[0]
    steps = thinning(image.shape)
    cut = tuple(slice(None, None, step) for step in steps)
    affine = layer.volume.affine @ np.diag([*steps, 1.0])
    if max(steps) > 1:
        every = " x ".join(str(step) for step in steps)
        notes.append(f"The volume is too large for a page: of each {every} voxels one is shown.")
    low, high = _range(image)
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


def _range(image: np.ndarray) -> tuple[float, float]:
    """Lowest and highest finite value; 0 and 1 where there is none."""
    finite = np.isfinite(image)
    low, high = (float(end(image, where=finite, initial=start)) for end, start in ((np.min, np.inf), (np.max, -np.inf)))
    return (low, high) if low <= high else (0.0, 1.0)


def thinning(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Every how many voxels one is sent along each axis."""
    steps = [-(-n // LONGEST) for n in shape]
    while np.prod([-(-n // step) for n, step in zip(shape, steps, strict=True)]) > MOST_VOXELS:
        steps[int(np.argmax([n / step for n, step in zip(shape, steps, strict=True)]))] += 1
    return tuple(steps)


def _half_floats(values: np.ndarray, middle: float, half: float) -> np.ndarray:
    sent = np.empty(values.shape, "<f2")
    for slab, plane in zip(sent, values, strict=True):  # so that no copy in float32 is made of the whole
        scaled = np.nan_to_num((plane - np.float64(middle)) / half, nan=-1.0, posinf=1.0, neginf=-1.0)
        slab[...] = scaled.clip(-1, 1)
    return sent


def _describe_mask(layer: MaskLayer, number: int, cut: tuple[slice, ...], buffers: Buffers) -> dict[str, Any]:
    """Labels are numbered anew from 1, so that a byte holds them; what is past the 255th shares its colour."""
    found = layer.segmentation
    present = sorted(layer.colours)
    table = np.zeros(max([int(found.labels.max(initial=0)), *present]) + 1, np.uint8)
    table[present] = np.minimum(np.arange(len(present)) + 1, _LABELS)
    name = f"mask{number}"
    buffers[name] = lambda: as_buffer(table[found.labels[cut]])
    places = cache(partial(find_objects, found.labels.astype(np.int32, copy=False)))
    volumes = found.volumes_ml()
    organs = []
    for label in present[:_LABELS]:
        buffers[f"{name}-surface{label}"] = cache(partial(_mesh, layer, label, places))
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


def _mesh(layer: MaskLayer, label: int, places: Callable[[], list[tuple[slice, ...] | None]]) -> bytes:
    """Number of corners and of triangles (uint32), corners and normals (float32 xyz, RAS mm), triangles (uint32).

    Args:
        places: where each label from 1 on lies in the volume; looked for once for all organs.
    """
    parts = [np.zeros(2, "<u4")]
    for organ in organ_surfaces(_alone(layer, label, places())):
        parts = [
            np.array([len(organ.vertices), len(organ.faces)], "<u4"),
            organ.vertices.astype("<f4"),
            organ.normals.astype("<f4"),
            organ.faces.astype("<u4"),
        ]
    return b"".join(part.tobytes() for part in parts)


def _alone(layer: MaskLayer, label: int, places: list[tuple[slice, ...] | None]) -> MaskLayer:
    """The part of the volume that holds one label, which is the only one to be drawn."""
    found = layer.segmentation
    place = (places[label - 1] if label <= len(places) else None) or (slice(0, 1),) * 3
    affine = found.grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in place]
    labels = found.labels[place]
    part = replace(found, labels=labels, grid=Grid(labels.shape, affine))
    return replace(layer, segmentation=part, colours={label: layer.colours[label]})
