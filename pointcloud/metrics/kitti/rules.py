"""What counts in KITTI's object benchmark, and how much each detection overlaps each annotated object.

The rules are those of the official development kit (`evaluate_object`): Geiger et al., CVPR 2012. An object that is
too small in the image, too occluded or too truncated for a difficulty, or of a class that looks alike, is **ignored**:
it may be found or missed at no cost. So is a detection that is too small. Other classes are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from pointcloud.conventions.kitti_objects import KittiObjects
from vol3d.geometry import iou_3d, iou_bev

CLASSES = ("Car", "Pedestrian", "Cyclist")
METRICS = ("bbox", "bev", "3d")
DIFFICULTIES = ("easy", "moderate", "hard")
MIN_OVERLAP = {"Car": 0.7, "Pedestrian": 0.5, "Cyclist": 0.5}
LOOSE_OVERLAP = {"Car": 0.5, "Pedestrian": 0.25, "Cyclist": 0.25}
"""From above and in space: the second set that the field reports, where being found counts more than being exact."""
_ALIKE = {"Car": "van", "Pedestrian": "person_sitting"}
_MIN_HEIGHT_PX = (40, 25, 25)
_MAX_OCCLUSION = (0, 1, 2)
_MAX_TRUNCATION = (0.15, 0.3, 0.5)
COUNTED, IGNORED, OTHER = 0, 1, -1


class Frame(NamedTuple):
    """One image: its objects, and what each detection (D,) shares with each of them (G,).

    Args:
        overlaps: (3, D, G) IoU in the image, from above and in space; 0 with what has no box in space.
        dont_care: (D,) the largest share of a detection's area in the image that lies in one unlabelled region.
    """

    truth: KittiObjects
    found: KittiObjects
    overlaps: np.ndarray
    dont_care: np.ndarray


def compare(found: KittiObjects, truth: KittiObjects) -> Frame:
    """Overlaps of the detections with the objects of one image; boxes in space stand upright in the camera's frame."""
    common = _common_area(found.bbox, truth.bbox)
    area, other = _area(found.bbox)[:, None], _area(truth.bbox)[None]
    regions = lower(truth.types) == "dontcare"
    shares = _ratio(common, np.broadcast_to(area, common.shape))[:, regions]
    overlaps = np.zeros((len(METRICS), len(found), len(truth)))
    overlaps[0] = _ratio(common, area + other - common)
    rows, columns = (np.flatnonzero((objects.dimensions_hwl > 0).all(axis=1)) for objects in (found, truth))
    first, second = (upright_boxes(o.select(keep)) for o, keep in ((found, rows), (truth, columns)))
    for metric, measure in ((1, iou_bev), (2, iou_3d)):
        overlaps[metric][np.ix_(rows, columns)] = measure(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    return Frame(truth, found, overlaps, shares.max(axis=1, initial=0))


def upright_boxes(objects: KittiObjects) -> np.ndarray:
    """(n, 7) boxes over the camera's own ground: x right, y forward, z up; turning about the camera's y axis."""
    x, down, forward = objects.location.T
    height, width, length = objects.dimensions_hwl.T
    return np.stack((x, forward, 0.5 * height - down, length, width, height, -objects.rotation_y), axis=1)


def state_of_truth(truth: KittiObjects, name: str, difficulty: int) -> np.ndarray:
    """(G,) `COUNTED`, `IGNORED` or `OTHER` for one class and difficulty (0, 1, 2); types are in lower case."""
    types, heights = truth.types, truth.bbox[:, 3] - truth.bbox[:, 1]
    hard = (truth.occlusion > _MAX_OCCLUSION[difficulty]) | (truth.truncation > _MAX_TRUNCATION[difficulty])
    hard |= heights <= _MIN_HEIGHT_PX[difficulty]
    own = types == name.lower()
    state = np.where(own, np.where(hard, IGNORED, COUNTED), OTHER)
    return np.where(types == _ALIKE.get(name, ""), IGNORED, state)


def state_of_found(found: KittiObjects, name: str, difficulty: int) -> np.ndarray:
    """(D,) likewise; what is too small is ignored whatever its class, as the original has it."""
    small = np.abs(found.bbox[:, 3] - found.bbox[:, 1]) < _MIN_HEIGHT_PX[difficulty]
    return np.where(small, IGNORED, np.where(found.types == name.lower(), COUNTED, OTHER))


def distances(objects: KittiObjects) -> np.ndarray:
    """(n,) metres from the camera, seen from above."""
    return np.hypot(objects.location[:, 0], objects.location[:, 2])


def lower(types: Sequence[str] | np.ndarray) -> np.ndarray:
    """Names of types as the kit compares them: it knows no capitals."""
    return np.char.lower(np.asarray(types, np.str_))


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _common_area(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return (high - low).clip(min=0).prod(axis=-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(part.shape), where=part > 0)
