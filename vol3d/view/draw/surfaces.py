"""Surfaces of organs from their masks: naive surface nets (Gibson 1998), which need no table of cases.

Every cell of eight neighbouring voxels that the surface crosses gets one vertex, at the mean of the crossings of its
edges; every voxel edge that the surface crosses joins the four cells around it. The mask is blurred a little first, so
that the surface is as smooth as the organ rather than stepped like its voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from vol3d.view.scene import MaskLayer

_BLUR, _BLUR_VOXELS, _LEVEL = 0.8, 4.0, 0.5  # of the largest spacing; of an axis' own, at most
_LONGEST = 160  # voxels along an organ's longest side; larger ones are thinned for speed


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface of one organ.

    Args:
        name: of the class.
        colour: `#rrggbb`.
        vertices: (V, 3) float32 RAS mm.
        normals: (V, 3) float32 of unit length, outwards.
        faces: (F, 3) int32 corners, counter-clockwise seen from outside.
    """

    name: str
    colour: str
    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray


def organ_surfaces(mask: MaskLayer) -> list[Surface]:
    """The surface of each class of the mask that has one, in the order of the labels."""
    labels, affine = mask.segmentation.labels, mask.segmentation.grid.affine
    places = ndimage.find_objects(labels.astype(np.int32, copy=False))
    spacing = np.array(mask.segmentation.grid.spacing_mm)
    # The same millimetres along all axes, so that thick slices leave no steps.
    blur = _BLUR * np.minimum(spacing.max() / spacing, _BLUR_VOXELS)
    surfaces = []
    for label, colour in mask.colours.items():
        place = places[label - 1] if label <= len(places) else None
        if place is None:
            continue
        vertices, faces = _of_crop(labels[place] == label, blur)
        vertices += [part.start for part in place]
        world = vertices @ affine[:3, :3].T + affine[:3, 3]
        if np.linalg.det(affine[:3, :3]) < 0:
            faces = faces[:, ::-1]
        name = mask.segmentation.class_names[label]
        surfaces.append(Surface(name, colour, world.astype(np.float32), _normals(world, faces), faces))
    return surfaces


def surface_net(field: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The surface where `field` (i, j, k) crosses `level`; closed if no border voxel is above it.

    Returns:
        (V, 3) float64 vertices in voxel indices; (F, 3) int32 triangles, counter-clockwise seen from below the level.
    """
    above = field > level
    cells, crossings = np.zeros(np.subtract(field.shape, 1), np.int32), []
    for axis in range(3):
        crossings.append(_crossings(field, above, axis, level))
    # A vertex is the mean of the crossings of its cell's twelve edges.
    total, count = np.zeros((*cells.shape, 3)), np.zeros(cells.shape)
    for axis, (edges, points) in enumerate(crossings):
        for cell in _cells_around(edges, axis):
            inside = ((cell >= 0) & (cell < cells.shape)).all(axis=1)
            where = tuple(cell[inside].T)
            np.add.at(total, where, points[inside])
            np.add.at(count, where, 1)
    used = count > 0
    cells[used] = np.arange(np.count_nonzero(used))
    faces = [_quads(cells, above, axis, edges) for axis, (edges, _) in enumerate(crossings)]
    return total[used] / count[used][:, None], np.concatenate(faces).astype(np.int32)


def _of_crop(inside: np.ndarray, blur: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    step = max(1, -(-max(inside.shape) // _LONGEST))
    pad = 3 * step + int(2 * blur.max())
    field = np.pad(inside.astype(np.float32), pad)
    if step > 1:
        field = ndimage.uniform_filter(field, step)[::step, ::step, ::step]
    blurred = ndimage.gaussian_filter(field, blur / step)
    if not (blurred > _LEVEL).any():  # too thin to survive the blur
        blurred = field
    blurred[[0, -1]] = blurred[:, [0, -1]] = blurred[:, :, [0, -1]] = 0
    vertices, faces = surface_net(blurred, min(_LEVEL, 0.5 * float(blurred.max())))
    shift = 0.0 if step % 2 else 0.5  # an even filter's mean stands half a voxel before its voxel
    return vertices * step - pad - shift, faces


def _crossings(field: np.ndarray, above: np.ndarray, axis: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower voxel (E, 3) of each edge along `axis` that crosses the level, and where (E, 3) it does."""
    low, high = (tuple(slice(a, b) if d == axis else slice(None) for d in range(3)) for a, b in ((0, -1), (1, None)))
    edges = np.argwhere(above[low] != above[high])
    ends = edges + np.eye(3, dtype=int)[axis]
    first, second = field[tuple(edges.T)].astype(np.float64), field[tuple(ends.T)].astype(np.float64)
    points = edges.astype(np.float64)
    points[:, axis] += (level - first) / (second - first)
    return edges, points


def _cells_around(edges: np.ndarray, axis: int) -> list[np.ndarray]:
    """The four cells (E, 3) that share each edge along `axis`, counter-clockwise seen from its upper end."""
    across, up = np.eye(3, dtype=int)[(axis + 1) % 3], np.eye(3, dtype=int)[(axis + 2) % 3]
    return [edges - across - up, edges - up, edges, edges - across]


def _quads(cells: np.ndarray, above: np.ndarray, axis: int, edges: np.ndarray) -> np.ndarray:
    """(2 E, 3) triangles of the four cells around each edge that has them all."""
    around = _cells_around(edges, axis)
    whole = np.all([((cell >= 0) & (cell < cells.shape)).all(axis=1) for cell in around], axis=0)
    quad = np.stack([cells[tuple(cell[whole].T)] for cell in around], axis=1)
    leaving = above[tuple(edges[whole].T)]  # the surface looks along the axis, away from what is above the level
    quad = np.where(leaving[:, None], quad, quad[:, ::-1])
    return np.concatenate((quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]))


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32: the mean of the faces' normals around each vertex, by their areas."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    face = np.cross(b - a, c - a)
    summed = np.zeros_like(vertices)
    for corner in range(3):
        for axis in range(3):
            summed[:, axis] += np.bincount(faces[:, corner], face[:, axis], len(vertices))
    return (summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)).astype(np.float32)
