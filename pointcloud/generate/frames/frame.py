"""One frame: a furnished room, seen once by a depth camera, and the boxes of what it shows.

Boxes are as SUN RGB-D's annotators drew them: the whole object, however little of it is seen, along its own sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pointcloud.generate.frames.depth import measured
from pointcloud.generate.frames.labels import LABELS
from pointcloud.generate.frames.viewpoint import Viewpoint, choose_viewpoint
from pointcloud.generate.rooms.depth_images import NOTHING, depth_image
from pointcloud.generate.rooms.furniture import Furniture, Rng
from pointcloud.generate.rooms.layout import Room, furnish
from pointcloud.generate.rooms.quads import Quads, join
from pointcloud.generate.rooms.scanning import colours
from pointcloud.generate.rooms.surface import normals_of

POINTS = 25_000  # kept of a frame
FEWEST_POINTS = 5_000
FEWEST_PIXELS, LEAST_SEEN = (
    0.0015,
    0.12,
)  # an annotated object: its share of the image, and the share of it that is seen
EMPTY = 0.08  # share of the frames that may show nothing of the classes
NEAREST_M = 1.0  # the middle of what is seen is farther than this
TRIES = 40
UPRIGHT_DEG = 0.5  # by which the found vertical is wrong


@dataclass(frozen=True, eq=False)
class MadeFrame:
    """A frame, x right, y ahead, z up, with the camera at the origin.

    Args:
        xyz: (N, 3) metres.
        rgb: (N, 3) uint8.
        boxes: (K, 7) in the package's convention.
        labels: (K,) index into SUN RGB-D's classes.
        viewpoint: from where.
    """

    xyz: np.ndarray
    rgb: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    viewpoint: Viewpoint


def make_frames(seed: int, room: int, views: int) -> Iterator[MadeFrame]:
    """The frames of a room: each a function of (seed, room, its own number) alone."""
    furnished = furnish(np.random.default_rng([seed, room]))
    for view in range(views):
        yield make_frame(np.random.default_rng([seed, room, view]), furnished)


def make_frame(rng: Rng, room: Room) -> MadeFrame:
    """One picture of the room; places from which it shows nothing are left for others."""
    furniture = [*room.shell, *room.furniture]
    quads = join([piece.quads for piece in furniture])
    piece_of_face = np.repeat(np.arange(len(furniture)), [len(piece.quads) for piece in furniture])
    may_be_empty = rng.random() < EMPTY

    for attempt in range(TRIES):
        view = choose_viewpoint(rng, room, [piece for piece in room.furniture if piece.label in LABELS])
        corners = (quads.corners - view.centre) @ view.rotation.T
        depth, face = depth_image(corners, view.sensor.size, view.sensor.focal)
        shown = [piece for n, piece in enumerate(furniture) if _is_shown(view, piece, piece_of_face[face] == n, face)]
        if attempt < TRIES - 1 and (np.median(depth) < NEAREST_M or not (shown or may_be_empty)):
            continue
        xyz, rgb = _points(rng, view, quads, depth, face)
        if len(xyz) >= FEWEST_POINTS or attempt == TRIES - 1:
            break

    boxes = view.upright_boxes(np.array([piece.box() for piece in shown]).reshape(-1, 7))
    labels = np.array([LABELS[piece.label] for piece in shown], np.int64)
    return MadeFrame(xyz.astype(np.float32), rgb, boxes, labels, view)


def _is_shown(view: Viewpoint, piece: Furniture, pixels: np.ndarray, face: np.ndarray) -> bool:
    """Whether an annotator would draw a box around the object: enough of it is in the picture and not hidden."""
    mine = np.count_nonzero(pixels & (face != NOTHING))
    if piece.label not in LABELS or mine < FEWEST_PIXELS * face.size:
        return False
    corners = (piece.quads.corners - view.centre) @ view.rotation.T
    width, height = view.sensor.size  # alone, in a picture twice as wide, of a quarter of the pixels
    alone, _ = depth_image(corners, (width, height), view.sensor.focal / 2)
    return mine >= LEAST_SEEN * 4 * np.count_nonzero(np.isfinite(alone))


def _points(
    rng: Rng, view: Viewpoint, quads: Quads, depth: np.ndarray, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the camera measures, at most `POINTS` of it, and colours."""
    height, width = depth.shape
    v, u = np.mgrid[:height, :width] + 0.5
    rays = np.stack([(u - width / 2), (v - height / 2), np.full(depth.shape, view.sensor.focal)], axis=-1)
    rays /= view.sensor.focal
    normals = normals_of(quads.corners)[face] @ view.rotation.T
    cosine = np.abs((normals * rays).sum(axis=-1)) / np.linalg.norm(rays, axis=-1)
    bright = quads.rgb[face].mean(axis=-1) / 255
    found = measured(rng, view.sensor, depth, cosine, quads.response[face], bright)

    rows = np.flatnonzero(found)
    rows = rng.permutation(rows)[:POINTS]
    faces = face.reshape(-1)[rows]
    in_camera = rays.reshape(-1, 3)[rows] * found.reshape(-1)[rows, None]
    in_room = in_camera @ view.rotation + view.centre
    rgb = colours(rng, quads.rgb[faces], normals_of(quads.corners)[faces], in_room)
    return view.upright(in_room) @ _slightly_turned(rng).T, rgb


def _slightly_turned(rng: Rng) -> np.ndarray:
    """A rotation about a level axis: the vertical of a frame is found, not known."""
    about_x, about_y = np.deg2rad(rng.normal(0, UPRIGHT_DEG, 2))
    return np.array([[1, 0, about_y], [0, 1, -about_x], [-about_y, about_x, 1]])
