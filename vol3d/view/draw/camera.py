"""A pinhole camera that views a scene from above at an angle, and places itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vol3d.view.scene import Camera

_FIELD_OF_VIEW = np.radians(38.0)  # across the shorter side
_NEAR = 1e-3  # of the distance to the target; what is nearer is not drawn
_TRIED = tuple(range(15, 375, 30))  # azimuths; none looks along the walls of a room that lies along the axes
_LOOKED_AT, _COARSE = 12_000, 96
_STEEP, _ROOM_LIKE = 55.0, 0.12
_SPARE = 0.06  # of a room beyond the middle 98 % of its points
_ABOVE = Camera(-90.0, 89.0)  # of a drive: x to the right and y up, as on a map


@dataclass(frozen=True, eq=False)
class View:
    """A camera that stands somewhere.

    Args:
        eye: (3,) where it stands.
        axes: (3, 3) rows: to the right, down and into the picture.
        focal_px: pixels that an object as large as its distance takes.
        size: width and height of the picture in pixels.
        near: what is nearer is not drawn.
    """

    eye: np.ndarray
    axes: np.ndarray
    focal_px: float
    size: tuple[int, int]
    near: float

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (..., 2), x to the right and y down, and depths (...) of points (..., 3); NaN before `near`."""
        seen = (points - self.eye) @ self.axes.T
        depth = np.where(seen[..., 2] > self.near, seen[..., 2], np.nan)
        with np.errstate(invalid="ignore", over="ignore"):
            pixels = self.focal_px * seen[..., :2] / depth[..., None] + np.array(self.size) / 2
        return pixels, depth

    def scaled(self, factor: int) -> View:
        """The same view with `factor` times as many pixels along each side."""
        width, height = self.size
        return View(self.eye, self.axes, self.focal_px * factor, (width * factor, height * factor), self.near)


def place_camera(camera: Camera, points: np.ndarray, size: tuple[int, int], hold: np.ndarray | None = None) -> View:
    """The view of the points that `camera` describes.

    Args:
        camera: an azimuth or elevation of None is looked for: a drive is seen from above, a room from the side from
            which most points are seen.
        points: (N, 3); stray ones may fall outside of the picture.
        size: width and height in pixels.
        hold: (M, 3) further points, such as corners of boxes, that must all be in the picture.
    """
    held = np.zeros((0, 3)) if hold is None else hold.reshape(-1, 3)
    sample = points[:: max(1, len(points) // _LOOKED_AT)].astype(np.float64)
    steep, body = _body(sample, held)
    elevation = camera.elevation
    if elevation is None:
        elevation = _STEEP if steep else _ABOVE.elevation or 0.0
    azimuth = camera.azimuth if camera.azimuth is not None or steep or camera.elevation is not None else _ABOVE.azimuth
    if azimuth is None:
        views = [_stand(body, angle, elevation, 1.0, (_COARSE, _COARSE)) for angle in _TRIED]
        azimuth = float(_TRIED[int(np.argmax([_seen(view, sample) for view in views]))])
    return _stand(body, azimuth, elevation, camera.zoom, size)


def _body(sample: np.ndarray, held: np.ndarray) -> tuple[bool, np.ndarray]:
    """Whether the points are as high as a room, and what must be in the picture; stray points need not."""
    if not len(sample):
        return True, held if len(held) else np.zeros((1, 3))
    low, high = np.percentile(sample, [1, 99], axis=0)
    room = bool((high - low)[2] > _ROOM_LIKE * max((high - low)[:2].max(), 1e-9))
    if not room:  # a drive thins out towards its edges
        low, high = np.percentile(sample, [4, 96], axis=0)
        high[2] = np.percentile(sample[:, 2], 99)
    else:
        low, high = low - _SPARE * (high - low), high + _SPARE * (high - low)
    core = sample[((sample >= low) & (sample <= high)).all(axis=1)]
    body = np.concatenate((core, held))
    return room, body if len(body) else sample


def _stand(body: np.ndarray, azimuth: float, elevation: float, zoom: float, size: tuple[int, int]) -> View:
    """Stand as far away as it takes to see all of `body`, and aim so that it fills the picture evenly."""
    turn, rise = np.radians(azimuth), np.radians(elevation)
    into = -np.array((np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)))
    right = np.array((-np.sin(turn), np.cos(turn), 0.0))
    axes = np.stack((right, np.cross(into, right), into))
    local = body @ axes.T
    focal = min(size) / 2 / np.tan(_FIELD_OF_VIEW / 2)
    eye = np.zeros(3)
    back = []
    for side in (0, 1):
        slope = 0.97 * size[side] / 2 / focal  # of the picture's edge
        # The eye at (e, z) sees a point (p, d) inside if |p - e| <= slope (d - z): two half-planes.
        first, second = (local[:, side] - slope * local[:, 2]).max(), (local[:, side] + slope * local[:, 2]).min()
        eye[side] = (first + second) / 2
        back.append((second - first) / 2 / slope)
    nearest, farthest = local[:, 2].min(), local[:, 2].max()
    smallest = max(float(np.ptp(local, axis=0).max()), 1e-3)
    eye[2] = min(*back, nearest - 0.05 * smallest)
    middle = (nearest + farthest) / 2
    eye[2] = middle - (middle - eye[2]) / zoom
    centre = np.median(local[:, :2], axis=0)  # the nearer the eye comes, the more it looks there
    eye[:2] = centre + (eye[:2] - centre) / (zoom * max(zoom, 1.0))
    return View(axes.T @ eye, axes, focal, size, _NEAR * (middle - eye[2]))


def _seen(view: View, sample: np.ndarray) -> int:
    """How many of the points no other point hides, judged by a coarse picture."""
    pixels, depth = view.project(sample)
    with np.errstate(invalid="ignore"):
        inside = np.isfinite(depth) & (pixels >= 0).all(axis=1) & (pixels < view.size[0]).all(axis=1)
    cell = pixels[inside].astype(np.int64) @ np.array((1, view.size[0]))
    nearest = np.full(view.size[0] ** 2, np.inf)
    np.minimum.at(nearest, cell, depth[inside])
    return int(np.count_nonzero(depth[inside] < 1.03 * nearest[cell]))
