"""One frame: a furnished room, seen once by a depth camera, and the boxes of what it shows.

Boxes are as SUN RGB-D's annotators drew them: the whole object, however little of it is seen, along its own sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

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


class _Things(NamedTuple):
    """All of a room: its pieces, their faces, and the piece that each face is of."""

    pieces: list[Furniture]
    quads: Quads
    piece_of_face: np.ndarray

    @classmethod
    def of(cls, room: Room) -> _Things:
        pieces = [*room.shell, *room.furniture]
        faces = [len(piece.quads) for piece in pieces]
        return cls(pieces, join([piece.quads for piece in pieces]), np.repeat(np.arange(len(pieces)), faces))


class _Picture(NamedTuple):
    """What is in front of a camera: true depths, faces, and the pieces that an annotator would draw a box around."""

    view: Viewpoint
    depth: np.ndarray
    face: np.ndarray
    shown: list[Furniture]


def make_frame(rng: Rng, room: Room) -> MadeFrame:
    """One picture of the room; places from which it shows nothing are left for others."""
    things, may_be_empty, left = _Things.of(room), rng.random() < EMPTY, TRIES
    of_interest = [piece for piece in room.furniture if piece.label in LABELS]
    while True:
        picture, left = _look(choose_viewpoint(rng, room, of_interest), things), left - 1
        if left > 0 and (np.median(picture.depth) < NEAREST_M or not (picture.shown or may_be_empty)):
            continue
        xyz, rgb = _points(rng, picture, things.quads)
        if len(xyz) < (FEWEST_POINTS if left > 0 else 1):
            continue
        boxes = picture.view.upright_boxes(np.array([piece.box() for piece in picture.shown]).reshape(-1, 7))
        labels = np.array([LABELS[piece.label] for piece in picture.shown], np.int64)
        return MadeFrame(xyz.astype(np.float32), rgb, boxes, labels, picture.view)


def _look(view: Viewpoint, things: _Things) -> _Picture:
    corners = (things.quads.corners - view.centre) @ view.rotation.T
    depth, face = depth_image(corners, view.sensor.size, view.sensor.focal)
    pixels = np.bincount(things.piece_of_face[face[face != NOTHING]], minlength=len(things.pieces))
    shown = [one for one, mine in zip(things.pieces, pixels.tolist(), strict=True) if _is_shown(view, one, mine)]
    return _Picture(view, depth, face, shown)


def _is_shown(view: Viewpoint, piece: Furniture, pixels: int) -> bool:
    """Whether an annotator would draw a box around the object: enough of it is in the picture and not hidden."""
    width, height = view.sensor.size
    if piece.label not in LABELS or pixels < FEWEST_PIXELS * width * height:
        return False
    corners = (piece.quads.corners - view.centre) @ view.rotation.T
    # Twice as wide a view, a quarter of the pixels.
    alone, _ = depth_image(corners, (width, height), view.sensor.focal / 2)
    return pixels >= LEAST_SEEN * 4 * int(np.isfinite(alone).sum())


def _points(rng: Rng, picture: _Picture, quads: Quads) -> tuple[np.ndarray, np.ndarray]:
    """What the camera measures, at most `POINTS` of it, in the cloud's frame; and colours."""
    view, depth, face, _ = picture
    normals, rays = normals_of(quads.corners), _rays(depth.shape, view.sensor.focal)
    cosine = np.abs((normals[face] @ view.rotation.T * rays).sum(axis=-1)) / np.linalg.norm(rays, axis=-1)
    bright = quads.rgb[face].mean(axis=-1) / 255
    found = measured(rng, view.sensor, depth, cosine, quads.response[face], bright)

    rows = rng.permutation(np.flatnonzero(found))[:POINTS]
    faces = face.reshape(-1)[rows]
    in_camera = rays.reshape(-1, 3)[rows] * found.reshape(-1)[rows, None]
    in_room = in_camera @ view.rotation + view.centre
    rgb = colours(rng, quads.rgb[faces], normals[faces], in_room)
    return view.upright(in_room) @ _slightly_turned(rng).T, rgb


def _rays(shape: tuple[int, ...], focal: float) -> np.ndarray:
    """(H, W, 3) the direction of each pixel in the camera's frame, of length 1 along the axis."""
    v, u = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.stack([(u - shape[1] / 2) / focal, (v - shape[0] / 2) / focal, np.ones(shape)], axis=-1)


def _slightly_turned(rng: Rng) -> np.ndarray:
    """A rotation about a level axis: the vertical of a frame is found, not known."""
    about_x, about_y = np.deg2rad(rng.normal(0, UPRIGHT_DEG, 2))
    return np.array([[1, 0, about_y], [0, 1, -about_x], [-about_y, about_x, 1]])
