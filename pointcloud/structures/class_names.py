"""Names of classes, in the order of labels, that released weights and data sets have in common."""

from __future__ import annotations

SCANNET_CLASSES = (
    "cabinet",
    "bed",
    "chair",
    "sofa",
    "table",
    "door",
    "window",
    "bookshelf",
    "picture",
    "counter",
    "desk",
    "curtain",
    "refrigerator",
    "showercurtrain",
    "toilet",
    "sink",
    "bathtub",
    "garbagebin",
)
"""ScanNet's 18; "showercurtrain" is how every code base and checkpoint spells it."""
SUN_RGBD_CLASSES = (
    "bed",
    "table",
    "sofa",
    "chair",
    "toilet",
    "desk",
    "dresser",
    "night_stand",
    "bookshelf",
    "bathtub",
)
NUSCENES_CLASSES = (
    "car",
    "truck",
    "construction_vehicle",
    "bus",
    "trailer",
    "barrier",
    "motorcycle",
    "bicycle",
    "pedestrian",
    "traffic_cone",
)
"""In CenterPoint's order, which groups classes of like size; other codes have other orders."""
KITTI_CLASSES = ("Car", "Pedestrian", "Cyclist")
