"""Class-balanced sampling of scenes (CBGS: Zhu et al., "Class-balanced Grouping and Sampling", 2019, section 3.1).

Every class gets the same share of an epoch: scenes are drawn with replacement from those that hold it. A scene with
many classes is drawn for any of them, so that the objects come out more even, not equal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
