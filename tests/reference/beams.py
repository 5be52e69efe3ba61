"""Where a ray meets a solid, by walking along it in small steps."""

import numpy as np

from pointcloud.generate.streets.shapes import ALBEDO, BALL, CONE, CONVEX, KIND, YAW, A, B, C, X, Z

assert ALBEDO == 11, "columns as in the table below"


def inside(solid: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which of the points (n, 3) lie in the solid."""
    cos, sin = np.cos(solid[YAW]), np.sin(solid[YAW])
    x, y, z = ((points - solid[X : Z + 1]) @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])).T
    if solid[KIND] == CONVEX:
        own = faces[int(solid[A]) : int(solid[A] + solid[B])]
        return (np.column_stack([x, y, z]) @ own[:, :3].T <= own[:, 3]).all(axis=1)
    if solid[KIND] == CONE:
        radius = solid[A] + (solid[B] - solid[A]) * z / solid[C]
        return (z >= 0) & (z <= solid[C]) & (np.hypot(x, y) <= radius)
    assert solid[KIND] == BALL
    return (x / solid[A]) ** 2 + (y / solid[B]) ** 2 + (z / solid[C]) ** 2 <= 1


def first_inside(solid: np.ndarray, faces: np.ndarray, ray: np.ndarray, farthest: float, step: float) -> float:
    """Metres along a ray from the origin to the first place in the solid, infinite without one."""
    along = np.arange(0, farthest, step)
    held = inside(solid, faces, along[:, None] * ray)
    return float(along[held.argmax()]) if held.any() else np.inf
