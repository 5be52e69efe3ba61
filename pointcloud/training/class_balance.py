"""Class-balanced sampling of scenes (CBGS: Zhu et al., "Class-balanced Grouping and Sampling", 2019, section 3.1).

Every class gets the same share of an epoch: scenes are drawn with replacement from those that hold it. A scene with
many classes is drawn for any of them, so that the objects come out more even, not equal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointcloud.datasets.kitti.dataset import KittiFrame
from pointcloud.datasets.nuscenes.sample import NuScenesSample
from pointcloud.datasets.prepared import PreparedScene
from pointcloud.datasets.scenes import SceneReader
from pointcloud.structures.class_names import NUSCENES_CLASSES


def balanced(labels: Sequence[np.ndarray], seed: int = 0) -> np.ndarray:
    """Indices of the scenes of a balanced epoch, class after class; scenes without objects are left out.

    A class gets `int(n_c * ratio_c)` draws of its n_c scenes, `ratio_c` being the share of one class by the share that
    the class has. Without any object at all each scene is taken once.

    Args:
        labels: of the objects of each scene.
        seed: of the draws, the same epoch each time.
    """
    present = [np.unique(own) for own in labels]
    found = np.unique(np.concatenate([np.zeros(0, np.int64), *present]))
    if not len(found):
        return np.arange(len(labels))
    holding = [np.array([scene for scene, own in enumerate(present) if label in own]) for label in found]
    total, rng = sum(len(scenes) for scenes in holding), np.random.default_rng(seed)
    drawn = []
    for scenes in holding:
        ratio = (1.0 / len(found)) / (len(scenes) / total)
        drawn.append(rng.choice(scenes, int(len(scenes) * ratio)))
    return np.concatenate(drawn)


def labels_of(scene: SceneReader) -> np.ndarray:
    """Labels of the objects that `read` would give; the points are read only where nothing else knows.

    Raises:
        DataError: a file is missing or damaged.
    """
    if isinstance(scene, NuScenesSample):
        found = scene.annotations()
        names = [name for name, points in zip(found.class_names, found.lidar_points, strict=True)
                 if name is not None and points >= scene.min_points]  # fmt: skip
        return np.array([NUSCENES_CLASSES.index(name) for name in names], np.int64)
    if isinstance(scene, KittiFrame):
        types = [name for name in scene.objects().types if name in scene.class_names]
        return np.array([scene.class_names.index(name) for name in types], np.int64)
    if isinstance(scene, PreparedScene):
        return np.asarray(scene.record()["labels"], np.int64)
    return scene.read().truth.labels
