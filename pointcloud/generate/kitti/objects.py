"""A street with objects of KITTI's types and sizes: those of a drive renamed, resized, reshaped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pointcloud.generate.drives.shapes import KINDS, Part
from pointcloud.generate.drives.street import Actor, Street

TYPES = ("Car", "Van", "Truck", "Pedestrian", "Cyclist", "Misc")
VANS = 0.12  # share of the cars
_NAMES = {
    **{"car": "Car", "van": "Van", "truck": "Truck", "pedestrian": "Pedestrian"},
    **{"bus": "Misc", "trailer": "Misc", "construction_vehicle": "Misc"},
}
"""Of what is labelled at all; cycles only with a rider."""
_SIZES = {
    "Car": (3.88, 1.63, 1.53),
    "Van": (5.0, 1.9, 2.15),
    "Pedestrian": (0.84, 0.66, 1.76),
    "Cyclist": (1.76, 0.6, 1.74),
}
"""Mean length, width, height in metres; of a cyclist with the rider. Other types are as large as nuScenes'."""
_SHAPES: dict[str, tuple[Part, ...]] = {
    "Van": (
        ("box", -0.5, 0.5, -0.5, 0.5, 0.1, 0.55), ("box", -0.5, 0.3, -0.47, 0.47, 0.55, 1.0),
        ("box", -0.38, -0.24, -0.5, 0.5, 0.0, 0.15), ("box", 0.24, 0.38, -0.5, 0.5, 0.0, 0.15),
    ),
    "Cyclist": (
        ("box", -0.5, -0.12, -0.06, 0.06, 0.0, 0.38), ("box", 0.12, 0.5, -0.06, 0.06, 0.0, 0.38),
        ("box", -0.15, 0.25, -0.1, 0.1, 0.25, 0.5), ("box", 0.15, 0.22, -0.5, 0.5, 0.52, 0.58),
        ("cone", -0.05, 0.0, 0.45, 0.86, 0.34, 0.42), ("ball", 0.02, 0.0, 0.92, 0.07, 0.18, 0.08),
    ),
}  # fmt: skip


def with_kitti_types(street: Street, rng: np.random.Generator) -> Street:
    """The street; `category` of its actors is now one of `TYPES`, or empty."""
    return replace(street, actors=tuple(_renamed(one, rng) for one in street.actors))


def _renamed(one: Actor, rng: np.random.Generator) -> Actor:
    kind = "van" if one.kind == "car" and rng.random() < VANS else one.kind
    name = _NAMES.get(kind, "")
    if kind in ("bicycle", "motorcycle") and one.speed:
        name = "Cyclist" if kind == "bicycle" else "Misc"
    usual = KINDS[one.kind].size
    ratios = np.divide(_SIZES.get(name, usual), usual)
    length, width, height = (float(size) for size in one.size * ratios)
    return replace(one, category=name, size=(length, width, height), parts=_SHAPES.get(name, one.parts))
