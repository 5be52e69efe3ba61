"""The data set `point_folder`: one `boxes.json` beside the clouds, which training reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pointcloud.datasets.starter import BOXES, held_out
from pointcloud.exchange.scenes import JsonOf, LabelledScene, box_of
from vol3d.files import write_json


def read_own(path: Path) -> list[LabelledScene]:
    """The scenes of a `boxes.json`, or of the folder that holds it. Raises DataError for another form."""
    file, scenes = path / BOXES if path.is_dir() else path, []
    with JsonOf(file, "point_folder") as value:
        for name, objects in value["scenes"].items():
            boxes = [
                box_of(
                    one["class"], one["center"], one["size"], (0.0, 0.0, one.get("yaw", 0.0)), f"{file}: {name}[{at}]"
                )
                for at, one in enumerate(objects)
            ]
            scenes.append(LabelledScene(name, tuple(boxes)))
    return scenes


def write_own(scenes: Sequence[LabelledScene], out: Path) -> None:
    """`boxes.json`; the clouds belong beside it. Every fifth scan is held out for validation."""
    names = sorted({box.name for scene in scenes for box in scene.boxes})
    listed = {
        scene.file: [
            {"class": box.name, "center": list(box.center), "size": list(box.size), "yaw": box.yaw}
            for box in scene.boxes
        ]
        for scene in scenes
    }
    content = {"format": 1, "class_names": names, "scenes": listed, "validation": held_out(sorted(listed))}
    write_json(out / BOXES, content)
