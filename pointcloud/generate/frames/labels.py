"""SUN RGB-D's class of the furniture that is generated; everything else is not annotated."""

from __future__ import annotations

from pointcloud.structures.class_names import SUN_RGBD_CLASSES

CLASSES = {
    "bed": "bed",
    "table": "table",
    "coffee table": "table",
    "end table": "table",
    "couch": "sofa",
    "chair": "chair",
    "office chair": "chair",
    "armchair": "chair",
    "toilet": "toilet",
    "desk": "desk",
    "dresser": "dresser",
    "nightstand": "night_stand",
    "bookshelf": "bookshelf",
    "bathtub": "bathtub",
}
LABELS = {name: SUN_RGBD_CLASSES.index(kind) for name, kind in CLASSES.items()}
