"""The plain twin of `pointcloud.generate.rooms.visibility`: one ray per vertex and view against every triangle."""

import numpy as np


def hidden(corners: np.ndarray, xyz: np.ndarray, centre: np.ndarray, slack: float) -> np.ndarray:
    """Whether a face lies between `centre` and each vertex (N, 3), more than `slack` metres before it."""
    triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
    a, ab, ac = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    result = np.zeros(len(xyz), bool)
    for i, vertex in enumerate(xyz):
        ray = vertex - centre
        p = np.cross(ray, ac)
        det = (ab * p).sum(1)
        det = np.where(np.abs(det) < 1e-12, np.nan, det)
        u = ((centre - a) * p).sum(1) / det
        q = np.cross(centre - a, ab)
        v = q @ ray / det
        t = (ac * q).sum(1) / det
        with np.errstate(invalid="ignore"):
            hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (t < 1 - slack / np.linalg.norm(ray))
        result[i] = hit.any()
    return result
