"""ScanNet's names of the objects that are generated, and the class of NYU-40 that each belongs to."""

from __future__ import annotations

from typing import NamedTuple


class Label(NamedTuple):
    """What the label map lists for a raw category."""

    category: str
    nyu40id: int
    nyu40class: str


LABELS = {
    "wall": Label("wall", 1, "wall"),
    "floor": Label("floor", 2, "floor"),
    "ceiling": Label("ceiling", 22, "ceiling"),
    "cabinet": Label("cabinet", 3, "cabinet"),
    "file cabinet": Label("file cabinet", 3, "cabinet"),
    "kitchen cabinet": Label("kitchen cabinet", 3, "cabinet"),
    "kitchen cabinets": Label("kitchen cabinet", 3, "cabinet"),
    "bathroom vanity": Label("bathroom vanity", 3, "cabinet"),
    "bed": Label("bed", 4, "bed"),
    "chair": Label("chair", 5, "chair"),
    "office chair": Label("office chair", 5, "chair"),
    "armchair": Label("armchair", 5, "chair"),
    "couch": Label("couch", 6, "sofa"),
    "table": Label("table", 7, "table"),
    "coffee table": Label("coffee table", 7, "table"),
    "end table": Label("end table", 7, "table"),
    "door": Label("door", 8, "door"),
    "window": Label("window", 9, "window"),
    "bookshelf": Label("bookshelf", 10, "bookshelf"),
    "picture": Label("picture", 11, "picture"),
    "counter": Label("counter", 12, "counter"),
    "kitchen counter": Label("kitchen counter", 12, "counter"),
    "bathroom counter": Label("bathroom counter", 12, "counter"),
    "desk": Label("desk", 14, "desk"),
    "curtain": Label("curtain", 16, "curtain"),
    "refrigerator": Label("refrigerator", 24, "refridgerator"),
    "shower curtain": Label("shower curtain", 28, "shower curtain"),
    "toilet": Label("toilet", 33, "toilet"),
    "sink": Label("sink", 34, "sink"),
    "bathtub": Label("bathtub", 36, "bathtub"),
    "trash can": Label("trash can", 39, "otherfurniture"),
    "recycling bin": Label("recycling bin", 39, "otherfurniture"),
    "dresser": Label("dresser", 17, "dresser"),
    "mirror": Label("mirror", 19, "mirror"),
    "books": Label("book", 23, "books"),
    "tv": Label("tv", 25, "television"),
    "towel": Label("towel", 27, "towel"),
    "box": Label("box", 29, "box"),
    "whiteboard": Label("whiteboard", 30, "whiteboard"),
    "nightstand": Label("nightstand", 32, "night stand"),
    "lamp": Label("lamp", 35, "lamp"),
    "blackboard": Label("blackboard", 38, "otherstructure"),
    "backpack": Label("backpack", 40, "otherprop"),
    "monitor": Label("monitor", 40, "otherprop"),
    "plant": Label("plant", 40, "otherprop"),
    "suitcase": Label("suitcase", 40, "otherprop"),
}
NYU40_DETECTED = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)
DETECTED = frozenset(name for name, label in LABELS.items() if label.nyu40id in NYU40_DETECTED)
