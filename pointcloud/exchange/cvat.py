"""CVAT's export "Datumaro 3D": one JSON of items with annotations of the type `cuboid_3d`.

`position` is the middle, `scale` are the sizes along the box's own axes and `rotation` is about x, y and z in radians
(Datumaro's `Cuboid3d`). x of the box is taken as its heading.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pointcloud.exchange.scenes import JsonOf, LabelledScene, box_of, label_files
from vol3d.errors import DataError
from vol3d.files import make_folder, write_json

_CUBOID = "cuboid_3d"


def read_cvat(path: Path) -> list[LabelledScene]:
    """The items of an export's folder, or of one file.

    Raises:
        DataError: a file of another form, an annotation that is no cuboid, a label outside the list.
    """
    scenes = []
    for file in label_files(path / "annotations" if (path / "annotations").is_dir() else path):
        with JsonOf(file, "CVAT (Datumaro 3D)") as value:
            names = [one["name"] for one in value["categories"]["label"]["labels"]]
            for item in value["items"]:
                boxes = []
                for number, one in enumerate(item["annotations"]):
                    where, label = f"{file}: {item['id']}[{number}]", one["label_id"]
                    if one["type"] != _CUBOID or not isinstance(label, int) or not 0 <= label < len(names):
                        got, wanted = f"{one['type']} of label {label}", f"{_CUBOID}, label below {len(names)}"
                        raise DataError("an annotation that is no box", where=where, got=got, wanted=wanted)
                    boxes.append(box_of(names[label], one["position"], one["scale"], one["rotation"], where))
                cloud = item.get("point_cloud", {}).get("path") or f"{item['id']}.pcd"
                scenes.append(LabelledScene(Path(cloud).name, tuple(boxes)))
    return scenes


def write_cvat(scenes: Sequence[LabelledScene], out: Path) -> None:
    """`annotations/default.json`."""
    names = sorted({box.name for scene in scenes for box in scene.boxes})
    items = []
    for scene in scenes:
        annotations = []
        for number, box in enumerate(scene.boxes):
            place = {"position": list(box.center), "rotation": [0.0, 0.0, box.yaw], "scale": list(box.size)}
            about = {"id": number, "type": _CUBOID, "attributes": {"occluded": False}, "group": 0}
            annotations.append({**about, "label_id": names.index(box.name), **place})
        items.append({"id": scene.stem, "annotations": annotations, "attr": {}, "point_cloud": {"path": scene.file}})
    labels = [{"name": name, "parent": "", "attributes": []} for name in names]
    categories = {"label": {"labels": labels, "attributes": ["occluded"]}}
    write_json(
        make_folder(out / "annotations") / "default.json", {"info": {}, "categories": categories, "items": items}
    )
