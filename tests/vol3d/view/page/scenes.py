"""Small scenes whose every number is known."""

from __future__ import annotations

import numpy as np

from vol3d.scans.results.detections import Detections
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume
from vol3d.view.scene import BoxLayer, MaskLayer, PointLayer, ViewScene, VolumeLayer

COLOURS = {"chair": "#e69f00", "table": "#4d9de0", "lamp": "#cc6677"}


def room(points: int = 3000) -> ViewScene:
    """A floor, three annotated boxes, and four found ones with scores from 0.2 to 0.8."""
    rng = np.random.default_rng(0)
    xyz = rng.uniform((-3, -3, 0), (3, 3, 0.02), (points, 3)).astype(np.float32)
    layer = PointLayer(
        "floor",
        xyz,
        rgb=rng.integers(90, 255, (points, 3), np.uint8, endpoint=True),
        intensity=rng.random(points, np.float32),
        classes=rng.integers(0, 20, points),
    )
    boxes = np.array([(0, 0, 0.5, 2, 2, 1, 0.3), (2, 2, 0.5, 0.5, 0.5, 1, 1), (-2, 2, 0.5, 0.5, 1, 1, 2)], np.float32)
    found = np.concatenate([boxes, [(2, -2, 0.4, 0.6, 0.6, 0.8, -1)]]).astype(np.float32)
    found[:3, :2] += 0.1
    names = tuple(COLOURS)
    truth = Detections(boxes, np.ones(3, np.float32), np.array([1, 0, 0]), names)
    scored = Detections(found, np.array([0.8, 0.6, 0.4, 0.2], np.float32), np.array([1, 0, 0, 0]), names)
    layers = (BoxLayer("ground truth", truth, False, "#56c1ff"), BoxLayer("found", scored, True, "#ffa62b"))
    return ViewScene("a room", (layer,), layers, class_colours=COLOURS, notes=("The axes were turned z up.",))


def organ(start_mm: tuple[float, float, float] = (-20, 5, 7)) -> ViewScene:
    """A bright ball of label 3 in a volume whose voxels are 2 x 1 x 1.5 mm, from -1000 to 3000."""
    shape, affine = (20, 24, 28), np.diag([2.0, 1.0, 1.5, 1.0])
    affine[:3, 3] = start_mm
    grid = Grid(shape, affine)
    world = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1) * (2, 1, 1.5)
    inside = np.linalg.norm(world - (20, 12, 21), axis=-1) < 9
    image = np.where(inside, 900.0, 0.0).astype(np.float32)
    image[0, 0, 0], image[-1, -1, -1] = -1000, 3000
    names = ("background", "liver", "spleen", "kidney")
    mask = MaskLayer("found", Segmentation(np.where(inside, 3, 0).astype(np.uint8), grid, names), {3: "#56b4e9"})
    return ViewScene("a ball", volume=VolumeLayer("ball", Volume(image[None], grid), (-200.0, 1000.0), (mask,)))
