"""What objects of the published data sets measure on average: where own boxes differ much, a unit is likely wrong.

Metres: ScanNet's are means of axis-aligned boxes over its training set (dx dy dz), SUN RGB-D's are medians of
turned boxes (l along the heading, w, h); both as VoteNet's size clusters have them (Qi et al., ICCV 2019).
"""

from __future__ import annotations

Size = tuple[float, float, float]

SCANNET: dict[str, Size] = {
    "cabinet": (0.76966727, 0.8116021, 0.92573744),
    "bed": (1.876858, 1.8425595, 1.1931566),
    "chair": (0.61328, 0.6148609, 0.7182701),
    "sofa": (1.3955007, 1.5121545, 0.83443564),
    "table": (0.97949594, 1.0675149, 0.6329687),
    "door": (0.531663, 0.5955577, 1.7500148),
    "window": (0.9624706, 0.72462326, 1.1481868),
    "bookshelf": (0.83221924, 1.0490936, 1.6875663),
    "picture": (0.21132214, 0.4206159, 0.5372846),
    "counter": (1.4440073, 1.8970833, 0.26985747),
    "desk": (1.0294262, 1.4040797, 0.87554324),
    "curtain": (1.3766412, 0.65521795, 1.6813129),
    "refrigerator": (0.6650819, 0.71111923, 1.298853),
    "showercurtrain": (0.41999173, 0.37906948, 1.7513971),
    "toilet": (0.59359556, 0.5912492, 0.73919016),
    "sink": (0.50867593, 0.50656086, 0.30136237),
    "bathtub": (1.1511526, 1.0546296, 0.49706793),
    "garbagebin": (0.47535285, 0.49249494, 0.5802117),
}

SUN_RGBD: dict[str, Size] = {
    "bed": (2.114256, 1.6203, 0.927272),
    "table": (0.791118, 1.279516, 0.718182),
    "sofa": (0.923508, 1.867419, 0.845495),
    "chair": (0.591958, 0.552978, 0.827272),
    "toilet": (0.699104, 0.454178, 0.75625),
    "desk": (0.69519, 1.346299, 0.736364),
    "dresser": (0.528526, 1.002642, 1.172878),
    "night_stand": (0.500618, 0.632163, 0.683424),
    "bookshelf": (0.404671, 1.071108, 1.688889),
    "bathtub": (0.76584, 1.398258, 0.472728),
}


STREET: dict[str, Size] = {
    "car": (4.3, 1.8, 1.6),
    "van": (5.1, 1.9, 2.2),
    "truck": (7.5, 2.5, 3.0),
    "construction vehicle": (6.4, 2.8, 3.2),
    "bus": (11.0, 2.9, 3.5),
    "trailer": (12.3, 2.9, 3.9),
    "barrier": (0.5, 2.5, 1.0),
    "tram": (16.0, 2.5, 3.5),
    "motorcycle": (2.1, 0.8, 1.5),
    "motorcyclist": (2.1, 0.8, 1.7),
    "bicycle": (1.7, 0.6, 1.2),
    "cyclist": (1.8, 0.6, 1.7),
    "pedestrian": (0.7, 0.65, 1.75),
    "traffic cone": (0.4, 0.4, 1.0),
}
"""On streets, l along the heading, w, h: between the medians of KITTI's labels and the sizes of nuScenes' objects that
detectors begin with (CBGS, Zhu et al. 2019), rounded."""

_ALSO = {
    "regular vehicle": "car",
    "vehicle": "car",
    "large vehicle": "truck",
    "box truck": "truck",
    "truck cab": "truck",
    "school bus": "bus",
    "vehicular trailer": "trailer",
    "person": "pedestrian",
    "bicyclist": "cyclist",
}


def usual_size(class_name: str, turned: bool) -> Size | None:
    """As `known_size`, and what objects on streets measure, however the class is written: `TRAFFIC_CONE`."""
    return known_size(class_name, turned) or street_size(class_name)


def street_size(class_name: str) -> Size | None:
    """What objects of the class measure on streets; None for a class that is not found there."""
    plain = class_name.casefold().replace("_", " ").replace("-", " ")
    return STREET.get(_ALSO.get(plain, plain))


def known_size(class_name: str, turned: bool) -> Size | None:
    """What objects of the class measure, or None for one that no published data set has.

    Args:
        turned: sizes along the heading where there are some, else those of axis-aligned boxes.
    """
    first, second = (SUN_RGBD, SCANNET) if turned else (SCANNET, SUN_RGBD)
    return first.get(class_name) or second.get(class_name)
