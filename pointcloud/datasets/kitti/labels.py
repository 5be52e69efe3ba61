"""Which rows of a KITTI label file are objects to detect, and what there is to wonder about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from pointcloud.conventions.kitti import KittiBoxes, boxes_from_kitti
from pointcloud.conventions.kitti_image import extents_in_image, without_image_box
from pointcloud.conventions.kitti_objects import KittiObjects
from pointcloud.datasets.annotations import refuse_angles, refuse_misspelt, refuse_sizes
from pointcloud.datasets.kitti.calibration import KittiCalibration
from pointcloud.structures.class_names import KITTI_CLASSES
from vol3d.class_names import chosen_names, plain_name
from vol3d.dataset_tools.fault import Fault

IGNORED = "DontCare"
TYPES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", IGNORED)
USUAL_OTHERS = tuple(name for name in TYPES if name not in KITTI_CLASSES)
"""Types that the benchmark does not score, so that nobody wonders where they are left out."""
ENOUGH = 3  # objects of a frame: fewer are no evidence about a convention
ALIKE = 0.3  # IoU that drawn and projected boxes of a real object exceed by far


def spelled(found: KittiObjects, class_names: Sequence[str], where: object) -> KittiObjects:
    """The objects with types as the classes, or else KITTI's own types, are spelled: `CAR` is `Car`, `dontcare` too.

    Raises:
        UsageError: a type is two of the classes, but for its spelling.
    """
    plain = {plain_name(name) for name in class_names}
    known = (*class_names, *(name for name in TYPES if plain_name(name) not in plain))
    types = [name for written in found.types.tolist() for name in chosen_names([written], known, str(where))]
    return replace(found, types=np.array(types, np.str_))


def respelled(written: KittiObjects, class_names: Sequence[str], where: object) -> list[str]:
    """`CAR for Car` for each object whose type `spelled` changes; errors as that."""
    found = spelled(written, class_names, where)
    both = zip(written.types.tolist(), found.types.tolist(), strict=True)
    return [f"{there} for {here}" for there, here in both if there != here]


def detected(found: KittiObjects, class_names: Sequence[str], where: object) -> KittiObjects:
    """The objects of the classes.

    Raises:
        AnnotationError: a type that is a class's name but for a plural or punctuation, a size that is none, an angle
            that is not in radians.
    """
    refuse_misspelt(found.types.tolist(), (*class_names, *TYPES), where)
    found = found.select(np.isin(found.types, class_names))
    refuse_sizes(found.dimensions_hwl, found.types, where)
    refuse_angles(found.rotation_y, "rotation_y", where)
    return found


def others(found: KittiObjects, class_names: Sequence[str]) -> list[str]:
    """Types of the objects that are of no class."""
    return [name for name in found.types.tolist() if name not in class_names and name != IGNORED]


def lidar_boxes(objects: KittiObjects, calibration: KittiCalibration) -> np.ndarray:
    """Boxes (n, 7) float32 of objects in the LiDAR frame."""
    columns = (objects.location, objects.dimensions_hwl, objects.rotation_y)
    labels = KittiBoxes(*(torch.from_numpy(np.asarray(column, np.float64)) for column in columns))
    return boxes_from_kitti(labels, torch.from_numpy(calibration.lidar_from_camera)).float().numpy()


def image_faults(
    name: str, found: KittiObjects, calibration: KittiCalibration, size: tuple[int, int]
) -> Iterator[Fault]:
    """Boxes in the image that are not there, or that are elsewhere than the boxes in space are seen.

    Args:
        name: of the frame.
        found: objects of the classes.
        size: width and height of the image, pixels.
    """
    absent = without_image_box(found)
    if absent.any():
        what = f"{absent.sum()} of {len(absent)} objects have no box in the image"
        do = "Evaluation projects their boxes in space; write left top right bottom for scores like the benchmark's."
        numbers = {"objects": int(absent.sum())}
        yield Fault(name, "warning", what, do, code="image-box-absent", numbers=numbers)
    drawn = found.select(~absent)
    if len(drawn) >= ENOUGH:
        iou = float(np.median(_overlaps(drawn, calibration, size)))
        if iou < ALIKE:
            what = f"boxes in the image overlap the projected boxes in space by an IoU of {iou:.2f} only"
            do = "Check left top right bottom (pixels), P2, and location, h w l, rotation_y of the same objects."
            yield Fault(name, "warning", what, do, code="image-box-misplaced", numbers={"iou": iou})


def _overlaps(drawn: KittiObjects, calibration: KittiCalibration, size: tuple[int, int]) -> np.ndarray:
    """IoU (n,) of the drawn and the projected box of each object."""
    boxes = torch.from_numpy(lidar_boxes(drawn, calibration).astype(np.float64))
    seen = extents_in_image(boxes, torch.from_numpy(calibration.lidar_from_camera), calibration.p2)
    seen = seen.clip(0, np.tile(np.array(size) - 1, 2))
    low, high = np.maximum(drawn.bbox[:, :2], seen[:, :2]), np.minimum(drawn.bbox[:, 2:], seen[:, 2:])
    common = (high - low).clip(min=0).prod(axis=1)
    areas = [(one[:, 2:] - one[:, :2]).clip(min=0).prod(axis=1) for one in (drawn.bbox, seen)]
    return common / np.maximum(sum(areas) - common, 1e-9)
